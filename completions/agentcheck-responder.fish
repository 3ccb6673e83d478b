# fish completion for agentcheck-responder
function __agentcheck_responder_services
    set --local directory (string match --regex --groups-only -- '--state-dir[ =](\S+)' (commandline))
    test -n "$directory"; or set directory /run/agentcheck
    for file in $directory/*.state
        string replace '.state' '' (path basename $file)
    end
end
complete -c agentcheck-responder -f -a '(__agentcheck_responder_services)'
complete -c agentcheck-responder -l ask -d 'the client names the service, in the line that it sends'
complete -c agentcheck-responder -l ask-default -x -a '(__agentcheck_responder_services)' -d 'the service of a client that sends nothing'
complete -c agentcheck-responder -l state-dir -x -a '(__fish_complete_directories)' -d 'where the state files are'
complete -c agentcheck-responder -l fallback -x -d 'what is said where there is no valid state file'
complete -c agentcheck-responder -l listen -x -d 'listen there, may be repeated'
complete -c agentcheck-responder -l idle -x -a '30s 60s 5m off' -d 'end the accept loop when nobody asked for so long'
complete -c agentcheck-responder -l help -d 'say how it is used'
complete -c agentcheck-responder -l version -d 'say the version'
