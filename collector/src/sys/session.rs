//! A session of its own for a child that runs as another user: without the terminal of this process, into
//! which the child could write commands (`TIOCSTI`) or from which it could read.

use process_wrap::std::{CommandWrap, CommandWrapper, ProcessSession};
use std::io;
use std::process::Command;

/// Makes the child of `command` begin a session, and with it a process group, of its own. The command must
/// not set a process group.
///
/// # Errors
/// None today; the interface of the library has them.
pub fn begin(command: &mut Command) -> io::Result<()> {
    ProcessSession.pre_spawn(command, &CommandWrap::from(Command::new("")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn child_leads_a_session_without_a_terminal() {
        let mut command = Command::new("sh");
        // Fields 1, 5, 6 and 7 of its own stat: process, group, session, terminal.
        command.args([
            "-c",
            "read id rest < /proc/self/stat; set -- $rest; echo $$ $4 $5 $6",
        ]);
        begin(&mut command).unwrap();
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let fields: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(fields[1..], [fields[0], fields[0], "0"], "{text}");
    }
}
