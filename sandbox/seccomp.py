"""Which system calls a program may not make: a deny list with an ENOSYS ceiling.

The walls are the namespaces, the uid and the control groups; this keeps programs away from kernel
code that no strategy needs and that past escapes came through.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator

from sandbox import bpf
from sandbox.errors import Problem, SandboxUnavailableError
from sandbox.syscalls import HIGHEST_KNOWN, MACHINES, Machine

# Callers ask for these first and fall back when they do not exist.
_ABSENT = (
    "clone3 io_uring_setup io_uring_enter io_uring_register open_tree move_mount fsopen fsconfig"
    " fsmount fspick mount_setattr memfd_secret"
    # Of these contexts one program could take all that the host has.
    " io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents"
    # A watch on the shared runtime tells what neighbours import, and when.
    " inotify_init inotify_init1"
    # Of the memory for compiled filters the host has one amount; without it no sandbox starts.
    " seccomp"
    # A timer wakes all who wait for these in an interrupt, at the cost of whoever runs just then.
    " timerfd_create signalfd signalfd4"
    # So do thousands of these that are due at once; a process has one by setitimer.
    " timer_create"
    # How full any file system of the host is, a neighbour's workspace among them.
    " ustat sysfs"
    # What these refuse is a record of the host's audit log.
    " landlock_create_ruleset landlock_add_rule landlock_restrict_self"
    # Its flags lie in memory, where no filter sees them.
    " openat2"
)
# What was sent to a socket would leave it, unread, for where its pages are counted nowhere.
_INVALID = "splice tee"
# All that a program can write lies in memory; these would make the host's disks work.
_WITHOUT_EFFECT = "sync syncfs fsync fdatasync sync_file_range"
# Access control lists are memory of the kernel that nothing counts, 128 KB for each folder.
_UNSUPPORTED = "setxattr lsetxattr fsetxattr"
_FORBIDDEN = (
    "mount umount2 pivot_root chroot unshare setns"  # the walls themselves
    " ptrace process_vm_readv process_vm_writev process_madvise pidfd_getfd kcmp"
    " add_key request_key keyctl"  # keyrings know no namespace
    " bpf perf_event_open userfaultfd fanotify_init fanotify_mark"
    " name_to_handle_at open_by_handle_at lookup_dcookie nfsservctl"
    " kexec_load kexec_file_load init_module finit_module delete_module reboot"
    " clock_settime clock_adjtime settimeofday adjtimex sethostname setdomainname"
    " mbind set_mempolicy get_mempolicy migrate_pages move_pages set_mempolicy_home_node"
    " quotactl quotactl_fd swapon swapoff acct syslog vhangup iopl ioperm modify_ldt"
)
_NEW_NAMESPACES = 0x7E020000  # CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
# Those that programs make of pipes, sockets and files. Others tell about the host's disk, by way of
# the runtime that lies on it, have the host load a module (bridges, VLANs) or its code rewritten
# (SIOCGSTAMP, as SO_TIMESTAMP below).
_REQUESTS = (
    *(0x5401, 0x540F, 0x5413),  # TCGETS (isatty), TIOCGPGRP, TIOCGWINSZ
    *(0x5411, 0x541B, 0x8905),  # SIOCOUTQ, FIONREAD, SIOCATMARK
    *(0x5421, 0x5450, 0x5451, 0x5452),  # FIONBIO, FIONCLEX, FIOCLEX, FIOASYNC
    *(0x8901, 0x8902, 0x8903, 0x8904),  # FIOSETOWN, SIOCSPGRP, FIOGETOWN, SIOCGPGRP
    # SIOCGIFNAME, CONF, FLAGS, ADDR, DSTADDR, BRDADDR, NETMASK, METRIC, MTU, HWADDR, INDEX, TXQLEN
    *(0x8910, 0x8912, 0x8913, 0x8915, 0x8917, 0x8919),
    *(0x891B, 0x891D, 0x8921, 0x8927, 0x8933, 0x8942),
)
# FICLONE (Python 3.14 copies files by it), SIOCETHTOOL (psutil): they go on without when the answer
# is this one, and not the usual ENOTTY.
_OPTIONAL_REQUESTS = (0x40049409, 0x8946)
# PR_SET_SECCOMP as above; PR_SCHED_CORE keeps neighbours off a processor; PR_SET_VMA: names of
# mappings, which nothing counts.
_PROCESS_OPTIONS = (22, 62, 0x53564D41)
_DONTNEED = 4  # POSIX_FADV_: has neighbours read the shared runtime from the disk again
# What is kept back for more to come lies in a queue that is counted by nothing (UDP).
_MSG_MORE = 0x8000
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
_FILE_COMMANDS = {
    # F_SETLEASE: who opens a file of the shared runtime waits for who leased it. F_NOTIFY: the
    # older kind of watch.
    **dict.fromkeys((1024, 1026), bpf.EPERM),
    # F_OFD_GETLK, _SETLK, _SETLKW: locks of no process, which `locks` cannot tell from those of
    # others. They are newer than what databases ask for.
    **dict.fromkeys((36, 37, 38), bpf.refuse(errno.EINVAL)),
}
_SET_FLAGS = 4  # F_SETFL
_CLONE_FILES, _CLONE_THREAD = 0x400, 0x10000
# Huge pages that an administrator set aside are counted by no limit of ours.
_MAP_HUGETLB, _MFD_HUGETLB, _SHM_HUGETLB = 0x40000, 0x4, 0o4000
_PROTOCOLS_OF_UNIX = (0, 1)
_PROTOCOLS_OF_TYPE = {
    socket.SOCK_STREAM: (0, socket.IPPROTO_TCP),
    socket.SOCK_DGRAM: (0, socket.IPPROTO_UDP),
}
_SOCKET_TYPE = 0xF
# What a socket holds beyond its protocol's counted memory is counted by no limit of a run, up to
# SO_RCVBUF for each of its sockets; the kernel, too, gives less than asked without a word. Ignored
# is what libraries take for the end of their socket when it fails: libc's resolver asks for the
# queue of errors, and does without.
_IGNORED = bpf.refuse(0)
_SO_RCVBUF, _SO_REUSEPORT, _IP_RECVERR, _IPV6_RECVERR = 8, 15, 11, 25
_SOCKET_OPTIONS = {
    socket.SOL_SOCKET: {
        # SO_ATTACH_FILTER, _BPF, _REUSEPORT_CBPF, _EBPF: compiled code of the kernel
        **dict.fromkeys((26, 50, 51, 52), bpf.EPERM),
        # SO_TIMESTAMPING (old, new), SO_ZEROCOPY, SO_TXTIME: the queue of errors
        **dict.fromkeys((37, 65, 60, 61), bpf.EPERM),
        # SO_TIMESTAMP, SO_TIMESTAMPNS (old, new): the first who asks, and the last who does not any
        # more, have code of the kernel rewritten, which interrupts every processor of the host.
        **dict.fromkeys((29, 35, 63, 64), bpf.EPERM),
        _SO_RCVBUF: _IGNORED,
        _SO_REUSEPORT: _IGNORED,  # 2 KB for each socket
    },
    socket.IPPROTO_TCP: {
        socket.TCP_MAXSEG: _IGNORED,  # what receives small segments pays for them
        # TCP_MD5SIG, TCP_MD5SIG_EXT, TCP_AO_ADD_KEY: a list without a counter
        **dict.fromkeys((14, 32, 38), bpf.EPERM),
        # TCP_ULP: encryption by the kernel, which has pages of its own
        31: bpf.refuse(errno.ENOENT),
    },
    socket.IPPROTO_IP: {_IP_RECVERR: _IGNORED},
    socket.IPPROTO_IPV6: {
        # IPV6_JOIN_GROUP, _JOIN_ANYCAST, MCAST_JOIN_GROUP, _JOIN_SOURCE_GROUP: more of them than of
        # IPv4's, counted by nothing. IPV6_FLOWLABEL_MGR: one table for the whole host.
        **dict.fromkeys((20, 27, 42, 46, 32), bpf.EPERM),
        _IPV6_RECVERR: _IGNORED,
    },
    # UDP_CORK; UDP_SEGMENT: one packet for the pace of the network, and 64 behind it; UDP_ENCAP,
    # UDP_GRO: code is rewritten for them as well
    socket.IPPROTO_UDP: dict.fromkeys((1, 103, 100, 104), bpf.EPERM),
}
_ZEROCOPY_RECEIVE = 35
_RLIMIT_CORE = 4
_FILE_TYPE = 0o170000  # of a mode
_CALLS = (
    (_ABSENT, bpf.ENOSYS),
    (_FORBIDDEN, bpf.EPERM),
    (_UNSUPPORTED, bpf.refuse(errno.EOPNOTSUPP)),
    (_INVALID, bpf.refuse(errno.EINVAL)),
    (_WITHOUT_EFFECT, bpf.refuse(0)),  # no error: the call answers 0
)


def program(machine: str | None = None) -> bytes:
    """The filter for this machine. Raises `SandboxUnavailableError` on one we have none for."""
    name = machine or os.uname().machine
    if name not in MACHINES:
        what = f"no system call filter for {name}; there is one for {' and '.join(MACHINES)}"
        raise SandboxUnavailableError([Problem(what, "use a host of one of these")])
    return bpf.assemble(_pieces(MACHINES[name]))


def _pieces(machine: Machine) -> Iterator[list[bpf.Instruction]]:
    # Not killed, neither here nor below: each would be a line of the host's audit log.
    yield bpf.unless_machine(machine.audit_arch, bpf.ENOSYS)
    yield bpf.load_number()
    if machine.foreign_from is not None:
        yield bpf.from_number(machine.foreign_from, bpf.ENOSYS)
    yield bpf.from_number(HIGHEST_KNOWN + 1, bpf.ENOSYS)
    for name, decision in _by_argument(machine).items():
        if name in machine.numbers:
            yield bpf.call_if(machine.numbers[name], decision)
    for names, value in _CALLS:
        for name in names.split():
            if name in machine.numbers:
                yield bpf.call(machine.numbers[name], value)
    yield bpf.verdict(bpf.ALLOW)


def _by_argument(machine: Machine) -> dict[str, list[bpf.Instruction]]:
    set_id = stat.S_ISUID | stat.S_ISGID
    devices = (stat.S_IFCHR, stat.S_IFBLK)
    unsupported = bpf.refuse(errno.EOPNOTSUPP)
    # Past the cache the host's disk works for each read; and a flag of preadv2 tells what is in it.
    direct = machine.o_direct, bpf.refuse(errno.EINVAL), bpf.ALLOW
    return {
        "clone": _clone(),
        "fcntl": [
            *bpf.argument_is(1, _SET_FLAGS, bpf.argument_has(2, *direct)),
            *bpf.argument_among(1, _FILE_COMMANDS, bpf.ALLOW),
        ],
        "open": bpf.argument_has(1, *direct),
        "openat": bpf.argument_has(2, *direct),
        "preadv2": bpf.argument_has(5, 0xFFFFFFFF, unsupported, bpf.ALLOW),
        "ioctl": bpf.argument_among(
            1,
            {
                **dict.fromkeys(_REQUESTS, bpf.ALLOW),
                **dict.fromkeys(_OPTIONAL_REQUESTS, unsupported),
            },
            bpf.refuse(errno.ENOTTY),
        ),
        "prctl": bpf.argument_in(0, _PROCESS_OPTIONS, bpf.refuse(errno.EINVAL), bpf.ALLOW),
        "fadvise64": bpf.argument_in(3, (_DONTNEED,), bpf.refuse(0), bpf.ALLOW),
        "sendto": bpf.argument_has(3, _MSG_MORE, unsupported, bpf.ALLOW),
        "sendmsg": bpf.argument_has(2, _MSG_MORE, unsupported, bpf.ALLOW),
        "sendmmsg": bpf.argument_has(3, _MSG_MORE, unsupported, bpf.ALLOW),
        "socket": _socket(),
        "socketpair": _socket(),
        "setsockopt": _socket_options(),
        # TCP_ZEROCOPY_RECEIVE: pages that nobody counts would be the program's
        "getsockopt": [
            *bpf.argument_is(
                1,
                socket.IPPROTO_TCP,
                bpf.argument_in(2, (_ZEROCOPY_RECEIVE,), bpf.refuse(errno.EINVAL), bpf.ALLOW),
            ),
            *bpf.verdict(bpf.ALLOW),
        ],
        # One byte keeps a core dump from the host's crash handler, and no byte does not.
        "setrlimit": bpf.argument_in(0, (_RLIMIT_CORE,), bpf.EPERM, bpf.ALLOW),
        "prlimit64": [
            *bpf.argument_is(1, _RLIMIT_CORE, bpf.argument_null(2, bpf.ALLOW, bpf.EPERM)),
            *bpf.verdict(bpf.ALLOW),
        ],
        "personality": bpf.argument_in(0, _PERSONALITIES, bpf.ALLOW, bpf.EPERM),
        "chmod": bpf.argument_has(1, set_id, bpf.EPERM, bpf.ALLOW),
        "fchmod": bpf.argument_has(1, set_id, bpf.EPERM, bpf.ALLOW),
        "fchmodat": bpf.argument_has(2, set_id, bpf.EPERM, bpf.ALLOW),
        "mmap": bpf.argument_has(3, _MAP_HUGETLB, bpf.EPERM, bpf.ALLOW),
        "memfd_create": bpf.argument_has(1, _MFD_HUGETLB, bpf.EPERM, bpf.ALLOW),
        "shmget": bpf.argument_has(2, _SHM_HUGETLB, bpf.EPERM, bpf.ALLOW),
        "mknod": bpf.masked(_FILE_TYPE, bpf.argument_in(1, devices, bpf.EPERM, bpf.ALLOW)),
        "mknodat": bpf.masked(_FILE_TYPE, bpf.argument_in(2, devices, bpf.EPERM, bpf.ALLOW)),
    }


def _clone() -> list[bpf.Instruction]:
    """No namespace, and no process that shares descriptors: what it locked stays when it is gone,
    and is in no list then that `locks` could read."""
    return [
        *bpf.argument_has(0, _NEW_NAMESPACES, bpf.EPERM, bpf.ALLOW)[:-1],
        *bpf.argument_has(0, _CLONE_THREAD, bpf.ALLOW, bpf.ALLOW)[:-1],
        *bpf.argument_has(0, _CLONE_FILES, bpf.EPERM, bpf.ALLOW),
    ]


def _socket() -> list[bpf.Instruction]:
    """UNIX, TCP and UDP; AF_VSOCK, for one, would reach the hypervisor, and what netlink answers is
    uncounted memory. Asking for a rare type or protocol would have the host load its module."""
    unknown = bpf.refuse(errno.EPROTONOSUPPORT)
    of_unix = bpf.argument_in(2, _PROTOCOLS_OF_UNIX, bpf.ALLOW, unknown)
    of_internet = [
        step
        for kind, protocols in _PROTOCOLS_OF_TYPE.items()
        for step in bpf.masked(
            _SOCKET_TYPE,
            bpf.argument_is(1, kind, bpf.argument_in(2, protocols, bpf.ALLOW, unknown)),
        )
    ] + bpf.verdict(bpf.EPERM)
    return [
        *bpf.argument_is(0, socket.AF_UNIX, of_unix),
        *bpf.argument_is(0, socket.AF_INET, of_internet),
        *bpf.argument_is(0, socket.AF_INET6, of_internet),
        # ZeroMQ ends its process over any other error, and does without for this one.
        *bpf.argument_is(0, socket.AF_NETLINK, bpf.verdict(bpf.refuse(errno.EOPNOTSUPP))),
        *bpf.verdict(bpf.refuse(errno.EAFNOSUPPORT)),
    ]


def _socket_options() -> list[bpf.Instruction]:
    levels = [
        step
        for level, options in _SOCKET_OPTIONS.items()
        for step in bpf.argument_is(1, level, bpf.argument_among(2, options, bpf.ALLOW))
    ]
    return [*levels, *bpf.verdict(bpf.ALLOW)]
