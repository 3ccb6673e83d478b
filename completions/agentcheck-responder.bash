# bash completion for agentcheck-responder
_agentcheck_responder() {
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} directory=/run/agentcheck
    local index
    for ((index = 1; index < COMP_CWORD; index++)); do
        if [[ ${COMP_WORDS[index]} == --state-dir ]]; then directory=${COMP_WORDS[index+1]}; fi
    done
    # The services that have a state file.
    local services
    services=$(cd -- "$directory" 2>/dev/null && compgen -G '*.state')
    services=${services//.state/}
    case $before in
        --state-dir) mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
        --default-service) mapfile -t COMPREPLY < <(compgen -W "$services" -- "$current") ;;
        --idle) mapfile -t COMPREPLY < <(compgen -W "30s 60s 5m off" -- "$current") ;;
        --http-drain-status) mapfile -t COMPREPLY < <(compgen -W "503 404" -- "$current") ;;
        --http-fallback) mapfile -t COMPREPLY < <(compgen -W "503 200" -- "$current") ;;
        --fallback | --listen) COMPREPLY=() ;;
        *)
            mapfile -t COMPREPLY < <(compgen -W "--name-from-client --default-service --state-dir --fallback --http
                --http-drain-status --http-fallback --http-documents --listen --idle --help --version $services" -- "$current")
            ;;
    esac
}
complete -F _agentcheck_responder agentcheck-responder
