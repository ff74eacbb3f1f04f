"""Memory by every kind of object that the kernel keeps for a program: all of it counts."""

from __future__ import annotations

import errno
import time
from pathlib import Path

import pytest
from attempts import PRELUDE, attempt
from ordinary import AnyBox
from sealed import Box, wait_until

MIB = 1 << 20
LIMIT = 48 * MIB
# Each takes kernel memory until something ends it; 64 ends well above any of our limits.
CONSUMERS = {
    "anonymous pages": """
        import mmap
        while True:
            keep.append(mmap.mmap(-1, 1 << 20))
            keep[-1].write(b"x" * (1 << 20))
        """,
    "locked pages": """
        call(libc.mlockall, 3)
        while True:
            keep.append(bytearray(1 << 20))
        """,
    "pipes": """
        import fcntl
        while True:
            try:
                ends = os.pipe()
            except OSError:
                if os.fork():
                    signal.pause()
                continue
            keep.append(ends)
            tried(lambda: fcntl.fcntl(ends[1], 1031, 1 << 20))
            os.set_blocking(ends[1], False)
            while tried(lambda: os.write(ends[1], bytes(1 << 16))) == 0:
                pass
        """,
    "unix sockets": """
        while True:
            try:
                pair = socket.socketpair()
            except OSError:
                if os.fork():
                    signal.pause()
                continue
            keep.append(pair)
            pair[0].setblocking(False)
            while tried(lambda: pair[0].send(bytes(1 << 16))) == 0:
                pass
        """,
    "shared memory of System V": """
        for _ in range(64):
            identifier = libc.shmget(0, 1 << 20, 0o1600)
            libc.shmat.restype = ctypes.c_void_p
            ctypes.memset(libc.shmat(identifier, None, 0), 1, 1 << 20)
        """,
    "anonymous files": """
        while True:
            fd = os.memfd_create("x")
            os.write(fd, bytes(1 << 20))
        """,
    "page tables": """
        import mmap
        area = mmap.mmap(-1, 1 << 40, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)
        call(libc.madvise, ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(area))),
             ctypes.c_size_t(1 << 40), 15)
        for offset in range(0, 1 << 40, 1 << 21):
            area[offset]
            area[offset] = 1
        """,
    "deleted files": """
        while True:
            keep.append(open("/workspace/x", "wb"))
            os.unlink("/workspace/x")
            keep[-1].write(bytes(1 << 20))
            keep[-1].flush()
        """,
    "extended attributes": """
        number = 0
        while True:
            open(f"/workspace/{number}", "w").close()
            for index in range(16):
                os.setxattr(f"/workspace/{number}", f"user.{index}", bytes(60000))
            number += 1
        """,
}


@pytest.mark.parametrize("body", CONSUMERS.values(), ids=CONSUMERS)
def test_memory_of_every_kind_is_counted(any_box: AnyBox, body: str) -> None:
    """Killed for its memory, or refused by a smaller limit; never more than what it was given."""
    available = _available_bytes()
    lines = "\n".join("    " + line[8:] for line in body.splitlines())
    source = f"keep = []\ntry:\n{lines}\nexcept OSError as error:\n    say(error.errno)\n"
    result = attempt(any_box, source, memory_bytes=LIMIT, workspace_bytes=256 * MIB)
    peak = result.outcome.usage.memory_peak_bytes
    assert peak is None or peak <= LIMIT
    refused = (errno.ENOSPC, errno.ENOMEM, errno.EMFILE, errno.EDQUOT, errno.EOPNOTSUPP)
    assert result.outcome.usage.oom_kills or result.seen in refused, result
    assert _available_bytes() > available - 1024 * MIB  # others work beside us


def test_tcp_buffers_of_the_whole_host(box: Box) -> None:
    """Control groups v1 count them apart: one program once held more than all sockets may.

    With v2 they are its memory, and it is killed for them.
    """
    live = box.start(
        PRELUDE
        + """
server = socket.create_server(("127.0.0.1", 0), backlog=200)
keep, sent = [], 0
for _ in range(120):
    ends = socket.create_connection(server.getsockname()), server.accept()[0]
    keep.append(ends)
    ends[0].setblocking(False)
    try:
        while True:
            sent += ends[0].send(bytes(1 << 20))
    except BlockingIOError:
        pass
print(sent, flush=True)
print("full", flush=True)
signal.pause()
""",
        memory_bytes=64 * MIB,
    )
    live.read_until(lambda: "full\n" in live.stdout)
    held_bytes = _pages("TCP") * 4096
    live.sandbox.kill()
    result = live.finish()
    assert "full" in result.stdout or result.outcome.oom, result
    assert held_bytes < 64 * MIB


def test_millions_of_empty_files(any_box: AnyBox) -> None:
    """A root runner bounds their number; an ordinary one leaves it to the memory limit."""
    result = attempt(
        any_box,
        """
count = 0
try:
    while count < 5_000_000:
        os.close(os.open(f"/workspace/{count}", os.O_CREAT))
        count += 1
except OSError as error:
    say([count, error.errno])
""",
        memory_bytes=LIMIT,
        inodes_max=20_000,
    )
    if result.outcome.exit_code == 0:
        assert result.seen[0] < 20_000
        assert result.seen[1] == errno.ENOSPC
        assert result.outcome.workspace_full
    else:
        assert result.outcome.oom


def test_hard_links_and_deep_trees(box: Box) -> None:
    live = box.start(
        PRELUDE
        + """
made = [0, 0]
try:
    while made[0] < 5_000_000:
        os.link("main.py", f"/workspace/l{made[0]}")
        made[0] += 1
except OSError as error:
    made.append(error.errno)
for name in os.listdir():
    if name != "main.py":
        os.unlink(name)
try:
    while made[1] < 5_000:
        os.mkdir("d")
        os.chdir("d")
        made[1] += 1
except OSError as error:
    made.append(error.errno)
say(made)
""",
        memory_bytes=LIMIT,
        inodes_max=20_000,
    )
    # Where the files of an ordinary runner are not counted, memory ends it, which takes a while.
    live.read_until(lambda: False, 300)
    result = live.finish()
    assert result.outcome.oom or result.seen[1] == 5_000


def test_a_sparse_file_of_a_terabyte(any_box: AnyBox) -> None:
    result = attempt(
        any_box,
        """
with open("sparse", "wb") as file:
    file.truncate(1 << 40)
    seen = [tried(lambda: os.posix_fallocate(file.fileno(), 0, 1 << 40))]
with open("sparse", "r+b") as file:
    file.seek(1 << 39)
    seen.append(file.write(b"x"))
state = os.stat("sparse")
say([*seen, state.st_size, state.st_blocks])
""",
    )
    refused, written, size_bytes, blocks = result.seen
    assert (refused, written, size_bytes) == (errno.ENOSPC, 1, 1 << 40)
    assert blocks <= 16
    assert not result.outcome.workspace_full


def test_the_file_systems_cannot_lie_about_being_full(any_box: AnyBox) -> None:
    """Another `/workspace`, by any trick that a program has, would be the one that is asked."""
    result = attempt(
        any_box,
        """
seen = [tried(lambda: os.rename("/workspace", "/tmp/w")),
        tried(lambda: os.rename("/tmp", "/workspace/t")),
        tried(lambda: os.symlink("/tmp", "/workspace")), tried(lambda: os.rmdir("/workspace")),
        tried(lambda: os.chroot("/tmp")), call(libc.umount2, b"/workspace", 2),
        call(libc.mount, b"/tmp", b"/workspace", None, 4096, None),
        call(libc.mount, b"none", b"/workspace", None, 32, b"size=1g,nr_inodes=0")]
try:
    with open("x", "wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))
except OSError as error:
    seen.append(error.errno)
say(seen)
""",
        workspace_bytes=MIB,
    )
    *tricks, full = result.seen
    assert 0 not in tricks
    assert full == errno.ENOSPC
    assert result.outcome.full == ("/workspace",)


def test_epolls_in_epolls(any_box: AnyBox) -> None:
    result = attempt(
        any_box,
        """
import select
outer, depth = select.epoll(), 0
keep = [outer]
try:
    while depth < 100:
        inner = select.epoll()
        inner.register(keep[-1].fileno())
        keep.append(inner)
        depth += 1
    say([depth, 0])
except OSError as error:
    say([depth, error.errno])
""",
    )
    depth, number = result.seen
    assert depth < 10
    assert number in (errno.ELOOP, errno.EINVAL)


def test_terminals_do_not_exist(any_box: AnyBox) -> None:
    """One number for the whole host, 32 KB for each that no limit counts, and processor time of the
    kernel's own: 1.2 s of it while the program was charged 0.1."""
    result = attempt(
        any_box,
        """
say([tried(os.openpty), tried(lambda: os.open("/dev/pts/ptmx", os.O_RDWR)), os.listdir("/dev/pts"),
     tried(lambda: os.mkdir("/dev/pts/new")), call(libc.umount2, b"/dev/pts", 2)])
""",
    )
    assert result.seen == [errno.ENOENT, errno.ENOENT, [], errno.EROFS, errno.EPERM]


def test_datagrams_that_wait_for_more(any_box: AnyBox) -> None:
    """64 KB of the host for each socket, of which a group was charged 3."""
    result = attempt(
        any_box,
        """
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.connect(("127.0.0.1", 9))
more = 0x8000
say([tried(lambda: one.send(b"x", more)), tried(lambda: one.sendmsg([b"x"], [], more)),
     tried(lambda: one.setsockopt(socket.IPPROTO_UDP, 1, 1)), one.send(b"x")])
""",
    )
    assert result.seen == [errno.EOPNOTSUPP, errno.EOPNOTSUPP, errno.EPERM, 1]


def test_lists_of_a_socket_that_nobody_counts(any_box: AnyBox) -> None:
    result = attempt(
        any_box,
        """
one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
say([tried(lambda: one.setsockopt(41, option, bytes(136))) for option in (20, 27, 42, 46, 32)])
""",
    )
    assert result.seen == [errno.EPERM] * 5


def test_message_queues_and_semaphores_end_with_their_run(any_box: AnyBox) -> None:
    result = attempt(
        any_box,
        """
messages = [libc.msgget(1000 + n, 0o1666) for n in range(10)]
semaphores = [libc.semget(1000 + n, 10, 0o1666) for n in range(10)]
shared = libc.shmget(1000, 4096, 0o1666)
attributes = ctypes.create_string_buffer((0).to_bytes(8, "little") + (10).to_bytes(8, "little")
                                         + (8192).to_bytes(8, "little") + bytes(40))
posix = [libc.syscall(240, b"queue%d" % n, 0o102, 0o666, attributes) for n in range(300)]
say([min(messages) >= 0, min(semaphores) >= 0, shared >= 0, posix[0] >= 0, min(posix)])
""",
    )
    assert result.seen[:3] == [True] * 3
    again = attempt(
        any_box,
        """
say([libc.msgget(1000, 0), libc.semget(1000, 1, 0), libc.shmget(1000, 4096, 0),
     libc.syscall(240, b"queue0", 2, 0, None)])
""",
    )
    assert again.seen == [-1] * 4


def _available_bytes() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no MemAvailable")


def test_access_control_lists(any_box: AnyBox) -> None:
    """Each file of a folder inherits one: 64 KB of the host that nobody counts."""
    result = attempt(
        any_box,
        """
entries = [(1, 6, -1), *[(2, 6, 1000)] * 8000, (4, 4, -1), (16, 6, -1), (32, 4, -1)]
import struct
acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
os.mkdir("folder")
memory = os.memfd_create("x")
names = ("system.posix_acl_access", "system.posix_acl_default", "user.x")
say([tried(lambda: os.setxattr(where, name, acl))
     for where in ("folder", "/tmp", "/dev/shm", memory) for name in names]
    + [tried(lambda: os.setxattr("folder", "user.x", b"x", follow_symlinks=False))])
import shutil
shutil.copytree("/workspace/folder", "/tmp/folder")
shutil.copy2("main.py", "/tmp/folder")
""",
    )
    assert set(result.seen) == {errno.EOPNOTSUPP}
    assert (result.outcome.exit_code, result.stderr) == (0, "")


DATAGRAMS = (
    PRELUDE
    + """
import gc
gc.disable()
payload = bytes(16000)
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
may_send, go = os.pipe()
for _ in range(3):
    if os.fork() == 0:
        receivers = []
        for _ in range(900):
            receivers.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            receivers[-1].bind(("127.0.0.1", 0))
        addresses = [one.getsockname() for one in receivers]
        os.write(1, b"ready\\n")
        os.read(may_send, 1)
        for address in addresses:
            for _ in range(14):
                tried(lambda: sender.sendto(payload, address))
        signal.pause()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("up", flush=True)
signal.sigwait([signal.SIGTERM])
os.write(go, b"xxx")
signal.pause()
"""
)


def test_datagrams_that_nobody_receives(box: Box) -> None:
    """Control groups v2 let what arrives beyond the limit in, and kill only who asks for more
    memory: one that stands still had all that the host grants to UDP."""
    live = box.start(DATAGRAMS, memory_bytes=LIMIT, open_files=1000)
    live.read_until(lambda: live.stdout.count("ready\n") == 3)
    live.wait_for("up")
    live.sandbox.interrupt()
    if live.sandbox.isolation["cgroup"] == "v2":
        assert live.finish().outcome.oom
    else:
        cpu_s = -1.0
        while cpu_s < (cpu_s := live.sandbox.usage().cpu_s):  # until all of it stands still
            time.sleep(0.2)
        assert _pages("UDP") * 4096 < LIMIT
        live.sandbox.kill()
        live.finish()
    wait_until(lambda: _pages("UDP") * 4096 < LIMIT // 4, "the host has its memory back")


def _pages(protocol: str) -> int:
    """What all of the host's sockets hold."""
    for line in Path("/proc/net/sockstat").read_text().splitlines():
        if line.startswith(f"{protocol}:"):
            return int(line.split()[-1])
    raise AssertionError(f"no line of {protocol}")
