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
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "collect" -d 'Poll the sources and write each service\'s reply, until SIGTERM or SIGINT'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "check" -d 'Check the configuration and print its errors and warnings'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "reload" -d 'Load the changed configuration into the running collector, without a gap'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "history" -d 'List past replies and their reasons'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "report" -d 'Write a web page with status and history: one HTML file'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "doctor" -d 'Check every step from the sources to HAProxy, and print remedies'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "probe" -d 'Probe agents as HAProxy does'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "record" -d 'Record the readings of the sources in a file'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "replay" -d 'Evaluate recorded readings with a configuration'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "status" -d 'Show the current replies and what decided them'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "explain" -d 'Explain the reply of a service, or what HAProxy does with a line'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "drain" -d 'Take servers out: no new sessions; existing sessions continue'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "maint" -d 'Take servers out for maintenance'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "down" -d 'Mark servers as failed'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "force-up" -d 'Let servers in at 100%, regardless of the rules, for a time'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "limit" -d 'Limit the weight of servers; a limit never raises a weight'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "resume" -d 'End overrides; rules and weight apply again'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "ready" -d 'Send ready for a time: it lifts a drain or maintenance set on the balancers'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "decommission" -d 'Reset every service\'s server to full weight, before you remove agentcheck'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "import" -d 'Convert another agent\'s configuration into an agentcheck.toml'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "generate" -d 'Print launcher files for the services of the configuration'
complete -c agentcheck -n "__fish_agentcheck_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand collect" -l config -d 'Config' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand collect" -l state-dir -d 'Directory of state files' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand collect" -l data-dir -d 'Overrides and history' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand collect" -l pid-file -d 'Write the process id to FILE' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand collect" -l user -d 'Change to this user (as root)' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand collect" -l group -d 'Change to this group' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand collect" -l log -d 'Log to stderr, or to syslog (default with --daemon)' -r -f -a "stderr\t'To standard error, with priorities where that is the journal'
syslog\t'To the syslog of this host'"
complete -c agentcheck -n "__fish_agentcheck_using_subcommand collect" -l dry-run -d 'Print the replies, write nothing'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand collect" -l daemon -d 'Run in the background'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand collect" -l reload-on-change -d 'Reload when the configuration changes'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand collect" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand check" -l config -d 'Config' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand check" -l sample -d 'Evaluate sample readings: a JSON file' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand check" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand reload" -l pid -d 'Process id [default: the collector of --state-dir]' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand reload" -l state-dir -d 'Directory of state files' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand reload" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand history" -l since -d 'Show entries since TIME' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand history" -l data-dir -d 'Overrides and history' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand history" -l utc -d 'Read and show times in UTC'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand history" -l json -d 'Print one JSON object per line'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand history" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand report" -s o -l output -d 'Write to FILE, and replace it atomically' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand report" -l since -d 'Time span of the plots' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand report" -l mode -d 'Mode of the file' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand report" -l state-dir -d 'Directory of state files' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand report" -l data-dir -d 'Overrides and history' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand report" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand doctor" -l config -d 'Config' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand doctor" -l state-dir -d 'Directory of state files' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand doctor" -l data-dir -d 'Overrides and history' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand doctor" -l agent -d 'Probe this address [default: the port\'s listener]' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand doctor" -l haproxy -d 'HAProxy\'s stats socket: a path, or HOST:PORT' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand doctor" -l user -d 'Check as this user [default: the collector\'s]' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand doctor" -l json -d 'Print one JSON object'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand probe" -l exit -d 'Exit status of this form: see below' -r -f -a "plain\t''
keepalived\t''
nagios\t''"
complete -c agentcheck -n "__fish_agentcheck_using_subcommand probe" -l color -d 'Use colours: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is `dumb`'
always\t'Always'
never\t'Never'"
complete -c agentcheck -n "__fish_agentcheck_using_subcommand probe" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand record" -l config -d 'Config' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand record" -l for -d 'Duration [default: until Ctrl-C]' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand record" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand replay" -l config -d 'Config' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand replay" -l against -d 'Second configuration, to compare' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand replay" -l svg -d 'Write the plots to this SVG file' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand replay" -l all -d 'Print every change of a weight, too'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand replay" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand status" -l color -d 'Use colours: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is `dumb`'
always\t'Always'
never\t'Never'"
complete -c agentcheck -n "__fish_agentcheck_using_subcommand status" -l state-dir -d 'Directory of state files' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand status" -s v -l verbose -d 'Show rules and the latest polls'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand status" -l json -d 'Print JSON'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand status" -l watch -d 'Repeat every second, until Ctrl-C'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand status" -l check -d 'Print one line for monitoring'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand status" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand explain" -l reply -d 'Explain a line; `-` reads stdin' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand explain" -l at -d 'Show the reply at TIME, from the history' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand explain" -l config -d 'Config' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand explain" -l state-dir -d 'Directory of state files' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand explain" -l data-dir -d 'Overrides and history' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand explain" -l color -d 'Use colours: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is `dumb`'
always\t'Always'
never\t'Never'"
complete -c agentcheck -n "__fish_agentcheck_using_subcommand explain" -l utc -d 'Read and show times in UTC'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand explain" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand drain" -l config -d 'Config' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand drain" -l state-dir -d 'Directory of state files' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand drain" -l data-dir -d 'Overrides and history' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand drain" -l reason -d 'Reason; every client can read it' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand drain" -l agent-inter -d 'The balancers\' agent-inter' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand drain" -l for -d 'Duration [default: no end]' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand drain" -l then -d 'State after the drain' -r -f -a "maint\t''
down\t''"
complete -c agentcheck -n "__fish_agentcheck_using_subcommand drain" -l after -d 'Time until --then' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand drain" -l until -d 'Drain until this expression is true' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand drain" -l deadline -d 'The longest time to wait for --until' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand drain" -l all -d 'Apply to all services of this host, by one override'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand drain" -l wait -d 'Wait until every balancer has polled'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand drain" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand maint" -l config -d 'Config' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand maint" -l state-dir -d 'Directory of state files' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand maint" -l data-dir -d 'Overrides and history' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand maint" -l reason -d 'Reason; every client can read it' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand maint" -l agent-inter -d 'The balancers\' agent-inter' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand maint" -l for -d 'Duration [default: no end]' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand maint" -l all -d 'Apply to all services of this host, by one override'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand maint" -l wait -d 'Wait until every balancer has polled'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand maint" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand down" -l config -d 'Config' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand down" -l state-dir -d 'Directory of state files' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand down" -l data-dir -d 'Overrides and history' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand down" -l reason -d 'Reason; every client can read it' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand down" -l agent-inter -d 'The balancers\' agent-inter' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand down" -l for -d 'Duration [default: no end]' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand down" -l all -d 'Apply to all services of this host, by one override'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand down" -l wait -d 'Wait until every balancer has polled'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand down" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand force-up" -l config -d 'Config' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand force-up" -l state-dir -d 'Directory of state files' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand force-up" -l data-dir -d 'Overrides and history' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand force-up" -l reason -d 'Reason; every client can read it' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand force-up" -l agent-inter -d 'The balancers\' agent-inter' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand force-up" -l for -d 'Duration' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand force-up" -l all -d 'Apply to all services of this host, by one override'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand force-up" -l wait -d 'Wait until every balancer has polled'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand force-up" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand limit" -l config -d 'Config' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand limit" -l state-dir -d 'Directory of state files' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand limit" -l data-dir -d 'Overrides and history' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand limit" -l reason -d 'Reason; every client can read it' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand limit" -l agent-inter -d 'The balancers\' agent-inter' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand limit" -l for -d 'Duration [default: no end]' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand limit" -l percent -d 'The limit, 1 to 100' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand limit" -l all -d 'Apply to all services of this host, by one override'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand limit" -l wait -d 'Wait until every balancer has polled'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand limit" -l off -d 'Remove the limit'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand limit" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand resume" -l config -d 'Config' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand resume" -l state-dir -d 'Directory of state files' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand resume" -l data-dir -d 'Overrides and history' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand resume" -l all -d 'Apply to all services of this host, by one override'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand resume" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand ready" -l config -d 'Config' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand ready" -l state-dir -d 'Directory of state files' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand ready" -l data-dir -d 'Overrides and history' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand ready" -l for -d 'Duration: several agent intervals' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand ready" -l all -d 'Apply to all services of this host, by one override'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand ready" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand decommission" -l state-dir -d 'Directory of state files' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand decommission" -l agent-inter -d 'The balancers\' agent-inter' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand decommission" -l wait -d 'Wait until every balancer has polled'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand decommission" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand generate" -l config -d 'Config' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand generate" -l state-dir -d 'Directory of state files' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand generate" -l address -d 'Listen on ADDR; may be repeated [default: loopback]' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand generate" -l allow -d 'Let this host or network connect; may be repeated' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand generate" -l port -d 'Port of services without their own' -r
complete -c agentcheck -n "__fish_agentcheck_using_subcommand generate" -l output -d 'Write the files into DIR instead of printing them' -r -F
complete -c agentcheck -n "__fish_agentcheck_using_subcommand generate" -l http -d 'Answer HTTP checks, too'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand generate" -l force -d 'Overwrite files in DIR that differ'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand generate" -s h -l help -d 'Print help'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand help; and not __fish_seen_subcommand_from collect check reload history report doctor probe record replay status explain drain maint down force-up limit resume ready decommission import generate help" -f -a "collect" -d 'Poll the sources and write each service\'s reply, until SIGTERM or SIGINT'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand help; and not __fish_seen_subcommand_from collect check reload history report doctor probe record replay status explain drain maint down force-up limit resume ready decommission import generate help" -f -a "check" -d 'Check the configuration and print its errors and warnings'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand help; and not __fish_seen_subcommand_from collect check reload history report doctor probe record replay status explain drain maint down force-up limit resume ready decommission import generate help" -f -a "reload" -d 'Load the changed configuration into the running collector, without a gap'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand help; and not __fish_seen_subcommand_from collect check reload history report doctor probe record replay status explain drain maint down force-up limit resume ready decommission import generate help" -f -a "history" -d 'List past replies and their reasons'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand help; and not __fish_seen_subcommand_from collect check reload history report doctor probe record replay status explain drain maint down force-up limit resume ready decommission import generate help" -f -a "report" -d 'Write a web page with status and history: one HTML file'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand help; and not __fish_seen_subcommand_from collect check reload history report doctor probe record replay status explain drain maint down force-up limit resume ready decommission import generate help" -f -a "doctor" -d 'Check every step from the sources to HAProxy, and print remedies'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand help; and not __fish_seen_subcommand_from collect check reload history report doctor probe record replay status explain drain maint down force-up limit resume ready decommission import generate help" -f -a "probe" -d 'Probe agents as HAProxy does'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand help; and not __fish_seen_subcommand_from collect check reload history report doctor probe record replay status explain drain maint down force-up limit resume ready decommission import generate help" -f -a "record" -d 'Record the readings of the sources in a file'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand help; and not __fish_seen_subcommand_from collect check reload history report doctor probe record replay status explain drain maint down force-up limit resume ready decommission import generate help" -f -a "replay" -d 'Evaluate recorded readings with a configuration'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand help; and not __fish_seen_subcommand_from collect check reload history report doctor probe record replay status explain drain maint down force-up limit resume ready decommission import generate help" -f -a "status" -d 'Show the current replies and what decided them'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand help; and not __fish_seen_subcommand_from collect check reload history report doctor probe record replay status explain drain maint down force-up limit resume ready decommission import generate help" -f -a "explain" -d 'Explain the reply of a service, or what HAProxy does with a line'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand help; and not __fish_seen_subcommand_from collect check reload history report doctor probe record replay status explain drain maint down force-up limit resume ready decommission import generate help" -f -a "drain" -d 'Take servers out: no new sessions; existing sessions continue'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand help; and not __fish_seen_subcommand_from collect check reload history report doctor probe record replay status explain drain maint down force-up limit resume ready decommission import generate help" -f -a "maint" -d 'Take servers out for maintenance'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand help; and not __fish_seen_subcommand_from collect check reload history report doctor probe record replay status explain drain maint down force-up limit resume ready decommission import generate help" -f -a "down" -d 'Mark servers as failed'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand help; and not __fish_seen_subcommand_from collect check reload history report doctor probe record replay status explain drain maint down force-up limit resume ready decommission import generate help" -f -a "force-up" -d 'Let servers in at 100%, regardless of the rules, for a time'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand help; and not __fish_seen_subcommand_from collect check reload history report doctor probe record replay status explain drain maint down force-up limit resume ready decommission import generate help" -f -a "limit" -d 'Limit the weight of servers; a limit never raises a weight'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand help; and not __fish_seen_subcommand_from collect check reload history report doctor probe record replay status explain drain maint down force-up limit resume ready decommission import generate help" -f -a "resume" -d 'End overrides; rules and weight apply again'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand help; and not __fish_seen_subcommand_from collect check reload history report doctor probe record replay status explain drain maint down force-up limit resume ready decommission import generate help" -f -a "ready" -d 'Send ready for a time: it lifts a drain or maintenance set on the balancers'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand help; and not __fish_seen_subcommand_from collect check reload history report doctor probe record replay status explain drain maint down force-up limit resume ready decommission import generate help" -f -a "decommission" -d 'Reset every service\'s server to full weight, before you remove agentcheck'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand help; and not __fish_seen_subcommand_from collect check reload history report doctor probe record replay status explain drain maint down force-up limit resume ready decommission import generate help" -f -a "import" -d 'Convert another agent\'s configuration into an agentcheck.toml'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand help; and not __fish_seen_subcommand_from collect check reload history report doctor probe record replay status explain drain maint down force-up limit resume ready decommission import generate help" -f -a "generate" -d 'Print launcher files for the services of the configuration'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand help; and not __fish_seen_subcommand_from collect check reload history report doctor probe record replay status explain drain maint down force-up limit resume ready decommission import generate help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand history" -f -a '(for file in /run/agentcheck/*.state; basename $file .state; end)'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand doctor" -f -a '(for file in /run/agentcheck/*.state; basename $file .state; end)'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand status" -f -a '(for file in /run/agentcheck/*.state; basename $file .state; end)'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand explain" -f -a '(for file in /run/agentcheck/*.state; basename $file .state; end)'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand drain" -f -a '(for file in /run/agentcheck/*.state; basename $file .state; end)'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand maint" -f -a '(for file in /run/agentcheck/*.state; basename $file .state; end)'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand down" -f -a '(for file in /run/agentcheck/*.state; basename $file .state; end)'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand force-up" -f -a '(for file in /run/agentcheck/*.state; basename $file .state; end)'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand limit" -f -a '(for file in /run/agentcheck/*.state; basename $file .state; end)'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand resume" -f -a '(for file in /run/agentcheck/*.state; basename $file .state; end)'
complete -c agentcheck -n "__fish_agentcheck_using_subcommand ready" -f -a '(for file in /run/agentcheck/*.state; basename $file .state; end)'
