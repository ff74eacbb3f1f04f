"""Programs that look for a way out: each says what it saw, and the host must be as before."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from attempts import PRELUDE, attempt
from sealed import Box


@pytest.fixture
def secret() -> Iterator[str]:
    """A value that is in the runner's environment and in the argv of a process of the host."""
    value = f"platform-secret-{os.getpid()}"
    os.environ["PLATFORM_SECRET"] = value
    with subprocess.Popen(["sleep", "300"], env={"X": value}) as process:
        yield value
        process.kill()
    del os.environ["PLATFORM_SECRET"]


def test_environments_and_command_lines_of_others(box: Box, secret: str) -> None:
    result = box.run(
        PRELUDE
        + """
seen = {}
for pid in filter(str.isdigit, os.listdir("/proc")):
    seen[pid] = [read(f"/proc/{pid}/environ"), read(f"/proc/{pid}/cmdline")]
print(json.dumps(seen))
""",
        env={"OWN": "mine-alone"},
    )
    assert set(result.seen) == {"1", "2"}
    assert "mine-alone" not in str(result.seen["1"])
    assert secret not in result.stdout
    assert "PATH" not in str(result.seen["1"])


def test_only_three_descriptors_are_open(box: Box) -> None:
    result = attempt(
        box,
        """
def target(pid, fd):
    try:
        return os.readlink(f"/proc/{pid}/fd/{fd}")
    except OSError as error:
        return error.errno
mine = [fd for fd in range(4096) if tried(lambda: os.fstat(fd)) == 0]
try:
    of_pid_one = [target(1, fd) for fd in os.listdir("/proc/1/fd")]
except OSError as error:
    of_pid_one = error.errno
print(json.dumps([mine, of_pid_one]))
""",
    )
    mine, of_pid_one = result.seen
    assert mine == [0, 1, 2]
    assert of_pid_one == errno.EACCES or not any(
        word in str(target) for target in of_pid_one for word in ("memfd", "net:", "cgroup")
    )


def test_files_of_the_host(box: Box) -> None:
    paths = ["/etc/shadow", "/root", "/home", "/var", "/run", "/sys", "/boot", "/proc/1/root/root"]
    result = attempt(box, f"print(json.dumps([read(p) for p in {paths!r}]))\n")
    assert all(seen in (errno.ENOENT, errno.EACCES, errno.EPERM) for seen in result.seen)


def test_the_read_only_parts_cannot_be_written(box: Box) -> None:
    paths = ["/x", "/etc/hosts", "/usr/lib/python3.11/os.py", "/usr/bin/x", "/dev/x", "/proc/x"]
    result = attempt(box, f"print(json.dumps([tried(lambda: open(p, 'w')) for p in {paths!r}]))\n")
    expected = (errno.EROFS, errno.EACCES, errno.ENOENT)
    assert all(seen in expected for seen in result.seen)


def test_kernel_settings_cannot_be_written(box: Box) -> None:
    settings = [
        "kernel/core_pattern",
        "kernel/hostname",
        "vm/drop_caches",
        "user/max_user_namespaces",
    ]
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    result = attempt(
        box,
        f"""
paths = ["/proc/sys/" + name for name in {settings!r}] + ["/proc/sysrq-trigger"]
print(json.dumps([tried(lambda: open(path, "w").write("1")) for path in paths]))
""",
    )
    denied = (errno.EROFS, errno.EACCES, errno.EPERM)
    assert all(seen in denied for seen in result.seen[:-1]), result.seen
    assert result.seen[-1] in (*denied, errno.ENOENT)  # a kernel may be built without it
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before


def test_what_the_kernel_tells_everyone_is_hidden(box: Box) -> None:
    names = [
        "keys",
        "key-users",
        "timer_list",
        "kcore",
        "config.gz",
        "cmdline",
        "kallsyms",
        "interrupts",
    ]
    result = attempt(box, f"print(json.dumps([read('/proc/' + n) for n in {names!r}]))\n")
    assert all(seen in (errno.EACCES, errno.ENOENT, errno.EPERM, "") for seen in result.seen)


def test_kernel_log(box: Box) -> None:
    result = attempt(
        box,
        """
buffer = ctypes.create_string_buffer(4096)
print(json.dumps([call(libc.klogctl, 3, buffer, 4096), read("/dev/kmsg"), read("/proc/kmsg")]))
""",
    )
    assert result.seen[0] == errno.EPERM
    assert all(seen in (errno.ENOENT, errno.EACCES, errno.EPERM) for seen in result.seen[1:])


def test_identities_cannot_be_changed(box: Box) -> None:
    result = attempt(
        box,
        """
print(json.dumps([os.getresuid(), os.getgroups(), tried(lambda: os.setuid(0)),
                  tried(lambda: os.setgid(0)), tried(lambda: os.setgroups([0])),
                  tried(lambda: os.chown("main.py", 0, 0)), os.stat("main.py").st_uid]))
""",
    )
    ids, groups, *refused, owner = result.seen
    assert ids == [1000] * 3
    assert set(groups) <= (set() if os.geteuid() == 0 else {1000, 65534})
    assert all(seen in (errno.EPERM, errno.EINVAL) for seen in refused)
    assert owner == 1000


def test_mounts_and_roots(box: Box) -> None:
    result = attempt(
        box,
        """
print(json.dumps([
    call(libc.mount, b"none", b"/tmp", b"tmpfs", 0, None),
    call(libc.mount, b"none", b"/", None, 32, None),
    call(libc.umount2, b"/proc/sys", 2),
    call(libc.pivot_root, b"/tmp", b"/tmp") if hasattr(libc, "pivot_root") else errno.EPERM,
    tried(lambda: os.chroot("/tmp")),
    call(libc.syscall, 428, -100, b"/", 1),
]))
""",
    )
    assert result.seen == [errno.EPERM] * 5 + [errno.ENOSYS]


def test_new_namespaces(box: Box) -> None:
    result = attempt(
        box,
        """
flags = [0x10000000, 0x00020000, 0x40000000, 0x20000000, 0x08000000, 0x04000000, 0x02000000]
seen = [call(libc.unshare, flag) for flag in flags]
seen += [call(libc.syscall, 56, flag | 17, 0, 0, 0, 0) for flag in flags]
own = os.open("/proc/self/ns/net", os.O_RDONLY)
seen.append(call(libc.setns, own, 0))
seen.append(tried(lambda: os.open("/proc/1/ns/net", os.O_RDONLY) and None))
print(json.dumps(seen))
""",
    )
    assert result.seen[:-1] == [errno.EPERM] * 15
    assert result.seen[-1] in (0, errno.EACCES, errno.EPERM)


def test_other_processes_memory(box: Box) -> None:
    result = attempt(
        box,
        """
print(json.dumps([
    call(libc.ptrace, 16, 1, 0, 0),
    call(libc.process_vm_readv, 1, None, 0, None, 0, 0),
    tried(lambda: open("/proc/1/mem", "r+b").read(1)),
    tried(lambda: open("/proc/1/mem", "rb").read(1)),
]))
""",
    )
    assert result.seen[:2] == [errno.EPERM, errno.EPERM]
    assert result.seen[2] in (errno.EACCES, errno.EPERM, errno.EIO, errno.EROFS)
    assert result.seen[3] in (errno.EACCES, errno.EPERM, errno.EIO)


def test_keyrings(box: Box) -> None:
    result = attempt(
        box,
        """
print(json.dumps([call(libc.syscall, 248, b"user", b"n", b"v", 1, -4),
                  call(libc.syscall, 249, b"user", b"n", None, 0),
                  call(libc.syscall, 250, 0, -4, 1, 0, 0)]))
""",
    )
    assert result.seen == [errno.EPERM] * 3


def test_rare_kernel_interfaces(box: Box) -> None:
    result = attempt(
        box,
        """
numbers = {"bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "fanotify_init": 300,
           "open_by_handle_at": 304, "kexec_load": 246, "finit_module": 313, "modify_ldt": 154,
           "io_uring_setup": 425, "clone3": 435, "newer": 470, "move_pages": 279}
print(json.dumps({name: call(libc.syscall, n, 0, 0, 0, 0, 0) for name, n in numbers.items()}))
""",
    )
    absent = {"io_uring_setup", "clone3", "newer"}
    expected = {n: errno.ENOSYS if n in absent else errno.EPERM for n in result.seen}
    assert result.seen == expected


def test_foreign_system_call_tables(box: Box) -> None:
    """`int 0x80` and x32 numbers would walk past a filter that looks at numbers alone. Answered and
    not killed: a program that a filter kills is a line of the host's audit log, 2,400 a second."""
    result = attempt(
        box,
        """
import mmap
code = mmap.mmap(-1, 4096, prot=7)
code.write(bytes.fromhex("b814000000cd80c3"))  # getpid
address = ctypes.addressof(ctypes.c_char.from_buffer(code))
say([ctypes.CFUNCTYPE(ctypes.c_int)(address)(), syscall(0x40000000 + 39)])
""",
    )
    assert result.seen == [-errno.ENOSYS, errno.ENOSYS]


def test_terminal_injection(box: Box) -> None:
    result = attempt(
        box,
        """
import fcntl
def inject(fd, request):
    return tried(lambda: fcntl.ioctl(fd, request, b"x"))
high = call(libc.ioctl, ctypes.c_int(0), ctypes.c_ulong(0xFFFFFFFF00005412), b"x")
print(json.dumps([inject(0, 0x5412), inject(0, 0x541C), high, tried(lambda: open("/dev/tty"))]))
""",
    )
    assert result.seen == [errno.ENOTTY, errno.ENOTTY, errno.ENOTTY, errno.ENXIO]


def test_set_id_files_and_devices(box: Box) -> None:
    result = attempt(
        box,
        """
import stat
open("/tmp/x", "w").close()
print(json.dumps([
    tried(lambda: os.chmod("/tmp/x", 0o4755)),
    tried(lambda: os.chmod("/tmp/x", 0o755)),
    tried(lambda: os.mknod("/tmp/disk", 0o600 | stat.S_IFBLK, os.makedev(254, 0))),
    tried(lambda: os.mkfifo("/tmp/fifo")),
]))
""",
    )
    assert result.seen == [errno.EPERM, 0, errno.EPERM, 0]


def test_symlinks_in_the_workspace_lead_nowhere(box: Box) -> None:
    probe = Path(f"/tmp/host-probe-{os.getpid()}")
    probe.write_text("untouched")
    result = attempt(
        box,
        f"""
os.symlink("{probe}", "link")
os.symlink("/proc/1/root/etc/shadow", "shadow")
os.symlink("/", "rooted")
seen = [read("link"), read("shadow"), read("rooted/root/.bashrc")]
open("link", "w").write("overwritten")
print(json.dumps(seen + [tried(lambda: os.link("/etc/hosts", "hard"))]))
""",
    )
    assert probe.read_text() == "untouched"
    probe.unlink()
    assert result.seen[0] == errno.ENOENT
    assert all(seen in (errno.ENOENT, errno.EACCES) for seen in result.seen[1:3])
    assert result.seen[3] in (errno.EXDEV, errno.EPERM)
