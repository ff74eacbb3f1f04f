"""The filter decides as its tables say: its instructions are carried out here, one by one."""

from __future__ import annotations

import errno
import socket
import struct

import pytest

from sandbox import SandboxUnavailableError, bpf, seccomp
from sandbox.syscalls import HIGHEST_KNOWN, MACHINES

MACHINE_NAMES = ("x86_64", "aarch64")


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
def test_a_foreign_machine_is_killed(name: str) -> None:
    program = seccomp.program(name)
    assert decide(program, 0x40000003, 39) == bpf.KILL  # i386, by int 0x80
    assert len(program) % 8 == 0
    assert len(program) // 8 < 4096


def test_x32_is_killed_and_newer_calls_do_not_exist() -> None:
    program, machine = seccomp.program("x86_64"), MACHINES["x86_64"]
    assert decide(program, machine.audit_arch, 0x40000000 + 1) == bpf.KILL
    assert decide(program, machine.audit_arch, HIGHEST_KNOWN + 1) == bpf.ENOSYS
    assert decide(program, machine.audit_arch, HIGHEST_KNOWN) == bpf.ALLOW


def test_ordinary_calls_pass() -> None:
    program, machine = seccomp.program("x86_64"), MACHINES["x86_64"]
    for number in (0, 1, 2, 9, 59, 202, 257, 281, 318, 319, 332, 424, 434, 436, 439):
        assert decide(program, machine.audit_arch, number) == bpf.ALLOW


def test_forbidden_and_absent(verdict) -> None:  # type: ignore[no-untyped-def]
    for name in ("mount", "unshare", "setns", "ptrace", "keyctl", "bpf", "syslog", "mbind"):
        assert verdict(name) == bpf.EPERM
    for name in ("clone3", "io_uring_setup", "memfd_secret", "open_tree"):
        assert verdict(name) == bpf.ENOSYS


def test_every_listed_name_has_a_number() -> None:
    known = MACHINES["x86_64"].numbers
    listed = " ".join(names for names, _ in seccomp._CALLS).split()
    assert [name for name in listed if name not in known] == []
    assert len(set(listed)) == len(listed)


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


def test_ioctl_is_compared_by_its_low_half(verdict) -> None:  # type: ignore[no-untyped-def]
    assert verdict("ioctl", 0, 0x5401) == bpf.ALLOW
    assert verdict("ioctl", 0, 0x5412) == bpf.EPERM
    assert verdict("ioctl", 0, 0xDEADBEEF_00005412) == bpf.EPERM


def test_socket_families(verdict) -> None:  # type: ignore[no-untyped-def]
    refused = bpf.refuse(errno.EAFNOSUPPORT)
    for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6):
        assert verdict("socket", family, 1, 0) == bpf.ALLOW
    assert verdict("socket", socket.AF_NETLINK, 3, 0) == bpf.ALLOW
    assert verdict("socket", socket.AF_NETLINK, 3, 12) == refused
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
