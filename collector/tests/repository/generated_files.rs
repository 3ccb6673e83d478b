//! The completions and the manual of `agentcheck` are generated from its command line. The tests generate and
//! compare them; `SNAPSHOTS=overwrite` writes them.

use agentcheck_tests::binaries::workspace;
use agentcheck_tests::snapshot;
use clap::Command;
use clap_complete::{Shell, generate};
use clap_mangen::Man;
use std::fmt::Write as _;

/// The file has this text.
fn check(file: &str, text: &str) {
    let compared = snapshot::compare(text, &workspace().join(file));
    assert!(compared.is_ok(), "{}", compared.unwrap_err());
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
        check(file, &String::from_utf8(text).unwrap());
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
    // Definitions that go before each part, and headings that would stand among the commands.
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
         what is to be said for each service into a state file, which agentcheck\\-responder(8) reads to \
         HAProxy. The other commands are the operator's.\n.SH COMMANDS\n"
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
        ".SH EXIT STATUS\n0: done. 1: it failed, and standard error says what, why and what to do. 2: wrong \
         command line. \\fBstatus \\-\\-check\\fR has those of a monitoring plugin.\n\
         .SH ENVIRONMENT\n\\fBNO_COLOR\\fR: where it is set to anything, no colours are used.\n\
         .SH FILES\n.TP\n/etc/agentcheck/agentcheck.toml\nthe configuration\n.TP\n/run/agentcheck\nstate files \
         and status.json\n.TP\n/var/lib/agentcheck\noverrides and history\n\
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
