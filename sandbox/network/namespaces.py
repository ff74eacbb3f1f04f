"""Making and entering namespaces. Python 3.11 has no `os.unshare`, so libc is called."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from pathlib import Path

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
_IFF_UP = 0x1
_SIOCSIFADDR, _SIOCSIFNETMASK, _SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8916, 0x891C, 0x8913, 0x8914


def unshare(flags: int) -> None:
    """Move the calling thread to new namespaces. Raises OSError."""
    _check(_libc().unshare(ctypes.c_int(flags)), "unshare")


def enter(namespace_fd: int, kind: int) -> None:
    """Move the calling thread to the namespace of that kind (a CLONE_NEW* flag). Raises OSError."""
    _check(_libc().setns(ctypes.c_int(namespace_fd), ctypes.c_int(kind)), "setns")


def open_own(kind: str) -> int:
    """A descriptor of the calling thread's namespace: `net` or `user`."""
    return os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)


def make_user_namespace() -> int:
    """Enter a new user namespace with only our own ids in it; answers with its descriptor.

    For an ordinary user: it owns the network namespaces made afterwards, so a sandbox, whose
    user namespace lies below this one, has no power over them. Needs a single-threaded caller.
    """
    uid, gid = os.getuid(), os.getgid()
    unshare(CLONE_NEWUSER)
    _map("setgroups", "deny")
    _map("uid_map", f"{uid} {uid} 1")
    _map("gid_map", f"{gid} {gid} 1")
    return open_own("user")


def _map(file: str, text: str) -> None:
    Path("/proc/self", file).write_text(text, encoding="ascii")


def bring_up_loopback(address: str) -> None:
    """In the calling thread's network namespace: `lo` up, with `address`/32 next to 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
        flags = fcntl.ioctl(control, _SIOCGIFFLAGS, struct.pack("16sH22x", b"lo", 0))
        (current,) = struct.unpack("16xH22x", flags)
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", current | _IFF_UP))
        for request, value in ((_SIOCSIFADDR, address), (_SIOCSIFNETMASK, "255.255.255.255")):
            fcntl.ioctl(control, request, _address_request(b"lo:1", value))


def _address_request(interface: bytes, address: str) -> bytes:
    return struct.pack("16sHH4s16x", interface, socket.AF_INET, 0, socket.inet_aton(address))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
