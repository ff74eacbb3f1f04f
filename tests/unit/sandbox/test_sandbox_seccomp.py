"""The filter decides as its tables say: its instructions are carried out here, one by one."""

from __future__ import annotations

import errno
import socket
import struct

import pytest

from sandbox import SandboxUnavailableError, bpf, seccomp
from sandbox.syscalls import HIGHEST_KNOWN, MACHINES

MACHINE_NAMES = ("x86_64", "aarch64")
# A second time, by hand: what is lost from the filter's own lists is missed here.
REFUSED = {
    bpf.ENOSYS: """
        clone3 io_uring_setup io_uring_enter io_uring_register open_tree move_mount fsopen fsconfig
        fsmount fspick mount_setattr memfd_secret io_setup io_destroy io_submit io_cancel
        io_getevents io_pgetevents inotify_init inotify_init1 seccomp timerfd_create signalfd
        signalfd4 openat2 timer_create ustat sysfs landlock_create_ruleset landlock_add_rule
        landlock_restrict_self
    """,
    bpf.refuse(errno.EINVAL): "splice tee",
    bpf.refuse(0): "sync syncfs fsync fdatasync sync_file_range",
    bpf.refuse(errno.EOPNOTSUPP): "setxattr lsetxattr fsetxattr",
    bpf.EPERM: """
        mount umount2 pivot_root chroot unshare setns ptrace process_vm_readv process_vm_writev
        process_madvise pidfd_getfd kcmp add_key request_key keyctl bpf perf_event_open userfaultfd
        fanotify_init fanotify_mark name_to_handle_at open_by_handle_at lookup_dcookie nfsservctl
        kexec_load kexec_file_load init_module finit_module delete_module reboot clock_settime
        clock_adjtime settimeofday adjtimex sethostname setdomainname mbind set_mempolicy
        get_mempolicy migrate_pages move_pages set_mempolicy_home_node quotactl quotactl_fd swapon
        swapoff acct syslog vhangup iopl ioperm modify_ldt
    """,
}


def decide(program: bytes, arch: int, number: int, arguments: tuple[int, ...] = ()) -> int:
    """A classic BPF machine for `struct seccomp_data`."""
    data = struct.pack("=IIQ6Q", number, arch, 0, *arguments, *[0] * (6 - len(arguments)))
    steps = list(struct.iter_unpack("=HBBI", program))
    position, accumulator = 0, 0
    while True:
        code, if_true, if_false, k = steps[position]
        position += 1
        if code == 0x06:
            return k
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, k)
        elif code == 0x54:
            accumulator &= k
        else:
            met = {
                0x15: accumulator == k,
                0x35: accumulator >= k,
                0x45: bool(accumulator & k),
            }[code]
            position += if_true if met else if_false


@pytest.fixture(params=MACHINE_NAMES)
def verdict(request: pytest.FixtureRequest):  # type: ignore[no-untyped-def]
    machine = MACHINES[request.param]
    program = seccomp.program(request.param)

    def of(name: str, *arguments: int) -> int:
        return decide(program, machine.audit_arch, machine.numbers[name], arguments)

    return of


@pytest.mark.parametrize("name", MACHINE_NAMES)
def test_calls_of_a_foreign_machine_do_not_exist(name: str) -> None:
    """No verdict that the host would log."""
    program = seccomp.program(name)
    assert decide(program, 0x40000003, 39) == bpf.ENOSYS  # i386, by int 0x80
    verdicts = {k for code, _, _, k in struct.iter_unpack("=HBBI", program) if code == 0x06}
    assert {value & 0xFFFF0000 for value in verdicts} == {bpf.ALLOW, bpf.refuse(0)}
    assert len(program) % 8 == 0
    assert len(program) // 8 < 4096


def test_x32_and_newer_calls_do_not_exist() -> None:
    program, machine = seccomp.program("x86_64"), MACHINES["x86_64"]
    assert decide(program, machine.audit_arch, 0x40000000 + 1) == bpf.ENOSYS
    assert decide(program, machine.audit_arch, HIGHEST_KNOWN + 1) == bpf.ENOSYS
    assert decide(program, machine.audit_arch, 449) == bpf.ALLOW


def test_ordinary_calls_pass() -> None:
    for name, numbers in {
        "x86_64": (0, 1, 2, 9, 59, 202, 257, 281, 318, 319, 332, 424, 434, 436, 439),
        "aarch64": (56, 57, 63, 64, 93, 98, 214, 221, 222, 278, 279, 291, 424, 434, 436, 439),
    }.items():
        program, machine = seccomp.program(name), MACHINES[name]
        for number in numbers:
            assert decide(program, machine.audit_arch, number) == bpf.ALLOW


@pytest.mark.parametrize("name", MACHINE_NAMES)
def test_every_call_that_no_rule_names_passes(name: str) -> None:
    """And no rule takes a number that another machine uses for something else."""
    program, machine = seccomp.program(name), MACHINES[name]
    named = set(machine.numbers.values())
    decided = {
        number: decide(program, machine.audit_arch, number)
        for number in range(HIGHEST_KNOWN + 1)
        if number not in named
    }
    assert set(decided.values()) == {bpf.ALLOW}
    for number in (HIGHEST_KNOWN + 1, 4095, 0x3FFFFFFF):
        assert decide(program, machine.audit_arch, number) == bpf.ENOSYS


@pytest.mark.parametrize("machine", MACHINE_NAMES)
@pytest.mark.parametrize(("expected", "names"), REFUSED.items())
@pytest.mark.parametrize("argument", [0, 0xFFFFFFFF, 0xFFFFFFFF_FFFFFFFF])
def test_listed_calls_are_refused_whatever_their_arguments(
    machine: str, expected: int, names: str, argument: int
) -> None:
    program, known = seccomp.program(machine), MACHINES[machine]
    listed = [name for name in names.split() if name in known.numbers]
    for name in listed:
        got = decide(program, known.audit_arch, known.numbers[name], (argument,) * 6)
        assert got == expected, name
    missing_on_aarch64 = {"inotify_init", "signalfd", "iopl", "ioperm", "modify_ldt"}
    missing_on_aarch64 |= {"ustat", "sysfs"}
    left_out = set(names.split()) - set(listed)
    assert left_out <= (missing_on_aarch64 if machine == "aarch64" else set())


@pytest.mark.parametrize("high", [0, 0xDEADBEEF << 32], ids=["low half", "high half set"])
def test_every_value_that_a_rule_compares(verdict, high: int) -> None:  # type: ignore[no-untyped-def]
    """By the low 32 bits alone, on both machines."""
    for bit in range(32):
        flag = 1 << bit
        is_new = bool(flag & seccomp._NEW_NAMESPACES)
        shares_files = flag == 0x400
        expected = bpf.EPERM if is_new or shares_files else bpf.ALLOW
        assert verdict("clone", high | flag | 17) == expected
        assert verdict("clone", high | flag | 0x10400) == (bpf.EPERM if is_new else bpf.ALLOW)
    for command in range(2048):
        refused = dict.fromkeys((36, 37, 38), errno.EINVAL) | dict.fromkeys(
            (1024, 1026), errno.EPERM
        )
        expected = bpf.refuse(refused[command]) if command in refused else bpf.ALLOW
        assert verdict("fcntl", 3, high | command) == expected
    refused = bpf.refuse(errno.ENOTTY)
    terminals = (0x5412, 0x541C, 0x541D, 0x541E, 0x5422, 0x5423)
    bridges = (0x8940, 0x8941, 0x8982, 0x8983, 0x89A0, 0x89A1, 0x89A2, 0x89A3)
    stamps = (0x8906, 0x8907, 0x80108906, 0x80108907)
    disks = (0xC0C0583B, 0x8008662C, 0x80811501, 0x6612, 0x80086601, 0x4020940D, 0x1260)
    for request in (*terminals, *bridges, *stamps, *disks):
        assert verdict("ioctl", 0, high | request) == refused
    for request in (0x40049409, 0x8946):
        assert verdict("ioctl", 0, high | request) == bpf.refuse(errno.EOPNOTSUPP)
    for request in (0x5401, 0x5411, 0x5413, 0x541B, 0x5421, 0x5451, 0x8912, 0x8915, 0x8927):
        assert verdict("ioctl", 0, high | request) == bpf.ALLOW
    for option in range(128):
        expected = bpf.refuse(errno.EINVAL) if option in (22, 62) else bpf.ALLOW
        assert verdict("prctl", high | option) == expected
    assert verdict("prctl", high | 0x53564D41) == bpf.refuse(errno.EINVAL)
    for advice in range(8):
        expected = bpf.refuse(0) if advice == 4 else bpf.ALLOW
        assert verdict("fadvise64", 3, 0, 0, high | advice) == expected
    for bit in range(32):
        flag = 1 << bit
        expected = bpf.refuse(errno.EOPNOTSUPP) if flag == 0x8000 else bpf.ALLOW
        assert verdict("sendto", 3, 0, 0, high | flag | 0x4000) == expected
        assert verdict("sendmsg", 3, 0, high | flag | 0x4000) == expected
        assert verdict("sendmmsg", 3, 0, 0, high | flag | 0x4000) == expected
    for persona in (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF):
        assert verdict("personality", high | persona) == bpf.ALLOW
    for persona in (0x0040000, 0x0400000, 0x8000000, 0x1):
        assert verdict("personality", high | persona) == bpf.EPERM
    for mode, expected in ((0o777, bpf.ALLOW), (0o4755, bpf.EPERM), (0o2755, bpf.EPERM)):
        assert verdict("fchmod", 3, high | mode) == expected
        assert verdict("fchmodat", 3, 0, high | mode) == expected
    for kind, expected in (
        (0o010000, bpf.ALLOW),  # fifo
        (0o140000, bpf.ALLOW),  # socket
        (0o100000, bpf.ALLOW),  # regular file
        (0o020000, bpf.EPERM),  # character device
        (0o060000, bpf.EPERM),  # block device
    ):
        assert verdict("mknodat", 3, 0, high | kind | 0o600) == expected


@pytest.mark.parametrize("name", MACHINE_NAMES)
@pytest.mark.parametrize("high", [0, 0xDEADBEEF << 32], ids=["low half", "high half set"])
def test_what_goes_past_the_cache(name: str, high: int) -> None:
    """O_DIRECT is another bit on each machine."""
    program, machine = seccomp.program(name), MACHINES[name]
    direct = {"x86_64": 0x4000, "aarch64": 0x10000}[name]

    def verdict(call: str, *arguments: int) -> int:
        return decide(program, machine.audit_arch, machine.numbers[call], arguments)

    for bit in range(32):
        flags = high | 1 << bit
        expected = bpf.refuse(errno.EINVAL) if 1 << bit == direct else bpf.ALLOW
        assert verdict("openat", 3, 0, flags) == expected
        assert verdict("fcntl", 3, high | 4, flags) == expected
        assert verdict("fcntl", 3, high | 2, flags) == bpf.ALLOW
        if name == "x86_64":
            assert verdict("open", 0, flags) == expected
        assert verdict("preadv2", 3, 0, 1, 0, 0, flags) == bpf.refuse(errno.EOPNOTSUPP)
    assert verdict("preadv2", 3, 0, 1, 0, 0, high) == bpf.ALLOW


def test_every_kind_of_socket(verdict) -> None:  # type: ignore[no-untyped-def]
    unknown = bpf.refuse(errno.EPROTONOSUPPORT)
    high = 0xDEADBEEF << 32
    for call in ("socket", "socketpair"):
        for family in range(64):
            known = family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)
            error = errno.EOPNOTSUPP if family == socket.AF_NETLINK else errno.EAFNOSUPPORT
            expected = bpf.ALLOW if known else bpf.refuse(error)
            assert verdict(call, high | family, 1, 0) == expected, family
        for kind in range(16):
            for protocol in range(300):
                flagged = high | kind | 0x80800  # SOCK_CLOEXEC, SOCK_NONBLOCK
                of_unix = bpf.ALLOW if protocol in (0, 1) else unknown
                assert verdict(call, 1, flagged, protocol) == of_unix
                usual = {1: (0, 6), 2: (0, 17)}.get(kind)
                expected = bpf.EPERM if usual is None else unknown
                if usual is not None and protocol in usual:
                    expected = bpf.ALLOW
                for family in (socket.AF_INET, socket.AF_INET6):
                    got = verdict(call, family, flagged, high | protocol)
                    assert got == expected, (family, kind, protocol)


def test_socket_options_by_level_and_name(verdict) -> None:  # type: ignore[no-untyped-def]
    high = 0xDEADBEEF << 32
    of_level: dict[int, dict[int, int]] = {
        socket.SOL_SOCKET: dict.fromkeys(
            (26, 50, 51, 52, 37, 65, 60, 61, 29, 35, 63, 64), bpf.EPERM
        )
        | dict.fromkeys((8, 15), bpf.refuse(0)),
        socket.IPPROTO_IP: {11: bpf.refuse(0)},
        socket.IPPROTO_IPV6: dict.fromkeys((20, 27, 32, 42, 46), bpf.EPERM) | {25: bpf.refuse(0)},
        socket.IPPROTO_TCP: dict.fromkeys((14, 32, 38), bpf.EPERM)
        | {2: bpf.refuse(0), 31: bpf.refuse(errno.ENOENT)},
        socket.IPPROTO_UDP: dict.fromkeys((1, 100, 103, 104), bpf.EPERM),
        255: {},
    }
    for level, decided in of_level.items():
        for option in range(128):
            expected = decided.get(option, bpf.ALLOW)
            assert verdict("setsockopt", 3, high | level, high | option) == expected, (
                level,
                option,
            )


def test_socket_options_that_are_asked(verdict) -> None:  # type: ignore[no-untyped-def]
    for level in (socket.SOL_SOCKET, socket.IPPROTO_IP, socket.IPPROTO_TCP):
        for option in range(128):
            is_refused = (level, option) == (socket.IPPROTO_TCP, 35)
            expected = bpf.refuse(errno.EINVAL) if is_refused else bpf.ALLOW
            assert verdict("getsockopt", 3, level, 0xDEADBEEF << 32 | option) == expected


def test_the_limit_of_core_dumps_can_be_read_and_not_set(verdict) -> None:  # type: ignore[no-untyped-def]
    assert verdict("setrlimit", 4) == bpf.EPERM
    assert verdict("setrlimit", 7) == bpf.ALLOW
    assert verdict("prlimit64", 0, 4, 0, 0x7FFF0000) == bpf.ALLOW
    for pointer in (0x1000, 1 << 32, 0x7FFF_00001000):
        assert verdict("prlimit64", 0, 4, pointer) == bpf.EPERM
        assert verdict("prlimit64", 0, 7, pointer) == bpf.ALLOW


@pytest.mark.parametrize("name", MACHINE_NAMES)
def test_every_jump_stays_in_the_program(name: str) -> None:
    """What the kernel checks when the filter is attached, for the machine that is not here."""
    steps = list(struct.iter_unpack("=HBBI", seccomp.program(name)))
    for position, (code, if_true, if_false, k) in enumerate(steps):
        assert code in (0x20, 0x54, 0x06, 0x15, 0x35, 0x45)
        assert position + 1 + max(if_true, if_false) < len(steps) or code == 0x06
        assert code != 0x20 or (k % 4 == 0 and k < 64)
    assert steps[-1][0] == 0x06


def test_every_listed_name_has_a_number() -> None:
    known = MACHINES["x86_64"].numbers
    listed = " ".join(names for names, _ in seccomp._CALLS).split()
    assert sorted(listed) == sorted(" ".join(REFUSED.values()).split())
    assert [name for name in listed if name not in known] == []
    assert len(set(listed)) == len(listed)


def test_chmod_and_mknod_of_x86_64() -> None:
    """aarch64 has only the `at` forms."""
    program, machine = seccomp.program("x86_64"), MACHINES["x86_64"]
    for name, mode, expected in (
        ("chmod", 0o755, bpf.ALLOW),
        ("chmod", 0o4755, bpf.EPERM),
        ("mknod", 0o010600, bpf.ALLOW),
        ("mknod", 0o060600, bpf.EPERM),
    ):
        number = machine.numbers[name]
        assert decide(program, machine.audit_arch, number, (0, mode)) == expected


def test_what_would_touch_the_whole_host(verdict) -> None:  # type: ignore[no-untyped-def]
    for name in ("io_setup", "io_submit", "inotify_init1"):
        assert verdict(name) == bpf.ENOSYS
    for name in ("sync", "syncfs"):
        assert verdict(name) == bpf.refuse(0)
    assert verdict("fcntl", 3, 1026) == bpf.EPERM  # F_NOTIFY
    assert verdict("fcntl", 3, 1030) == bpf.ALLOW  # F_DUPFD_CLOEXEC


def test_huge_pages(verdict) -> None:  # type: ignore[no-untyped-def]
    assert verdict("mmap", 0, 4096, 3, 0x22) == bpf.ALLOW
    assert verdict("mmap", 0, 4096, 3, 0x40022) == bpf.EPERM
    assert verdict("memfd_create", 0, 1) == bpf.ALLOW
    assert verdict("memfd_create", 0, 4) == bpf.EPERM
    assert verdict("shmget", 0, 4096, 0o1600) == bpf.ALLOW
    assert verdict("shmget", 0, 4096, 0o5600) == bpf.EPERM


def test_clone_may_not_make_namespaces(verdict) -> None:  # type: ignore[no-untyped-def]
    assert verdict("clone", 0x003D0F00) == bpf.ALLOW  # pthread_create
    assert verdict("clone", 0x10000000 | 17) == bpf.EPERM


def test_socket_families(verdict) -> None:  # type: ignore[no-untyped-def]
    refused = bpf.refuse(errno.EAFNOSUPPORT)
    for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6):
        assert verdict("socket", family, 1, 0) == bpf.ALLOW
    assert verdict("socket", socket.AF_NETLINK, 3, 0) == bpf.refuse(errno.EOPNOTSUPP)
    for family in (17, 38, 40):  # packet, alg, vsock
        assert verdict("socket", family, 1, 0) == refused
    assert verdict("socketpair", socket.AF_UNIX, 1, 0) == bpf.ALLOW


def test_modes(verdict) -> None:  # type: ignore[no-untyped-def]
    assert verdict("fchmodat", 0, 0, 0o755) == bpf.ALLOW
    assert verdict("fchmodat", 0, 0, 0o4755) == bpf.EPERM
    assert verdict("fchmod", 3, 0o2755) == bpf.EPERM
    assert verdict("mknodat", 0, 0, 0o010600) == bpf.ALLOW  # a fifo
    assert verdict("mknodat", 0, 0, 0o060600) == bpf.EPERM  # a disk
    assert verdict("personality", 0xFFFFFFFF) == bpf.ALLOW
    assert verdict("personality", 0x0040000) == bpf.EPERM  # no address randomisation


def test_an_unknown_machine_is_a_problem_of_the_host() -> None:
    with pytest.raises(SandboxUnavailableError, match="no system call filter for riscv64"):
        seccomp.program("riscv64")
