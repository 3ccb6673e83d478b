//! The name that a client asks for: from the bytes that have come so far to a name, to more waiting, or
//! to no name. HAProxy sends it with `agent-send "web\n"`.
//!
//! The name is the first line, blanks around it taken off, ended by LF, CR, CR LF or by the client's
//! closing its side. A line that has not ended when the time is over is never taken for a name: it
//! may be the beginning of a longer one, the rest of which was lost and is being sent again, and
//! `web` must not answer for `web-admin`. HAProxy's CLI sets agent-send without a newline, so such a
//! client hears `no-newline:web`, well before its own deadline, and the operator sees what to mend.
//!
//! Not here: the clock and the socket.

use crate::answer::{NoName, Wanted};
use agentcheck_common::ServiceName;

/// The longest first line that can still become a name, in bytes: a name and blanks around it.
pub const MAX_LINE: usize = 128;

/// What a client turned out to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It sent not one byte.
    Nothing,
    /// This service.
    Name(ServiceName),
    /// Something, but no name that can be used.
    Unusable(NoName),
}

impl Asked {
    /// Whose reply that means, where `silent` is the service of clients that send nothing.
    #[must_use]
    pub fn wanted(self, silent: Option<ServiceName>) -> Wanted {
        match (self, silent) {
            (Self::Name(name), _) => Wanted::Asked(name),
            (Self::Unusable(why), _) => Wanted::Nobody(why),
            (Self::Nothing, Some(name)) => Wanted::Configured(name),
            (Self::Nothing, None) => Wanted::Nobody(NoName::NotAsked),
        }
    }
}

/// The first line as far as it has come.
#[derive(Clone, Copy, Debug)]
pub struct FirstLine {
    bytes: [u8; MAX_LINE],
    length: u8,
}

impl FirstLine {
    /// Nothing yet.
    pub const EMPTY: Self = Self {
        bytes: [0; MAX_LINE],
        length: 0,
    };

    /// Takes the bytes that came next; `None` as long as the line has not ended.
    #[must_use]
    pub fn hear(&mut self, bytes: &[u8]) -> Option<Asked> {
        for byte in bytes {
            if matches!(byte, b'\n' | b'\r') {
                return Some(self.ended());
            }
            match self.bytes.get_mut(usize::from(self.length)) {
                Some(slot) => *slot = *byte,
                None => return Some(Asked::Unusable(NoName::BadName)),
            }
            self.length += 1;
        }
        None
    }

    /// What it means that the client has closed its side: all that it had to say has come.
    #[must_use]
    pub fn closed(&self) -> Asked {
        if self.length == 0 {
            return Asked::Nothing;
        }
        self.ended()
    }

    /// What it means that the time is over.
    #[must_use]
    pub fn late(&self) -> Asked {
        match self.closed() {
            Asked::Name(name) => Asked::Unusable(NoName::NoNewline(name)),
            other => other,
        }
    }

    fn ended(&self) -> Asked {
        let line = self.bytes.get(..usize::from(self.length));
        let line = line.unwrap_or_default();
        // Blanks and tabs; all other control bytes make it no name.
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let start = line.iter().position(|byte| !is_blank(byte));
        let end = line.iter().rposition(|byte| !is_blank(byte));
        let (Some(start), Some(end)) = (start, end) else {
            return Asked::Unusable(NoName::NotAsked);
        };
        match ServiceName::parse(line.get(start..=end).unwrap_or_default()) {
            Some(name) => Asked::Name(name),
            None => Asked::Unusable(NoName::BadName),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> ServiceName {
        ServiceName::parse(text.as_bytes()).unwrap()
    }

    fn heard(bytes: &[u8]) -> Option<Asked> {
        FirstLine::EMPTY.clone().hear(bytes)
    }

    #[test]
    fn the_first_line_is_the_name() {
        for line in [
            "web\n",
            "web\r",
            "web\r\n",
            " web \n",
            "\tweb\t\r\n",
            "web\napi\n",
            "web\n\0",
        ] {
            assert_eq!(
                heard(line.as_bytes()),
                Some(Asked::Name(name("web"))),
                "{line:?}"
            );
        }
    }

    #[test]
    fn an_unended_line_waits_and_is_never_a_name() {
        let mut line = FirstLine::EMPTY;
        assert_eq!(line.late(), Asked::Nothing);
        assert_eq!(line.hear(b"we"), None);
        assert_eq!(line.late(), Asked::Unusable(NoName::NoNewline(name("we"))));
        assert_eq!(line.hear(b""), None);
        assert_eq!(line.hear(b"b"), None);
        assert_eq!(line.closed(), Asked::Name(name("web")));
        assert_eq!(line.hear(b"-admin\n"), Some(Asked::Name(name("web-admin"))));
    }

    #[test]
    fn what_is_no_name() {
        let bad = |bytes: &[u8]| {
            assert_eq!(
                heard(bytes),
                Some(Asked::Unusable(NoName::BadName)),
                "{bytes:?}"
            );
        };
        let lines = [
            "..\n",
            "../web\n",
            "/etc/passwd\n",
            "web api\n",
            "w\0b\n",
            "web\0\n",
            "\u{7f}\n",
        ];
        lines.iter().for_each(|line| bad(line.as_bytes()));
        bad(b"\xff\xfe\n");
        bad(format!("{}\n", "x".repeat(65)).as_bytes());
        bad("x".repeat(14_000).as_bytes());
        bad(" ".repeat(129).as_bytes());
        for empty in ["\n", "\r\n", "  \n"] {
            let asked = Some(Asked::Unusable(NoName::NotAsked));
            assert_eq!(heard(empty.as_bytes()), asked, "{empty:?}");
        }
    }

    #[test]
    fn the_default_is_for_silence_alone() {
        let silent = Some(name("web"));
        assert_eq!(
            FirstLine::EMPTY.late().wanted(silent),
            Wanted::Configured(name("web"))
        );
        assert_eq!(
            FirstLine::EMPTY.late().wanted(None),
            Wanted::Nobody(NoName::NotAsked)
        );
        for sent in ["\n", "we", " ", "..\n"] {
            let mut line = FirstLine::EMPTY;
            let asked = line.hear(sent.as_bytes()).unwrap_or_else(|| line.late());
            assert!(
                matches!(asked.wanted(silent), Wanted::Nobody(_)),
                "{sent:?}"
            );
        }
    }

    proptest! {
        /// However the network splits what a client sends, it means the same.
        #[test]
        fn splitting_changes_nothing(
            bytes in prop_oneof![
                "[ a-z.\r\n]{0,20}".prop_map(String::into_bytes),
                prop::collection::vec(any::<u8>(), 0..300),
            ],
            cuts in prop::collection::vec(0_usize..300, 0..5),
        ) {
            let mut whole = FirstLine::EMPTY;
            let at_once = whole.hear(&bytes);
            let mut split = FirstLine::EMPTY;
            let mut in_parts = None;
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            cuts.push(bytes.len());
            let mut start = 0;
            for cut in cuts {
                in_parts = in_parts.or_else(|| split.hear(&bytes[start..cut]));
                start = cut;
            }
            prop_assert_eq!(at_once, in_parts);
            if at_once.is_none() {
                prop_assert_eq!(whole.closed(), split.closed());
                // Late, it is never taken for a name.
                prop_assert!(!matches!(split.late(), Asked::Name(_)));
            }
        }
    }
}
