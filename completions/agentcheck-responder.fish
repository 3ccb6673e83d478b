# fish completion for agentcheck-responder
function __agentcheck_responder_services
    set --local directory (string match --regex --groups-only -- '--state-dir[ =](\S+)' (commandline))
    test -n "$directory"; or set directory /run/agentcheck
    for file in $directory/*.state
        string replace '.state' '' (path basename $file)
    end
end
complete -c agentcheck-responder -f -a '(__agentcheck_responder_services)'
complete -c agentcheck-responder -l name-from-client -d 'read the service name from the client'
complete -c agentcheck-responder -l default-service -x -a '(__agentcheck_responder_services)' -d 'answer for this service if the client sends nothing'
complete -c agentcheck-responder -l state-dir -x -a '(__fish_complete_directories)' -d 'read state files from this directory'
complete -c agentcheck-responder -l fallback -x -d 'send this reply if there is no valid state file'
complete -c agentcheck-responder -l http -d 'answer HTTP requests, too'
complete -c agentcheck-responder -l http-drain-status -x -a '503 404' -d 'HTTP status for drain and weight 0'
complete -c agentcheck-responder -l http-fallback -x -a '503 200' -d 'HTTP status without a valid state file'
complete -c agentcheck-responder -l http-documents -d 'serve /-/metrics and /-/page'
complete -c agentcheck-responder -l listen -x -d 'listen on this address; may be repeated'
complete -c agentcheck-responder -l idle -x -a '30s 60s 5m off' -d 'exit after this time without a connection'
complete -c agentcheck-responder -l help -d 'print the help'
complete -c agentcheck-responder -l version -d 'print the version'
