//! The completions and the manual of `agentcheck` are generated from its command line. The tests generate and
//! compare them; `SNAPSHOTS=overwrite` writes them.

use agentcheck_tests::binaries::workspace;
use agentcheck_tests::processes::{output, program, run};
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::snapshot;
use clap::Command;
use clap_complete::{Shell, generate};
use clap_mangen::Man;
use std::fmt::Write as _;
use std::path::PathBuf;

/// The file has this text.
fn check(file: &str, text: &str) {
    let compared = snapshot::compare(text, &workspace().join(file));
    assert!(compared.is_ok(), "{}", compared.unwrap_err());
}

/// A completion of `agentcheck` that reads the state files of a directory of its own: those of `web`, `web-2`
/// and `api`. Returns the directory and the script's file.
fn completion(name: &str) -> (Scratch, PathBuf) {
    let scratch = Scratch::new(&format!("completion-{name}"));
    for service in ["web", "web-2", "api"] {
        let _ = scratch.write(&format!("{service}.state"), "");
    }
    let script = std::fs::read_to_string(workspace().join("completions").join(name)).unwrap();
    let script = script.replace("/run/agentcheck", &scratch.path().display().to_string());
    let script = scratch.write(name, script);
    (scratch, script)
}

/// Commands whose arguments are services.
const WITH_SERVICES: [&str; 4] = ["drain", "force-up", "status", "explain"];

#[test]
fn fish_completes_service_names() {
    let (_scratch, script) = completion("agentcheck.fish");
    let complete = |command: &str, word: &str| {
        let text = format!(
            "source {}; complete -C 'agentcheck {command} {word}'",
            script.display()
        );
        let mut fish = std::process::Command::new(program("fish", "fish"));
        run(fish.args(["--no-config", "-c", &text])).replace('\n', " ")
    };
    for command in WITH_SERVICES {
        assert_eq!(complete(command, "we"), "web web-2 ", "{command}");
    }
    assert_eq!(complete("reload", "we"), "");
}

/// Zsh completes only on a terminal: it prints the line that it has after the Tab key.
#[test]
fn zsh_completes_service_names() {
    let (scratch, _) = completion("_agentcheck");
    let directory = scratch.path().display();
    let _ = scratch.write(
        ".zshrc",
        format!(
            "fpath=({directory} $fpath); autoload -U compinit; compinit -u -D\n\
             show() {{ print -r -- $BUFFER > {directory}/line; exit }}\n\
             zle -N show; bindkey '^X' show\n"
        ),
    );
    let complete = |command: &str, word: &str| {
        let _ = std::fs::remove_file(scratch.file("line"));
        let text = format!(
            "zmodload zsh/zpty; zpty z zsh -d -i; zpty -w -n z $'agentcheck {command} {word}\\t\\x18'; \
             while zpty -r z; do :; done >/dev/null"
        );
        let mut zsh = std::process::Command::new("timeout");
        zsh.arg("60").arg(program("zsh", "zsh"));
        zsh.args(["-f", "-c", &text])
            .env("ZDOTDIR", scratch.path())
            .env("TERM", "dumb");
        let printed = output(&mut zsh);
        let line = std::fs::read_to_string(scratch.file("line"));
        line.unwrap_or_else(|error| panic!("{error}: {printed:?}"))
    };
    for command in WITH_SERVICES {
        assert_eq!(
            complete(command, "a"),
            format!("agentcheck {command} api \n")
        );
    }
    assert_eq!(complete("reload", "a"), "agentcheck reload a\n");
}

#[test]
fn bash_completes_service_names() {
    let (_scratch, script) = completion("agentcheck.bash");
    let complete = |command: &str, word: &str| {
        let text = format!(
            "source {}; COMP_WORDS=(agentcheck {command} '{word}'); COMP_CWORD=2; \
             _agentcheck agentcheck '{word}' {command}; echo ${{COMPREPLY[@]}}",
            script.display()
        );
        let mut bash = std::process::Command::new("bash");
        let words = run(bash.args(["--norc", "-c", &text]));
        let mut words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        words.sort();
        words.join(" ")
    };
    for command in WITH_SERVICES {
        assert_eq!(complete(command, "we"), "web web-2", "{command}");
    }
    assert_eq!(complete("reload", "we"), "");
}

#[test]
fn completions_match_the_command_line() {
    for (shell, file) in [
        (Shell::Bash, "completions/agentcheck.bash"),
        (Shell::Zsh, "completions/_agentcheck"),
        (Shell::Fish, "completions/agentcheck.fish"),
    ] {
        let mut text = Vec::new();
        generate(
            shell,
            &mut agentcheck::cli::command(),
            "agentcheck",
            &mut text,
        );
        let text = with_service_names(shell, String::from_utf8(text).unwrap());
        check(file, &text);
    }
}

/// The services of this host, from its state files.
const SERVICES: &str =
    "for file in /run/agentcheck/*.state; do [ -e \"$file\" ] && basename \"$file\" .state; done";

/// The commands that take names of services.
fn commands_with_services() -> Vec<String> {
    let commands = agentcheck::cli::command();
    let with_services = commands.get_subcommands().filter(|command| {
        let mut positionals = command.get_positionals();
        positionals.any(|one| one.get_id() == "services" || one.get_id() == "service")
    });
    with_services
        .map(|command| command.get_name().to_owned())
        .collect()
}

/// Adds the names of services, which the generator does not know.
fn with_service_names(shell: Shell, text: String) -> String {
    match shell {
        Shell::Bash => {
            let names = commands_with_services();
            let mut completes = false;
            let mut bash = format!("_agentcheck_services() {{\n    {SERVICES}\n}}\n\n");
            for line in text.lines() {
                if let Some(label) = line.trim().strip_suffix(')') {
                    completes = names.iter().any(|name| {
                        label == format!("agentcheck__subcmd__{}", name.replace('-', "__subcmd__"))
                    });
                }
                match line.strip_suffix('"') {
                    Some(opts) if completes && opts.trim().starts_with("opts=\"") => {
                        bash.push_str(&format!("{opts} $(_agentcheck_services)\"\n"));
                    }
                    _ => bash.push_str(&format!("{line}\n")),
                }
            }
            bash
        }
        Shell::Zsh => {
            let function = "(( $+functions[_agentcheck_services] )) ||\n_agentcheck_services() {\n    local -a names; \
                 names=(/run/agentcheck/*.state(N:t:r))\n    compadd -a names\n}\n";
            let text = text.lines().map(|line| {
                if line.contains("::service") && line.ends_with(":_default' \\") {
                    line.replace(":_default' \\", ":_agentcheck_services' \\")
                } else {
                    line.to_owned()
                }
            });
            let text: Vec<String> = text.collect();
            let text = text.join("\n") + "\n";
            text.replacen(
                "_agentcheck() {",
                &format!("{function}\n_agentcheck() {{"),
                1,
            )
        }
        _ => {
            let lines = commands_with_services().into_iter().map(|name| {
                format!(
                    "complete -c agentcheck -n \"__fish_agentcheck_using_subcommand {name}\" -f -a \
                     '(for file in /run/agentcheck/*.state; basename $file .state; end)'\n"
                )
            });
            text + &lines.collect::<String>()
        }
    }
}

/// One part of the manual, as the generator has it, below a heading of the second order.
fn part(
    render: impl Fn(&Man, &mut dyn std::io::Write) -> std::io::Result<()>,
    man: &Man,
) -> String {
    let mut roff = Vec::new();
    render(man, &mut roff).unwrap();
    // An apostrophe by the name that it has everywhere, and not by one that would have to be defined.
    let roff = String::from_utf8(roff).unwrap().replace("\\*(Aq", "\\(aq");
    // Definitions before each part, and headings that would appear among the commands.
    roff.lines()
        .filter(|line| {
            !line.starts_with(".ie ") && !line.starts_with(".el ") && !line.starts_with(".SH")
        })
        .fold(String::new(), |text, line| text + line + "\n")
}

fn section(roff: &mut String, path: &str, command: &Command) {
    let about = command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default();
    assert!(!about.is_empty(), "{path} is described");
    let after = command
        .get_after_help()
        .unwrap_or_else(|| panic!("{path} has an example"))
        .to_string();
    assert!(
        after.contains("agentcheck "),
        "{path} has an example: {after}"
    );
    let command = command
        .clone()
        .name(&*path.to_owned().leak())
        .bin_name(path.to_owned());
    let man = Man::new(command);
    writeln!(roff, ".SS \"{path}\"\n{about}.\n.PP").unwrap();
    roff.push_str(&part(
        |man, to| man.render_synopsis_section(&mut { to }),
        &man,
    ));
    roff.push_str(&part(
        |man, to| man.render_options_section(&mut { to }),
        &man,
    ));
    roff.push_str(".PP\n.nf\n");
    for line in after.lines() {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        // A line that begins with a dot or a quote is a request.
        writeln!(roff, "\\&{line}").unwrap();
    }
    roff.push_str(".fi\n");
}

#[test]
fn manual_matches_the_command_line() {
    let mut command = agentcheck::cli::command();
    command.build();
    let about = command.get_about().unwrap().to_string();
    let mut roff = format!(
        ".\\\" Made from the command line by collector/tests/repository/generated_files.rs.\n.TH agentcheck 1\n.SH NAME\nagentcheck \
         \\- {about}\n.SH SYNOPSIS\n\\fBagentcheck\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR]...\n.SH DESCRIPTION\n\
         The collector polls applications and the host, evaluates the rules of its configuration and writes \
         each service's reply with its expiry into a state file. agentcheck\\-responder(8) prints the reply to \
         HAProxy. The other commands are for operators.\n.SH COMMANDS\n"
    );
    let mut seen = 0;
    for subcommand in command.get_subcommands() {
        let name = subcommand.get_name();
        if name == "help" {
            continue;
        }
        section(&mut roff, &format!("agentcheck {name}"), subcommand);
        seen += 1;
    }
    assert!(seen > 10, "{seen}");
    roff.push_str(
        ".SH EXIT STATUS\n.TP\n0\ndone\n.TP\n1\nfailed; standard error contains the reason and the remedy\n.TP\n2\n\
         wrong command line\n.PP\n\\fBstatus \\-\\-check\\fR has the exit status of a monitoring plugin: 0 OK, 1 \
         WARNING, 2 CRITICAL, 3 UNKNOWN, also for a wrong command line.\n\
         .SH ENVIRONMENT\n.TP\nAGENTCHECK_LOG\nthe lowest level that \\fBcollect\\fR logs: error, warn, info \
         (default) or debug\n.TP\nNO_COLOR\nif it is not empty, output has no colours\n.TP\nTZ\nthe time zone of \
         \\fBhistory\\fR and \\fBexplain \\-\\-at\\fR, instead of that of /etc/localtime\n\
         .SH FILES\n.TP\n/etc/agentcheck/agentcheck.toml\nthe configuration\n.TP\n/etc/agentcheck/conf.d/*.toml\n\
         more parts of the configuration\n.TP\n/run/agentcheck\nstate files and the status snapshot, status.json\n\
         .TP\n/var/lib/agentcheck/overrides\noverrides\n.TP\n/var/lib/agentcheck/history\nthe history\n\
         .SH SEE ALSO\nagentcheck.toml(5), agentcheck.state(5), agentcheck\\-responder(8)\n",
    );
    check("man/agentcheck.1", &roff);
}

#[test]
fn haproxy_page_has_the_table_of_versions() {
    const BEGIN: &str = "<!-- versions:begin -->\n";
    const END: &str = "<!-- versions:end -->\n";
    let page = std::fs::read_to_string(workspace().join("docs/haproxy.md")).unwrap();
    let (before, rest) = page
        .split_once(BEGIN)
        .expect("the page marks the table's place");
    let (_, after) = rest
        .split_once(END)
        .expect("the page marks the table's end");
    let table = agentcheck::reply::haproxy_versions::markdown();
    check(
        "docs/haproxy.md",
        &format!("{before}{BEGIN}{table}{END}{after}"),
    );
}
