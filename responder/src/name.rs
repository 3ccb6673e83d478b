//! A service's name where somebody else keeps the text: on the command line, in the environment, in what
//! a client has sent. [`ServiceName`] owns its bytes, 65 of them; handing it around by value made up a
//! fifth of the program.

use agentcheck_common::ServiceName;
use core::fmt;

/// Text that is a service's name: 1 to 64 bytes, as [`ServiceName::parse`] has it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name<'t>(&'t [u8]);

impl<'t> Name<'t> {
    /// The name in `text`; `None` where it is none.
    #[must_use]
    pub fn parse(text: &'t [u8]) -> Option<Self> {
        ServiceName::is_name(text).then_some(Self(text))
    }

    /// Its bytes, of ASCII.
    #[must_use]
    pub fn as_bytes(self) -> &'t [u8] {
        self.0
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}
