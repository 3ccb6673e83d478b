# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_agentcheck_global_optspecs
    string join \n h/help V/version
end

function __fish_agentcheck_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_agentcheck_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_agentcheck_using_subcommand
    set -l cmd (__fish_agentcheck_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c agentcheck -n "__fish_agentcheck_needs_command" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -s V -l version -d 'Print version'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "collect" -d 'Poll, evaluate and publish until SIGTERM or SIGINT; load again at SIGHUP'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "check" -d 'Load the configuration as `collect` does, and say what is wrong'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "reload" -d 'Have the collector load its configuration again, without a gap'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "history" -d 'What was said, when, and why'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "report" -d 'A page to look at, as one HTML file: what is said and why, and what was said'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "doctor" -d 'Look for what is wrong with the installation, and say what to do about it'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "record" -d 'Poll as `collect` does, and keep the readings in a file'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "replay" -d 'Put recorded readings through a configuration'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "status" -d 'Show what is being said, and why'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "explain" -d 'Say why a service has its reply, or what HAProxy makes of a line'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "drain" -d 'No new sessions; existing ones go on'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "maint" -d 'Out of service, on purpose'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "down" -d 'Not working'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "force-up" -d 'In, whatever the rules say, for a time'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "limit" -d 'A ceiling on the weight; it never raises one'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "resume" -d 'End an override: what is beneath it holds again'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "ready" -d 'Lift, for a moment, a drain or maint that was set on the balancers'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "decommission" -d 'Take back what was said of all services, before agentcheck goes'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "import" -d 'Turn another agent\'s configuration into an agentcheck.toml'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "generate" -d 'Files that have systemd, xinetd or inetd answer for the services'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand collect" -l config -d 'Config' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand collect" -l state-dir -d 'Where the state files are' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand collect" -l data-dir -d 'Overrides, history' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand collect" -l pid-file -d 'Has the process id while it runs' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand collect" -l user -d 'Become this user (as root)' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand collect" -l group -d 'Another group than the user\'s' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand collect" -l log -d 'Where the log goes; syslog with --daemon' -r -f -a "stderr\t'To standard error, with priorities where that is the journal'
syslog\t'To the syslog of this host'"
complete -c agentcheck -n "__fish_agentcheck_using_subcommand collect" -l dry-run -d 'Write nothing: print what would be said'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand collect" -l daemon -d 'Go into the background when it is at work'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand collect" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand check" -l config -d 'Config' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand check" -l sample -d 'Put a sample of readings through it, too: a JSON file' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand check" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand reload" -l pid -d 'The collector\'s process [default: who has the lock]' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand reload" -l state-dir -d 'Where the state files are' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand reload" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand history" -l since -d 'How far back' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand history" -l data-dir -d 'Overrides, history' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand history" -l json -d 'For programs: one line of JSON an entry'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand history" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand report" -s o -l output -d 'Where the page goes; it is replaced at once' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand report" -l since -d 'How far back the plots go' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand report" -l mode -d 'Its rights; it shows status.json' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand report" -l state-dir -d 'Where the state files are' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand report" -l data-dir -d 'Overrides, history' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand report" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand doctor" -l config -d 'Config' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand doctor" -l state-dir -d 'Where the state files are' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand doctor" -l data-dir -d 'Overrides, history' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand doctor" -l agent -d 'Probe this address [default: the launcher\'s]' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand doctor" -l haproxy -d 'HAProxy\'s stats socket: a path, or HOST:PORT' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand doctor" -l user -d 'Check as this user [default: the collector\'s]' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand doctor" -l json -d 'Print one JSON object'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand record" -l config -d 'Config' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand record" -l for -d 'How long; until Ctrl-C without it' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand record" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand replay" -l config -d 'Config' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand replay" -l against -d 'Another configuration, side by side' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand replay" -l svg -d 'Plot into this file' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand replay" -l all -d 'Every change, those of weights alone included'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand replay" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand status" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is `dumb`'
always\t'Always'
never\t'Never'"
complete -c agentcheck -n "__fish_agentcheck_using_subcommand status" -l state-dir -d 'Where the state files are' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand status" -s v -l verbose -d 'In detail: rules, and the sources\' latest polls'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand status" -l json -d 'As JSON, for programs'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand status" -l watch -d 'Again every second, until Ctrl-C'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand status" -l check -d 'One line for monitoring, and its exit status'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand status" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand explain" -l reply -d 'A line instead, word by word; `-` reads stdin' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand explain" -l at -d 'The reply of that time, from the history: 14:30 (UTC), 2026-11-21T14:30:00Z, or 10m for ten minutes ago' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand explain" -l config -d 'Config' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand explain" -l state-dir -d 'Where the state files are' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand explain" -l data-dir -d 'Overrides, history' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand explain" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is `dumb`'
always\t'Always'
never\t'Never'"
complete -c agentcheck -n "__fish_agentcheck_using_subcommand explain" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand drain" -l config -d 'Config' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand drain" -l state-dir -d 'Where the state files are' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand drain" -l data-dir -d 'Overrides, history' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand drain" -l reason -d 'Why; whoever can connect can read it' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand drain" -l agent-inter -d 'The balancers\' agent-inter' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand drain" -l for -d 'How long; for ever without it' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand drain" -l then -d 'What follows' -r -f -a "maint\t''
down\t''"
complete -c agentcheck -n "__fish_agentcheck_using_subcommand drain" -l after -d 'When that follows' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand drain" -l until -d 'Drained where this expression holds' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand drain" -l deadline -d 'How long that is waited for' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand drain" -l all -d 'All services: a scope of its own, before each'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand drain" -l wait -d 'Wait for two agent intervals of the balancers'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand drain" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand maint" -l config -d 'Config' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand maint" -l state-dir -d 'Where the state files are' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand maint" -l data-dir -d 'Overrides, history' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand maint" -l reason -d 'Why; whoever can connect can read it' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand maint" -l agent-inter -d 'The balancers\' agent-inter' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand maint" -l for -d 'How long; for ever without it' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand maint" -l all -d 'All services: a scope of its own, before each'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand maint" -l wait -d 'Wait for two agent intervals of the balancers'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand maint" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand down" -l config -d 'Config' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand down" -l state-dir -d 'Where the state files are' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand down" -l data-dir -d 'Overrides, history' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand down" -l reason -d 'Why; whoever can connect can read it' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand down" -l agent-inter -d 'The balancers\' agent-inter' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand down" -l for -d 'How long; for ever without it' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand down" -l all -d 'All services: a scope of its own, before each'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand down" -l wait -d 'Wait for two agent intervals of the balancers'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand down" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand force-up" -l config -d 'Config' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand force-up" -l state-dir -d 'Where the state files are' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand force-up" -l data-dir -d 'Overrides, history' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand force-up" -l reason -d 'Why; whoever can connect can read it' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand force-up" -l agent-inter -d 'The balancers\' agent-inter' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand force-up" -l for -d 'How long' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand force-up" -l all -d 'All services: a scope of its own, before each'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand force-up" -l wait -d 'Wait for two agent intervals of the balancers'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand force-up" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand limit" -l config -d 'Config' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand limit" -l state-dir -d 'Where the state files are' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand limit" -l data-dir -d 'Overrides, history' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand limit" -l reason -d 'Why; whoever can connect can read it' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand limit" -l agent-inter -d 'The balancers\' agent-inter' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand limit" -l for -d 'How long; for ever without it' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand limit" -l percent -d 'The highest weight' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand limit" -l all -d 'All services: a scope of its own, before each'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand limit" -l wait -d 'Wait for two agent intervals of the balancers'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand limit" -l off -d 'Remove the limit'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand limit" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand resume" -l config -d 'Config' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand resume" -l state-dir -d 'Where the state files are' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand resume" -l data-dir -d 'Overrides, history' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand resume" -l all -d 'All services: a scope of its own, before each'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand resume" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand ready" -l config -d 'Config' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand ready" -l state-dir -d 'Where the state files are' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand ready" -l data-dir -d 'Overrides, history' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand ready" -l for -d 'How long: a few agent intervals' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand ready" -l all -d 'All services: a scope of its own, before each'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand ready" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand decommission" -l state-dir -d 'Where the state files are' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand decommission" -l agent-inter -d 'The balancers\' agent-inter' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand decommission" -l wait -d 'Wait for two agent intervals of the balancers'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand decommission" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand generate" -l config -d 'Config' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand generate" -l state-dir -d 'Where the state files are' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand generate" -l address -d 'Listen on this address; for haproxy, the server\'s; may be repeated [default: loopback]' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand generate" -l allow -d 'Let this host or network connect; may be repeated' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand generate" -l port -d 'The port of services without a port of their own' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand generate" -l output -d 'Write the files into DIR instead of printing them' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand generate" -l force -d 'Overwrite files in DIR that differ'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand generate" -s h -l help -d 'Print help'
