//! Reads systemd's socket activation from the environment: which descriptors are sockets for this process, and their
//! names in the socket unit (sd_listen_fds(3)).
//!
//! Not here: the type of each descriptor.

use crate::name::NameRef;
use crate::sys::Descriptor;
use crate::text::index_of;
use agentcheck_common::decimal::parse_decimal;

/// The sockets that the service manager passed to this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activation<'a> {
    count: u16,
    names: &'a [u8],
}

/// The first descriptor of the passed sockets.
const FIRST: usize = 3;

impl<'a> Activation<'a> {
    /// Reads the activation from the environment. The result is empty if the variables are for another process than
    /// `own_id()`. `own_id` is called only if the variables exist.
    pub fn read(environment: impl Iterator<Item = &'a [u8]>, own_id: impl FnOnce() -> u32) -> Self {
        let mut values = [b"".as_slice(); 3];
        for variable in environment {
            // Skips nearly all variables.
            let Some(variable) = variable.strip_prefix(b"LISTEN_".as_slice()) else {
                continue;
            };
            let mut parts = variable.splitn(2, |byte| *byte == b'=');
            let name = parts.next().unwrap_or_default();
            let index = index_of(b"PID\nFDS\nFDNAMES", name);
            if let Some(slot) = index.and_then(|index| values.get_mut(index)) {
                *slot = parts.next().unwrap_or_default();
            }
        }
        let [process, count, names] = values;
        match (number(process), number(count)) {
            (Some(process), Some(count)) if process == own_id() => Self {
                count: u16::try_from(count).unwrap_or(u16::MAX),
                names,
            },
            _ => Self::default(),
        }
    }

    /// Each descriptor with the service that `FileDescriptorName=` of its socket unit names. Standard input if no socket
    /// was passed.
    pub fn sockets(&self) -> impl Iterator<Item = (Descriptor, Option<NameRef<'a>>)> + use<'a> {
        let mut names = self.names.split(|byte| *byte == b':');
        let (first, count) = match self.count {
            0 => (Descriptor::STDIN.0, 1),
            count => (FIRST, usize::from(count)),
        };
        (first..first + count)
            .map(move |number| (Descriptor(number), names.next().and_then(service)))
    }

    /// The first descriptor after the passed sockets.
    #[must_use]
    pub fn end(&self) -> Descriptor {
        Descriptor(FIRST + usize::from(self.count))
    }

    /// Whether no socket was passed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// The service that a descriptor name selects. systemd's default names select no service: the socket unit's own name,
/// and the four words of sd_listen_fds_with_names(3).
fn service(name: &[u8]) -> Option<NameRef<'_>> {
    let is_default = index_of(b"unknown\nconnection\nstored\nvarlink", name).is_some();
    if is_default || name.ends_with(b".socket") {
        return None;
    }
    NameRef::parse(name)
}

fn number(digits: &[u8]) -> Option<u32> {
    u32::try_from(parse_decimal(digits)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets(environment: &[&str]) -> Vec<(usize, Option<String>)> {
        let variables = environment.iter().map(|variable| variable.as_bytes());
        let activation = Activation::read(variables, || 42);
        activation
            .sockets()
            .map(|(descriptor, name)| {
                (
                    descriptor.0,
                    name.map(|name| String::from_utf8(name.as_bytes().to_vec()).unwrap()),
                )
            })
            .collect()
    }

    #[test]
    fn service_names_come_from_the_socket_units() {
        let names = "LISTEN_FDNAMES=web:agentcheck.socket:api";
        assert_eq!(
            sockets(&["PATH=/", "LISTEN_PID=42", "LISTEN_FDS=4", names]),
            [
                (3, Some("web".into())),
                (4, None),
                (5, Some("api".into())),
                (6, None)
            ]
        );
        assert_eq!(sockets(&["LISTEN_FDS=1", "LISTEN_PID=42"]), [(3, None)]);
        for default in [
            "unknown",
            "connection",
            "stored",
            "agentcheck@web.socket",
            "a b",
            "",
        ] {
            let names = format!("LISTEN_FDNAMES={default}");
            assert_eq!(
                sockets(&["LISTEN_PID=42", "LISTEN_FDS=1", &names]),
                [(3, None)]
            );
        }
    }

    #[test]
    fn variables_for_another_process_and_malformed_ones_are_ignored() {
        for environment in [
            ["LISTEN_PID=41", "LISTEN_FDS=1"],
            ["LISTEN_PID=42", "LISTEN_FDS=0"],
            ["LISTEN_PID=42", "LISTEN_FDS="],
            ["LISTEN_PID=42", "LISTEN_FDS=-1"],
            ["LISTEN_PID=42", "LISTEN_FDS=99999999999"],
            ["LISTEN_PID=", "LISTEN_FDS=1"],
            ["LISTEN_PID=42", "XLISTEN_FDS=1"],
        ] {
            assert_eq!(sockets(&environment), [(0, None)], "{environment:?}");
        }
    }
}
