//! Arguments and environment as the kernel puts them on the stack at exec: a count, that many addresses of C strings, a
//! zero, the addresses of the environment's strings, a zero.
#![allow(unsafe_code)]

/// The arguments and the environment of this process.
#[derive(Clone, Copy, Debug)]
pub struct Startup {
    arguments: *const *const u8,
    environment: *const *const u8,
}

impl Startup {
    /// Locates both from the stack pointer.
    ///
    /// # Safety
    /// `stack` must be the stack pointer as the kernel set it at exec, and the memory above it must not change while the
    /// process lives.
    #[must_use]
    pub unsafe fn from_stack(stack: *const usize) -> Self {
        // SAFETY: the kernel put the count there, then that many addresses and a zero, then the environment.
        unsafe {
            let count = *stack;
            let arguments = stack.add(1).cast::<*const u8>();
            Self {
                // The first is the program's own name; with a count of 0 there is only the zero.
                arguments: arguments.add(usize::from(count > 0)),
                environment: arguments.add(count + 1),
            }
        }
    }

    /// The arguments without the program's name.
    #[must_use]
    pub fn arguments(&self) -> Strings {
        Strings {
            next: self.arguments,
        }
    }

    /// The environment, each as `KEY=VALUE`.
    #[must_use]
    pub fn environment(&self) -> Strings {
        Strings {
            next: self.environment,
        }
    }
}

/// An iterator over the strings of one list, without their final NUL.
#[derive(Clone, Debug)]
pub struct Strings {
    next: *const *const u8,
}

impl Iterator for Strings {
    type Item = &'static [u8];

    fn next(&mut self) -> Option<&'static [u8]> {
        // SAFETY: `next` never passes the zero that ends the list. Each address before it is that of a string that ends
        // with a NUL and lives as long as the process (contract of from_stack).
        unsafe {
            let string = *self.next;
            if string.is_null() {
                return None;
            }
            self.next = self.next.add(1);
            let mut length = 0;
            while *string.add(length) != 0 {
                length += 1;
            }
            Some(core::slice::from_raw_parts(string, length))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stack_layout_of_the_kernel_is_read() {
        let strings: [&[u8]; 4] = [b"program\0", b"--name-from-client\0", b"\0", b"HOME=/\0"];
        let address = |index: usize| strings[index].as_ptr() as usize;
        let stack = [3, address(0), address(1), address(2), 0, address(3), 0];
        // SAFETY: the array has the kernel's layout and outlives `startup`.
        let startup = unsafe { Startup::from_stack(stack.as_ptr()) };
        assert_eq!(
            startup.arguments().collect::<Vec<_>>(),
            [b"--name-from-client".as_slice(), b""]
        );
        assert_eq!(startup.environment().collect::<Vec<_>>(), [b"HOME=/"]);

        let stack = [0, 0, 0];
        // SAFETY: as above.
        let startup = unsafe { Startup::from_stack(stack.as_ptr()) };
        assert_eq!(startup.arguments().count(), 0);
        assert_eq!(startup.environment().count(), 0);
    }
}
