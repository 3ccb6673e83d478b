//! Arguments and environment as the kernel leaves them on the stack at exec: a count, that many
//! addresses of C strings, a zero, the addresses of the environment's strings, a zero.
#![allow(unsafe_code)]

/// What the kernel handed to this process.
#[derive(Clone, Copy, Debug)]
pub struct Startup {
    arguments: *const *const u8,
    environment: *const *const u8,
}

impl Startup {
    /// Finds it from the stack pointer.
    ///
    /// # Safety
    /// `stack` is the stack pointer as the kernel set it at exec, and nothing changes what is above it
    /// while the process lives.
    #[must_use]
    pub unsafe fn from_stack(stack: *const usize) -> Self {
        // SAFETY: the kernel put the count there, that many addresses and a zero behind it, and then the
        // environment.
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

/// The strings of one of the two lists, without their final NUL.
#[derive(Clone, Debug)]
pub struct Strings {
    next: *const *const u8,
}

impl Iterator for Strings {
    type Item = &'static [u8];

    fn next(&mut self) -> Option<&'static [u8]> {
        // SAFETY: `next` never gets beyond the zero that ends the list, each address before it is that
        // of a string ending in NUL, and they live as long as the process (contract of from_stack).
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
    fn the_stack_is_read_as_the_kernel_lays_it_out() {
        let strings: [&[u8]; 4] = [b"program\0", b"--ask\0", b"\0", b"HOME=/\0"];
        let address = |index: usize| strings[index].as_ptr() as usize;
        let stack = [3, address(0), address(1), address(2), 0, address(3), 0];
        // SAFETY: laid out as the kernel does, and it outlives `startup`.
        let startup = unsafe { Startup::from_stack(stack.as_ptr()) };
        assert_eq!(
            startup.arguments().collect::<Vec<_>>(),
            [b"--ask".as_slice(), b""]
        );
        assert_eq!(startup.environment().collect::<Vec<_>>(), [b"HOME=/"]);

        let stack = [0, 0, 0];
        // SAFETY: the same.
        let startup = unsafe { Startup::from_stack(stack.as_ptr()) };
        assert_eq!(startup.arguments().count(), 0);
        assert_eq!(startup.environment().count(), 0);
    }
}
