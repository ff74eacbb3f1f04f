"""Ways into the kernel that no strategy needs, and files of its own that must not be written."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest
from attempts import attempt
from ordinary import AnyBox
from sealed import Box

EXPECTED_DEVICES = {
    "core",
    "fd",
    "full",
    "null",
    "ptmx",  # a link into the next, which is empty
    "pts",
    "random",
    "shm",
    "stderr",
    "stdin",
    "stdout",
    "tty",
    "urandom",
    "zero",
}
RUN_CODE = """
import mmap
def run(text):
    code = mmap.mmap(-1, 4096, prot=7)
    code.write(bytes.fromhex(text))
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    return ctypes.CFUNCTYPE(ctypes.c_int)(address)()
"""


def test_nothing_in_proc_opens_for_writing_but_what_is_the_programs_own(any_box: AnyBox) -> None:
    """Every file, one by one: sysctls, sysrq, binfmt_misc, mtrr, timer statistics, all of it."""
    result = attempt(
        any_box,
        """
opened, count = [], 0
for folder, folders, names in os.walk("/proc"):
    if folder == "/proc":
        folders[:] = [name for name in folders if not name.isdigit()
                      and name not in ("self", "thread-self")]
    for name in names:
        path = os.path.join(folder, name)
        count += 1
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            continue
        if os.stat(path).st_rdev != os.stat("/dev/null").st_rdev:
            opened.append(path)
say([opened, count])
""",
    )
    opened, count = result.seen
    assert count > 500
    assert opened == []


def test_nothing_of_its_first_process_can_be_changed_or_read(any_box: AnyBox) -> None:
    names = (
        "mem uid_map gid_map setgroups projid_map loginuid sessionid clear_refs coredump_filter"
        " oom_score_adj oom_adj timerslack_ns attr/current make-it-fail sched autogroup comm"
        " timens_offsets"
    )
    result = attempt(
        any_box,
        f"""
wrote = {{name: write(f"/proc/1/{{name}}") for name in {names.split()!r}}}
seen = {{name: read(f"/proc/1/{{name}}") for name in ("stack", "syscall", "auxv", "maps", "mem")}}
say([wrote, {{name: type(text).__name__ for name, text in seen.items()}}])
""",
    )
    wrote, seen = result.seen
    harmless = {"oom_score_adj", "oom_adj", "coredump_filter", "clear_refs", "timerslack_ns"}
    harmless |= {"sched", "autogroup", "comm", "attr/current"}
    assert {name for name, number in wrote.items() if number == 0} <= harmless, wrote
    assert "str" not in (seen["stack"], seen["mem"])


def test_no_identity_map_can_be_written(any_box: AnyBox) -> None:
    result = attempt(
        any_box,
        """
say([write("/proc/self/uid_map", "0 0 1"), write("/proc/self/gid_map", "0 0 1"),
     write("/proc/self/setgroups", "allow"), write("/proc/self/projid_map", "0 0 1"),
     read("/proc/self/uid_map").split()[0::2], tried(lambda: os.setresuid(0, 0, 0))])
""",
    )
    *writes, mapped, root = result.seen
    assert 0 not in writes
    assert mapped == ["1000", "1"]
    assert root in (errno.EPERM, errno.EINVAL)


def test_dev_holds_the_harmless_devices_and_no_other(any_box: AnyBox) -> None:
    numbers = [(1, 1), (1, 4), (5, 1), (10, 200), (10, 229)]  # mem, port, console, tun, fuse
    result = attempt(
        any_box,
        f"""
found = set(os.listdir("/dev"))
made = [tried(lambda: os.mknod(f"/tmp/{{a}}-{{b}}", 0o666 | stat.S_IFCHR, os.makedev(a, b)))
        for a, b in {numbers!r}]
odd = [name for name in ("mem", "kmem", "port", "kmsg", "vda", "sda", "kvm", "fuse", "net/tun",
                         "userfaultfd", "vhost-net", "uinput", "input", "dri", "mapper", "loop0")
       if os.path.lexists("/dev/" + name)]
flags = os.statvfs("/tmp").f_flag, os.statvfs("/workspace").f_flag, os.statvfs("/dev/shm").f_flag
say([sorted(found), made, odd, [bool(flag & os.ST_NODEV) for flag in flags]])
""",
    )
    found, made, odd, without_devices = result.seen
    assert set(found) - {"console"} == EXPECTED_DEVICES
    assert set(made) == {errno.EPERM}
    assert odd == []
    assert without_devices == [True, True, True]


def test_no_directory_outside_its_own_three_takes_a_file(any_box: AnyBox) -> None:
    result = attempt(
        any_box,
        """
own = ("/workspace", "/tmp", "/dev/shm")
taken, count = [], 0
for folder, folders, _ in os.walk("/"):
    if folder == "/":
        folders.remove("proc")
    folders[:] = [name for name in folders if os.path.join(folder, name) not in own]
    count += 1
    if tried(lambda: os.close(os.open(folder + "/.x", os.O_CREAT | os.O_WRONLY))) == 0:
        taken.append(folder)
say([taken, count])
""",
    )
    taken, count = result.seen
    assert count > 50
    assert taken == []


@pytest.mark.parametrize(
    "code",
    ["e480", "fa", "f4", "0f20c0", "0f30"],
    ids=["port", "interrupts off", "halt", "control register", "model register"],
)
def test_privileged_instructions(box: Box, code: str) -> None:
    """Real machine code; a child runs it, its parent lives."""
    result = attempt(box, RUN_CODE + f'say(in_child(lambda: run("{code}c3")))\n')
    assert result.seen in (-signal.SIGSEGV, -signal.SIGILL)


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("b815000000cd80c3", "mount by int 0x80"),
        ("b801000040cd80c3", "an x32 number by int 0x80"),
        ("b8270000400f05c3", "getpid of x32 by syscall"),
        ("b8150200400f05c3", "ptrace of x32 by syscall"),
    ],
    ids=lambda value: value if " " in value else "",
)
def test_system_call_tables_of_other_machines(any_box: AnyBox, code: str, what: str) -> None:
    assert what
    result = attempt(any_box, RUN_CODE + f'say(run("{code}"))\n')
    assert result.seen == -errno.ENOSYS


def test_the_thirty_two_bit_entry_point_of_the_kernel(box: Box) -> None:
    """A far jump to the 32-bit code segment, then `int 0x80`: another mode, the same rules. It ends
    by `ud2` where the call does not exist, by `int3` where it does."""
    result = attempt(
        box,
        RUN_CODE
        + """
low = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40, prot=7)
low.write(bytes.fromhex("b814000000cd80" "83f8da" "7502" "0f0b" "cc"))  # getpid; -ENOSYS?
address = ctypes.addressof(ctypes.c_char.from_buffer(low))
target = mmap.mmap(-1, 4096, prot=7)
target.write(bytes.fromhex("ff2d00000000") + address.to_bytes(4, "little") + b"\\x23\\x00")
def jump():
    ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(target)))()
say(in_child(jump))
""",
    )
    assert result.seen in (-signal.SIGILL, -signal.SIGSEGV)  # some kernels have no such entry


def test_personality(any_box: AnyBox) -> None:
    flags = {"no randomisation": 0x0040000, "32 bit": 0x0800000, "zero page": 0x0100000}
    flags |= {"readable is executable": 0x0400000, "3 GB": 0x8000000, "old kernel": 0x0020000}
    result = attempt(
        any_box,
        f"say({{name: call(libc.personality, flag) for name, flag in {flags!r}.items()}})\n",
    )
    harmless = {"old kernel": 0}  # only what uname answers
    assert result.seen == dict.fromkeys(flags, errno.EPERM) | harmless


def test_its_own_seccomp_filters_take_no_memory_of_the_kernel(any_box: AnyBox) -> None:
    """`net.core.bpf_jit_limit` is one number for all, and at it no sandbox starts any more."""
    result = attempt(
        any_box,
        """
import struct
program = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000))
header = ctypes.create_string_buffer(struct.pack("=H6xQ", 1, ctypes.addressof(program)))
number = {"x86_64": 317, "aarch64": 277}[os.uname().machine]
say([call(libc.prctl, 22, 2, header, 0, 0), syscall(number, 1, 0, header)])
""",
    )
    assert result.seen == [errno.EINVAL, errno.ENOSYS]


def test_what_is_cached_of_the_shared_runtime(any_box: AnyBox) -> None:
    """Nobody is told of it, nor may it be thrown out: neighbours would wait for the disk."""
    path = Path(os.__file__)
    result = attempt(
        any_box,
        f"""
with open({str(path)!r}, "rb") as file:
    file.read()
    buffer = ctypes.create_string_buffer(64)
    asked = syscall(451, file.fileno(), buffer, buffer, 0)
    say([libc.posix_fadvise(file.fileno(), 0, 0, 4), asked])
""",
    )
    assert result.seen == [0, errno.ENOSYS]


def test_userfaultfd_and_its_relatives_for_winning_races(any_box: AnyBox) -> None:
    numbers = {"userfaultfd": 323, "memfd_secret": 447, "io_uring": 425, "perf": 298, "bpf": 321}
    numbers |= {"process_madvise": 440, "fanotify": 300, "pidfd_getfd": 438, "kcmp": 312}
    result = attempt(
        any_box,
        f"""
buffer = ctypes.create_string_buffer(256)
say({{name: syscall(n, 0, buffer, 64, 0, 0) for name, n in {numbers!r}.items()}})
""",
    )
    assert set(result.seen.values()) == {errno.EPERM, errno.ENOSYS}


def test_asynchronous_io_contexts_of_the_whole_host(any_box: AnyBox) -> None:
    """`fs.aio-max-nr` is one number for all: a program took every one of them."""
    before = Path("/proc/sys/fs/aio-nr").read_text()
    result = attempt(
        any_box,
        """
context = ctypes.c_ulong(0)
say([syscall(206, 65000, ctypes.byref(context)), read("/proc/sys/fs/aio-nr")])
""",
    )
    assert result.seen == [errno.ENOSYS, before]


def test_watching_what_neighbours_import(box: Box) -> None:
    """The runtime's files are the host's: a watch on them would see everybody's."""
    result = attempt(
        box,
        """
import fcntl
folder = os.open("/usr/lib/python3.11", os.O_RDONLY)
say([call(libc.inotify_init1, 0), call(libc.inotify_init), syscall(300, 0, 0),
     tried(lambda: fcntl.fcntl(folder, fcntl.F_NOTIFY, 0x80000001)),
     tried(lambda: fcntl.fcntl(folder, 1024, fcntl.F_RDLCK))])
""",
    )
    *watches, lease = result.seen
    assert watches == [errno.ENOSYS, errno.ENOSYS, errno.EPERM, errno.EPERM]
    assert lease in (errno.EACCES, errno.EINVAL, errno.EPERM)


def test_making_the_hosts_disks_write(box: Box) -> None:
    """`sync` is for the whole host; here it answers and does nothing, as all is in memory."""
    probe = Path(f"/var/tmp/hostile-sync-{os.getpid()}")
    with probe.open("wb") as file:
        file.write(bytes(1 << 20))
        result = attempt(
            box,
            """
root = os.open("/usr/lib/python3.11", os.O_RDONLY)
say([syscall(162), syscall(306, root), syscall(306, -1), tried(lambda: os.sync())])
""",
        )
    probe.unlink()
    # The kernel's own would call -1 a bad descriptor: it was never asked.
    assert result.seen == [0, 0, 0, 0]


def test_huge_pages_that_somebody_set_aside(any_box: AnyBox) -> None:
    result = attempt(
        any_box,
        """
import mmap
def huge():
    mmap.mmap(-1, 2 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000)
say([tried(huge), tried(lambda: os.memfd_create("x", 4)), syscall(29, 0, 2 << 20, 0o5600)])
""",
    )
    assert result.seen == [errno.EPERM] * 3


def test_clocks_names_and_switches_of_the_host(any_box: AnyBox) -> None:
    result = attempt(
        any_box,
        """
import struct
now = ctypes.create_string_buffer(struct.pack("=qq", 0, 0))
buffer = ctypes.create_string_buffer(256)
say([tried(lambda: time.clock_settime(time.CLOCK_REALTIME, 0)), syscall(164, now, 0),
     syscall(159, buffer), syscall(305, 0, buffer),
     syscall(170, b"pwned", 5), syscall(171, b"pwned", 5), syscall(169, 0xFEE1DEAD, 672274793, 0),
     syscall(163, b"/tmp/acct"), syscall(167, b"/tmp/swap", 0), syscall(153), syscall(172, 3),
     syscall(173, 0, 1024, 1), syscall(246, 0, 0, 0, 0), syscall(175, 0, 0, b"")])
""",
    )
    assert set(result.seen) == {errno.EPERM}


def test_mount_tables_and_groups_tell_nothing_of_the_platform(any_box: AnyBox) -> None:
    result = attempt(
        any_box,
        """
names = ("mountinfo", "mounts", "cgroup", "environ", "status", "limits", "cpuset")
say(" ".join(str(read(f"/proc/{pid}/{name}")) for name in names for pid in ("self", "1")))
""",
    )
    words = ("sequence", "hostile", str(Path(__file__).parents[2]), "DATABASE_URL", "celery")
    assert [word for word in words if word in result.seen] == []


def test_what_wakes_many_in_an_interrupt(any_box: AnyBox) -> None:
    """A timer that a quarter of a million waited for took 10 to 50 ms of whoever ran just then,
    20,000 that were due at once 6 ms."""
    result = attempt(
        any_box,
        """
mask = ctypes.create_string_buffer(128)
timer = ctypes.c_void_p()
say([call(libc.timerfd_create, 1, 0), call(libc.signalfd, -1, mask, 0),
     call(libc.timer_create, 1, None, ctypes.byref(timer))])
import asyncio, subprocess
asyncio.run(asyncio.sleep(0.01))
subprocess.run([sys.executable, "-S", "-c", "pass"], check=True)
""",
    )
    assert result.seen == [errno.ENOSYS] * 3
    assert (result.outcome.exit_code, result.stderr) == (0, "")


def test_what_has_code_of_the_kernel_rewritten(any_box: AnyBox) -> None:
    """Which interrupts every processor of the host: 30,000 times in 1.2 s."""
    result = attempt(
        any_box,
        """
import fcntl
options = [(17, 100), (17, 103), (17, 104), (1, 29), (1, 35), (1, 63), (1, 64)]
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    set_ = [tried(lambda: s.setsockopt(level, option, 1)) for level, option in options]
    requests = (0x8906, 0x8907, 0x80108906, 0x80108907)
    asked = [tried(lambda: fcntl.ioctl(s, request, bytes(16))) for request in requests]
say([sorted(set(set_)), sorted(set(asked))])
""",
    )
    assert result.seen == [[errno.EPERM], [errno.ENOTTY]]


def test_types_of_sockets_that_the_host_would_load_a_module_for(any_box: AnyBox) -> None:
    result = attempt(
        any_box,
        """
internet, six = socket.AF_INET, socket.AF_INET6
kinds = [(internet, 5, 0), (internet, 6, 0), (internet, 4, 0), (six, 5, 0), (internet, 3, 0),
         (internet, 2, 6), (internet, 1, 17), (six, 2, 1), (internet, 2, 1)]
usual = [(internet, 1, 0), (internet, 2, 17), (six, 1, 6), (socket.AF_UNIX, 5, 0)]
say([[tried(lambda: socket.socket(*kind).close()) for kind in some] for some in (kinds, usual)])
""",
    )
    rare, usual = result.seen
    assert rare == [errno.EPERM] * 5 + [errno.EPROTONOSUPPORT] * 4
    assert usual == [0] * 4


def test_the_hosts_disks(any_box: AnyBox) -> None:
    """Of the shared runtime, the only files that lie on one."""
    result = attempt(
        any_box,
        """
import fcntl
runtime = os.open(os.__file__, os.O_RDONLY)
flags = [tried(lambda: os.preadv(runtime, [bytearray(4096)], 0, flag)) for flag in (1, 2, 8, 0x80)]
say([
    tried(lambda: os.open(os.__file__, os.O_RDONLY | os.O_DIRECT)),
    tried(lambda: fcntl.fcntl(runtime, fcntl.F_SETFL, os.O_DIRECT)),
    syscall(437, runtime, 0, 0, 0),
    *flags,
    # Nothing happens, also where it would be an error.
    *(tried(lambda: flush(fd)) for flush in (os.fsync, os.fdatasync) for fd in (runtime, 900)),
    tried(lambda: os.preadv(runtime, [bytearray(4096)], 0)),
])
""",
    )
    seen = result.seen
    assert seen[:3] == [errno.EINVAL, errno.EINVAL, errno.ENOSYS]
    assert seen[3:7] == [errno.EOPNOTSUPP] * 4
    assert seen[7:] == [0] * 5


def test_leases(any_box: AnyBox) -> None:
    """Whoever opens a leased file waits for up to 45 s; a runtime that belongs to an ordinary
    runner's user could be leased as a whole, and no neighbour began any more."""
    result = attempt(
        any_box,
        """
import fcntl
own = os.open("x", os.O_CREAT | os.O_RDONLY)
leases = (fcntl.F_WRLCK, fcntl.F_RDLCK)
say([tried(lambda: fcntl.fcntl(own, fcntl.F_SETLEASE, lease)) for lease in leases])
""",
    )
    assert result.seen == [errno.EPERM] * 2


def test_no_precedence_is_inherited(any_box: AnyBox) -> None:
    result = attempt(
        any_box,
        """
import resource
say([resource.getrlimit(13), resource.getrlimit(14),
     tried(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))),
     tried(lambda: os.setpriority(os.PRIO_PROCESS, 0, -1))])
""",
    )
    assert result.seen == [[0, 0], [0, 0], errno.EPERM, errno.EACCES]
