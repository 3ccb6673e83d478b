"""linux-3.10.py PROGRAM [ARGUMENT...]: runs a program with the system calls of Linux 3.10 on x86_64.

A seccomp filter answers ENOSYS to every newer call. What is newer in an older call, such as a flag, remains.
"""

import ctypes
import os
import struct
import sys

LAST = 313  # finit_module, of Linux 3.8: 3.10 has no newer one.
ENOSYS = 38
X86_64 = 0xC000003E
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
LOAD, JUMP_EQUAL, JUMP_GREATER, RETURN = 0x20, 0x15, 0x25, 0x06
# Architecture, then number, from struct seccomp_data.
FILTER = [
    (LOAD, 0, 0, 4),
    (JUMP_EQUAL, 0, 3, X86_64),
    (LOAD, 0, 0, 0),
    (JUMP_GREATER, 0, 1, LAST),
    (RETURN, 0, 0, ERRNO | ENOSYS),
    (RETURN, 0, 0, ALLOW),
]
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2

libc = ctypes.CDLL(None, use_errno=True)
program = b"".join(struct.pack("HBBI", *instruction) for instruction in FILTER)
buffer = ctypes.create_string_buffer(program, len(program))
descriptor = struct.pack("HxxxxxxP", len(FILTER), ctypes.addressof(buffer))
if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, descriptor, 0, 0):
    sys.exit(f"cannot set the filter: {os.strerror(ctypes.get_errno())}")
os.execv(sys.argv[1], sys.argv[1:])
