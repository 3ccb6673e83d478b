//! A service name that borrows its text from the command line, the environment or a client's request.
//! [`ServiceName`] owns 65 bytes: passing it by value took a fifth of the program's size.

use agentcheck_common::ServiceName;
use core::fmt;

/// A service name: 1 to 64 bytes that [`ServiceName::parse`] accepts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NameRef<'t>(&'t [u8]);

impl<'t> NameRef<'t> {
    /// Returns `text` as a name, or `None` if it is not a service name.
    #[must_use]
    pub fn parse(text: &'t [u8]) -> Option<Self> {
        ServiceName::is_name(text).then_some(Self(text))
    }

    /// The bytes of the name; all are ASCII.
    #[must_use]
    pub fn as_bytes(self) -> &'t [u8] {
        self.0
    }
}

impl fmt::Debug for NameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}
