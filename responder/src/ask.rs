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
use crate::name::Name;

/// The longest first line that can still become a name, in bytes: a name and blanks around it.
pub const MAX_LINE: usize = 128;

/// What a client turned out to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked<'l> {
    /// It sent not one byte.
    Nothing,
    /// This service.
    Name(Name<'l>),
    /// A line without a name in it.
    Empty,
    /// Something that is no name.
    Bad,
    /// The beginning of a line, which may be the beginning of a longer name.
    Unended(Name<'l>),
}

impl<'l> Asked<'l> {
    /// Whose reply that means, where `silent` is the service of clients that send nothing.
    #[must_use]
    pub fn wanted(self, silent: Option<Name<'l>>) -> Wanted<'l> {
        match (self, silent) {
            (Self::Name(name), _) => Wanted::Asked(name),
            (Self::Empty, _) => Wanted::Nobody(NoName::NotAsked),
            (Self::Bad, _) => Wanted::Nobody(NoName::BadName),
            (Self::Unended(name), _) => Wanted::Nobody(NoName::NoNewline(name)),
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
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Growing,
    Ended,
    TooLong,
}

impl FirstLine {
    /// Nothing yet.
    pub const EMPTY: Self = Self {
        bytes: [0; MAX_LINE],
        length: 0,
        state: State::Growing,
    };

    /// Takes the bytes that came next; whether that was enough to know what is asked for.
    pub fn take(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            if self.state != State::Growing {
                break;
            }
            match (byte, self.bytes.get_mut(usize::from(self.length))) {
                (b'\n' | b'\r', _) => self.state = State::Ended,
                (_, None) => self.state = State::TooLong,
                (_, Some(slot)) => {
                    *slot = *byte;
                    self.length += 1;
                }
            }
        }
        self.state != State::Growing
    }

    /// What it means that nothing more comes, the line having ended or the client having closed its
    /// side: all that it had to say has come.
    #[must_use]
    pub fn closed(&self) -> Asked<'_> {
        match self.state {
            State::Growing if self.length == 0 => Asked::Nothing,
            State::Growing | State::Ended => self.ended(),
            State::TooLong => Asked::Bad,
        }
    }

    /// What it means that the time is over.
    #[must_use]
    pub fn late(&self) -> Asked<'_> {
        match (self.state, self.closed()) {
            (State::Growing, Asked::Name(name)) => Asked::Unended(name),
            (_, asked) => asked,
        }
    }

    fn ended(&self) -> Asked<'_> {
        let line = self.bytes.get(..usize::from(self.length));
        let line = line.unwrap_or_default();
        // Blanks and tabs; all other control bytes make it no name.
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let start = line.iter().position(|byte| !is_blank(byte));
        let end = line.iter().rposition(|byte| !is_blank(byte));
        let (Some(start), Some(end)) = (start, end) else {
            return Asked::Empty;
        };
        match Name::parse(line.get(start..=end).unwrap_or_default()) {
            Some(name) => Asked::Name(name),
            None => Asked::Bad,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Name<'_> {
        Name::parse(text.as_bytes()).unwrap()
    }

    fn heard(bytes: &[u8]) -> FirstLine {
        let mut line = FirstLine::EMPTY;
        assert!(line.take(bytes), "{bytes:?}");
        line
    }

    #[test]
    fn the_first_line_is_the_name() {
        for sent in [
            "web\n",
            "web\r",
            "web\r\n",
            " web \n",
            "\tweb\t\r\n",
            "web\napi\n",
            "web\n\0",
        ] {
            assert_eq!(
                heard(sent.as_bytes()).closed(),
                Asked::Name(name("web")),
                "{sent:?}"
            );
            // Having ended in time, it is a name however late it is looked at.
            assert_eq!(
                heard(sent.as_bytes()).late(),
                Asked::Name(name("web")),
                "{sent:?}"
            );
        }
    }

    #[test]
    fn an_unended_line_waits_and_is_never_a_name() {
        let mut line = FirstLine::EMPTY;
        assert_eq!(line.late(), Asked::Nothing);
        assert!(!line.take(b"we"));
        assert_eq!(line.late(), Asked::Unended(name("we")));
        assert!(!line.take(b""));
        assert!(!line.take(b"b"));
        assert_eq!(line.closed(), Asked::Name(name("web")));
        assert!(line.take(b"-admin\n"));
        assert_eq!(line.closed(), Asked::Name(name("web-admin")));
    }

    #[test]
    fn what_is_no_name() {
        let bad = |bytes: &[u8]| assert_eq!(heard(bytes).closed(), Asked::Bad, "{bytes:?}");
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
            assert_eq!(heard(empty.as_bytes()).closed(), Asked::Empty, "{empty:?}");
        }
    }

    #[test]
    fn the_default_is_for_silence_alone() {
        let web = name("web");
        let silence = FirstLine::EMPTY.late();
        assert_eq!(silence.wanted(Some(web)), Wanted::Configured(web));
        assert_eq!(silence.wanted(None), Wanted::Nobody(NoName::NotAsked));
        for sent in ["\n", "we", " ", "..\n", "we be"] {
            let mut line = FirstLine::EMPTY;
            line.take(sent.as_bytes());
            let asked = line.late();
            assert!(
                matches!(asked.wanted(Some(web)), Wanted::Nobody(_)),
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
            let mut split = FirstLine::EMPTY;
            let enough = whole.take(&bytes);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            cuts.push(bytes.len());
            let mut start = 0;
            let mut enough_in_parts = false;
            for cut in cuts {
                enough_in_parts |= split.take(&bytes[start..cut]);
                start = cut;
            }
            prop_assert_eq!(enough, enough_in_parts);
            prop_assert_eq!(whole.closed(), split.closed());
            prop_assert_eq!(whole.late(), split.late());
            // Without its end it is never taken for a name when the time is over.
            prop_assert!(enough || !matches!(split.late(), Asked::Name(_)));
        }
    }
}
