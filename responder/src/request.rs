//! Parses the service name out of the bytes that a client sends. HAProxy sends it with `agent-send "web\n"`.
//!
//! The name is the first line without the blanks around it. LF, CR, CR LF or the end of the client's data ends the
//! line. A line that has not ended at the timeout is never a name: it may be the first part of a longer name whose
//! second segment was lost, and `web` must not answer for `web-admin`. HAProxy's CLI sets agent-send without a
//! newline; such a client receives `no-newline:web` before its own timeout, and the operator sees the cause.
//!
//! Not here: the clock and the socket.

use crate::name::NameRef;
use crate::reply::{NoName, Target};

/// The longest first line that can contain a name, in bytes: a name and blanks around it.
pub const MAX_LINE: usize = 128;

/// What the first line of a client contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParsedName<'l> {
    /// The client sent no bytes.
    Nothing,
    /// A service name.
    Name(NameRef<'l>),
    /// An empty or blank line.
    Empty,
    /// A line that is not a service name.
    Invalid,
    /// A line without an end: the name may be incomplete.
    Unterminated(NameRef<'l>),
}

impl<'l> ParsedName<'l> {
    /// The service to answer for. `default` is the service of clients that send nothing.
    #[must_use]
    pub fn target(self, default: Option<NameRef<'l>>) -> Target<'l> {
        match (self, default) {
            (Self::Name(name), _) => Target::FromClient(name),
            (Self::Empty, _) => Target::Unnamed(NoName::NotSent),
            (Self::Invalid, _) => Target::Unnamed(NoName::Invalid),
            (Self::Unterminated(name), _) => Target::Unnamed(NoName::Unterminated(name)),
            (Self::Nothing, Some(name)) => Target::Configured(name),
            (Self::Nothing, None) => Target::Unnamed(NoName::NotSent),
        }
    }
}

/// The first line of a client, as far as it has arrived.
#[derive(Clone, Copy, Debug)]
pub struct FirstLine {
    bytes: [u8; MAX_LINE],
    length: u8,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Incomplete,
    Complete,
    TooLong,
}

impl FirstLine {
    /// A line of which nothing has arrived.
    pub const EMPTY: Self = Self {
        bytes: [0; MAX_LINE],
        length: 0,
        state: State::Incomplete,
    };

    /// Adds the next bytes from the client. Returns true when the line is complete or too long, so that no further
    /// bytes are needed.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            if self.state != State::Incomplete {
                break;
            }
            match (byte, self.bytes.get_mut(usize::from(self.length))) {
                (b'\n' | b'\r', _) => self.state = State::Complete,
                (_, None) => self.state = State::TooLong,
                (_, Some(slot)) => {
                    *slot = *byte;
                    self.length += 1;
                }
            }
        }
        self.state != State::Incomplete
    }

    /// The content of the line once no further bytes come, because the line is complete or the client has closed its
    /// sending side.
    #[must_use]
    pub fn parse(&self) -> ParsedName<'_> {
        match self.state {
            State::Incomplete if self.length == 0 => ParsedName::Nothing,
            State::Incomplete | State::Complete => self.parse_bytes(),
            State::TooLong => ParsedName::Invalid,
        }
    }

    /// The content of the line at the timeout: a name without a line end is unterminated.
    #[must_use]
    pub fn parse_at_timeout(&self) -> ParsedName<'_> {
        match (self.state, self.parse()) {
            (State::Incomplete, ParsedName::Name(name)) => ParsedName::Unterminated(name),
            (_, parsed) => parsed,
        }
    }

    fn parse_bytes(&self) -> ParsedName<'_> {
        let line = self.bytes.get(..usize::from(self.length));
        let line = line.unwrap_or_default();
        // Blanks and tabs only: any other control byte makes the line invalid.
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let start = line.iter().position(|byte| !is_blank(byte));
        let end = line.iter().rposition(|byte| !is_blank(byte));
        let (Some(start), Some(end)) = (start, end) else {
            return ParsedName::Empty;
        };
        match NameRef::parse(line.get(start..=end).unwrap_or_default()) {
            Some(name) => ParsedName::Name(name),
            None => ParsedName::Invalid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> NameRef<'_> {
        NameRef::parse(text.as_bytes()).unwrap()
    }

    fn line_of(bytes: &[u8]) -> FirstLine {
        let mut line = FirstLine::EMPTY;
        assert!(line.push(bytes), "{bytes:?}");
        line
    }

    #[test]
    fn first_line_is_the_name() {
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
                line_of(sent.as_bytes()).parse(),
                ParsedName::Name(name("web")),
                "{sent:?}"
            );
            // A complete line remains a name after the timeout.
            assert_eq!(
                line_of(sent.as_bytes()).parse_at_timeout(),
                ParsedName::Name(name("web")),
                "{sent:?}"
            );
        }
    }

    #[test]
    fn line_without_end_is_never_a_name() {
        let mut line = FirstLine::EMPTY;
        assert_eq!(line.parse_at_timeout(), ParsedName::Nothing);
        assert!(!line.push(b"we"));
        assert_eq!(
            line.parse_at_timeout(),
            ParsedName::Unterminated(name("we"))
        );
        assert!(!line.push(b""));
        assert!(!line.push(b"b"));
        assert_eq!(line.parse(), ParsedName::Name(name("web")));
        assert!(line.push(b"-admin\n"));
        assert_eq!(line.parse(), ParsedName::Name(name("web-admin")));
    }

    #[test]
    fn invalid_names_are_refused() {
        let assert_invalid =
            |bytes: &[u8]| assert_eq!(line_of(bytes).parse(), ParsedName::Invalid, "{bytes:?}");
        let lines = [
            "..\n",
            "../web\n",
            "/etc/passwd\n",
            "web api\n",
            "w\0b\n",
            "web\0\n",
            "\u{7f}\n",
        ];
        lines
            .iter()
            .for_each(|line| assert_invalid(line.as_bytes()));
        assert_invalid(b"\xff\xfe\n");
        assert_invalid(format!("{}\n", "x".repeat(65)).as_bytes());
        assert_invalid("x".repeat(14_000).as_bytes());
        assert_invalid(" ".repeat(129).as_bytes());
        for empty in ["\n", "\r\n", "  \n"] {
            assert_eq!(
                line_of(empty.as_bytes()).parse(),
                ParsedName::Empty,
                "{empty:?}"
            );
        }
    }

    #[test]
    fn default_service_applies_only_to_clients_that_send_nothing() {
        let web = name("web");
        let silent = FirstLine::EMPTY.parse_at_timeout();
        assert_eq!(silent.target(Some(web)), Target::Configured(web));
        assert_eq!(silent.target(None), Target::Unnamed(NoName::NotSent));
        for sent in ["\n", "we", " ", "..\n", "we be"] {
            let mut line = FirstLine::EMPTY;
            line.push(sent.as_bytes());
            let parsed = line.parse_at_timeout();
            assert!(
                matches!(parsed.target(Some(web)), Target::Unnamed(_)),
                "{sent:?}"
            );
        }
    }

    proptest! {
        /// The result does not depend on how the network splits the bytes.
        #[test]
        fn segmentation_does_not_change_the_result(
            bytes in prop_oneof![
                "[ a-z.\r\n]{0,20}".prop_map(String::into_bytes),
                prop::collection::vec(any::<u8>(), 0..300),
            ],
            cuts in prop::collection::vec(0_usize..300, 0..5),
        ) {
            let mut whole = FirstLine::EMPTY;
            let mut split = FirstLine::EMPTY;
            let complete = whole.push(&bytes);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            cuts.push(bytes.len());
            let mut start = 0;
            let mut complete_in_parts = false;
            for cut in cuts {
                complete_in_parts |= split.push(&bytes[start..cut]);
                start = cut;
            }
            prop_assert_eq!(complete, complete_in_parts);
            prop_assert_eq!(whole.parse(), split.parse());
            prop_assert_eq!(whole.parse_at_timeout(), split.parse_at_timeout());
            // A line without an end is never a name at the timeout.
            prop_assert!(complete || !matches!(split.parse_at_timeout(), ParsedName::Name(_)));
        }
    }
}
