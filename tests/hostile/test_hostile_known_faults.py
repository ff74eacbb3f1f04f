"""What broke others: the published escapes from runc, bubblewrap, Judge0, Docker and the kernel."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from attempts import PRELUDE, attempt
from ordinary import AnyBox
from sealed import Box, processes_of_uids, wait_until

DENIED = (errno.EPERM, errno.EACCES, errno.EROFS, errno.ETXTBSY, errno.ENOENT)


@pytest.fixture
def probe() -> Iterator[Path]:
    """A file of root's that every user of the host may reach by its path."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
    folder.chmod(0o755)
    path = folder / "probe"
    path.write_text("untouched")
    yield path
    shutil.rmtree(folder)


def test_runc_2019_5736_the_binary_that_started_us_is_overwritten(any_box: AnyBox) -> None:
    """By /proc/<pid>/exe, which leads past every mount: of the interpreter and of bubblewrap."""
    result = attempt(
        any_box,
        """
seen = [write("/proc/self/exe", "#!"), write("/proc/1/exe", "#!")]
for pid in ("self", "1"):
    try:
        held = os.open(f"/proc/{pid}/exe", os.O_PATH)
        seen.append(write(f"/proc/self/fd/{held}", "#!"))
    except OSError as error:
        seen.append(error.errno)
seen.append(tried(lambda: os.truncate("/proc/self/exe", 0)))
seen.append(tried(lambda: os.chmod("/proc/self/exe", 0o777)))
say(seen)
""",
    )
    assert all(seen in DENIED for seen in result.seen), result.seen


def test_runc_2024_21626_a_leaked_descriptor_or_directory_leads_out(any_box: AnyBox) -> None:
    result = attempt(
        any_box,
        """
def identity(path):
    try:
        state = os.stat(path)
        return [state.st_dev, state.st_ino]
    except OSError:
        return None
root = identity("/")
seen = set()
for pid in ("self", "1"):
    places = [f"/proc/{pid}/cwd", f"/proc/{pid}/root"]
    places += [f"/proc/{pid}/fd/{fd}" for fd in range(256)]
    for place in places:
        for depth in range(1, 12):
            found = identity(place + "/.." * depth)
            if found not in (None, root) and not place.endswith("root"):
                seen.add(os.path.realpath(place + "/.." * depth))
say([sorted(seen), os.getcwd(), tried(lambda: os.chdir("/proc/self/fd/7")) != 0])
""",
    )
    others, directory, refused = result.seen
    assert [path for path in others if not path.startswith(("/proc", "/dev", "/workspace"))] == []
    assert directory == "/workspace"
    assert refused


def test_runc_2021_30465_a_directory_is_swapped_for_a_link_while_the_host_looks(
    box: Box, probe: Path
) -> None:
    """Nobody outside follows a path of the workspace, so there is no moment to win."""
    live = box.start(
        PRELUDE
        + f"""
os.mkdir("a")
os.symlink("{probe.parent}", "b")
say([tried(lambda: os.rename("/workspace", "/tmp/w")), tried(lambda: os.rmdir("/workspace")),
     tried(lambda: os.symlink("/etc", "/workspace2")), tried(lambda: os.rename("/tmp", "/tmp2"))])
while True:
    for names in (("a", "c"), ("b", "a"), ("c", "b")) * 50:
        os.rename(*names)
""",
    )
    live.read_until(lambda: "\n" in live.stdout)
    assert 0 not in json.loads(live.stdout)
    live.sandbox.kill()
    assert live.finish().outcome.full == ()
    assert [entry.name for entry in probe.parent.iterdir()] == ["probe"]


def test_judge0_2024_28185_a_link_where_the_host_will_write(box: Box, probe: Path) -> None:
    names = ["main.py", "stdout", "stderr", ".sequence/manifest.json", "metadata", "exit_code"]
    result = attempt(
        box,
        f"""
os.makedirs(".sequence", exist_ok=True)
for name in {names!r}:
    if os.path.lexists(name):
        os.unlink(name)
    os.symlink("{probe}", name)
print("x" * 1000, file=sys.stderr)
say(sorted(os.listdir()))
""",
    )
    assert "stdout" in result.seen
    assert (probe.read_text(), probe.stat().st_uid) == ("untouched", os.geteuid())
    again = box.run("import json, os; print(json.dumps(os.path.islink('main.py')))")
    assert again.seen is False


def test_judge0_2024_28189_ownership_is_given_through_a_link(any_box: AnyBox, probe: Path) -> None:
    result = attempt(
        any_box,
        f"""
os.symlink("{probe}", "link")
say([tried(lambda: os.chown("link", 1000, 1000)), tried(lambda: os.lchown("link", 0, 0)),
     tried(lambda: os.chmod("link", 0o777)), tried(lambda: os.chown("/etc/hosts", 1000, 1000))])
""",
    )
    assert 0 not in result.seen
    assert (probe.stat().st_uid, probe.stat().st_mode & 0o777) == (os.geteuid(), 0o644)


def test_judge0_2024_29021_the_platforms_own_services_answer_a_program(box: Box) -> None:
    """Its database and its Redis listen on the host; by no name for the host are they there."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        result = attempt(
            box,
            f"""
def knock(address):
    with socket.socket() as knocking:
        knocking.settimeout(2)
        return tried(lambda: knocking.connect((address, {port})))
say({{a: knock(a) for a in ("198.18.0.1", "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.2.2")}})
""",
        )
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert 0 not in result.seen.values()


def test_docker_and_other_control_sockets(any_box: AnyBox, probe: Path) -> None:
    path = probe.parent / "docker.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        path.chmod(0o777)
        server.listen()
        server.settimeout(0)
        result = attempt(
            any_box,
            f"""
wanted = ["{path}", "/proc/1/root{path}", "/proc/self/cwd/../..{path}", "/run/docker.sock",
          "/var/run/docker.sock", "/run/containerd/containerd.sock", "/run/dbus/system_bus_socket",
          "/run/systemd/private", "/run/user/0/bus", "/tmp/.X11-unix/X0"]
say([tried(lambda: socket.socket(socket.AF_UNIX).connect(path)) for path in wanted])
""",
        )
        with pytest.raises(BlockingIOError):
            server.accept()
    assert set(result.seen) <= {errno.ENOENT, errno.EACCES}


def test_bubblewrap_2020_5291_power_kept_or_gained_again(any_box: AnyBox) -> None:
    result = attempt(
        any_box,
        """
status = dict(line.split(":\\t") for line in read("/proc/self/status").splitlines())
wanted = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")
gained = [call(libc.prctl, 8, 1, 0, 0, 0), call(libc.prctl, 28, 0, 0, 0, 0),
          call(libc.prctl, 47, 2, 21, 0, 0), call(libc.prctl, 38, 0, 0, 0, 0)]
marked = []
for folder, _, names in os.walk("/"):
    if folder.startswith("/proc"):
        continue
    for name in names:
        path = os.path.join(folder, name)
        try:
            marks = os.lstat(path).st_mode & 0o6000 or os.listxattr(path)
            if marks and not os.statvfs(path).f_flag & os.ST_NOSUID:
                marked.append(path)
        except OSError:
            pass
say([[status[name] for name in wanted], gained, marked])
""",
    )
    status, (keep, secure_bits, ambient, new_privileges), marked = result.seen
    assert {int(value, 16) for value in status[:5]} == {0}
    assert status[5:] == ["1", "2"]
    assert (keep, secure_bits, ambient, new_privileges) == (0, errno.EPERM, errno.EPERM, 22)
    assert marked == []  # those that the host has lie on mounts without set-id


def test_bubblewrap_the_death_of_its_outer_half_leaves_nothing(box: Box) -> None:
    """Its death signal is a thread's and can be cleared by a program; the pid namespace is not."""
    live = box.start(
        PRELUDE
        + """
alive, tell = os.pipe()
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        libc.prctl(1, 0, 0, 0, 0)
        if os.fork() == 0:
            os.write(tell, b"1")
            signal.pause()
        os._exit(0)
for _ in range(3):
    os.read(alive, 1)
libc.prctl(1, 0, 0, 0, 0)
for number in range(1, 32):
    if number not in (9, 17, 19):
        signal.signal(number, signal.SIG_IGN)
print("up", flush=True)
while True:
    signal.pause()
"""
    )
    live.wait_for("up")
    uid = int(str(live.sandbox.isolation["host_uid"]))
    assert len(processes_of_uids(uid, uid)) >= 5
    live.sandbox._parts.process.kill()
    wait_until(lambda: not processes_of_uids(uid, uid), "all of it is gone")
    assert live.finish().outcome.signal == signal.SIGKILL


def test_release_agent_2022_0492_a_program_of_ours_is_run_by_the_kernel(any_box: AnyBox) -> None:
    agents = list(Path("/sys/fs/cgroup").glob("*/release_agent"))
    before = [agent.read_text() for agent in agents]
    result = attempt(
        any_box,
        """
os.mkdir("/tmp/cg")
found = [os.path.join(folder, name) for top in ("/sys", "/workspace", "/tmp", "/dev")
         for folder, _, names in os.walk(top) for name in names
         if name in ("release_agent", "cgroup.procs", "memory.limit_in_bytes")]
say([found, call(libc.mount, b"none", b"/tmp/cg", b"cgroup", 0, b"rdma"),
     call(libc.mount, b"none", b"/tmp/cg", b"cgroup2", 0, None),
     read("/proc/self/cgroup")])
""",
    )
    found, v1, v2, memberships = result.seen
    assert (found, v1, v2) == ([], errno.EPERM, errno.EPERM)
    assert "sequence" not in memberships
    assert [agent.read_text() for agent in agents] == before


def test_dirty_cow_2016_5195_a_read_only_page_is_written(any_box: AnyBox) -> None:
    """Race the copy of a private page: write through /proc/self/mem while it is thrown away."""
    target = Path("/usr/lib/python3.11/this.py")
    before = hashlib.sha256(target.read_bytes()).digest()
    attempt(
        any_box,
        f"""
import mmap, threading
with open("{target}", "rb") as file:
    page = mmap.mmap(file.fileno(), 4096, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p] + [ctypes.c_size_t, ctypes.c_int, ctypes.c_int,
                                          ctypes.c_int, ctypes.c_long]
descriptor = os.open("{target}", os.O_RDONLY)
address = libc.mmap(None, 4096, 1, 2, descriptor, 0)
stop = False
def discard():
    while not stop:
        libc.madvise(ctypes.c_void_p(address), 4096, 4)
thread = threading.Thread(target=discard)
thread.start()
memory = os.open("/proc/self/mem", os.O_RDWR)
end = time.monotonic() + 0.3
while time.monotonic() < end:
    try:
        os.pwrite(memory, b"hacked!!", address)
    except OSError:
        break
stop = True
thread.join()
say(0)
""",
    )
    assert hashlib.sha256(target.read_bytes()).digest() == before


def test_dirty_pipe_2022_0847_the_page_cache_is_written(any_box: AnyBox) -> None:
    """Fill a pipe so that its buffers stay mergeable, have a page of the host's in it, write."""
    target = Path("/usr/lib/python3.11/this.py")
    before = hashlib.sha256(target.read_bytes()).digest()
    result = attempt(
        any_box,
        f"""
reader, writer = os.pipe()
size = 65536
os.write(writer, bytes(size))
os.read(reader, size)
file = os.open("{target}", os.O_RDONLY)
spliced = tried(lambda: os.splice(file, writer, 1, offset_src=0))
sent = os.sendfile(writer, file, 0, 1)
os.write(writer, b"hacked!!")
with open("{target}", "rb") as again:
    say([spliced, sent, b"hacked" in again.read()])
""",
    )
    assert result.seen == [errno.EINVAL, 1, False]
    assert hashlib.sha256(target.read_bytes()).digest() == before


def test_shocker_a_file_is_opened_by_its_handle(any_box: AnyBox) -> None:
    """Inode 2 is the root of the host's disk, and a read-only bind mount of it is at hand."""
    result = attempt(
        any_box,
        """
handle = ctypes.create_string_buffer((8).to_bytes(4, "little") + (1).to_bytes(4, "little")
                                     + (2).to_bytes(8, "little"))
mount = os.open("/usr/lib/python3.11", os.O_RDONLY)
size = ctypes.create_string_buffer((128).to_bytes(4, "little") + bytes(132))
identity = ctypes.c_int()
say([syscall(304, mount, handle, 0), syscall(303, -100, b"/", size, ctypes.byref(identity), 0)])
""",
    )
    assert result.seen == [errno.EPERM, errno.EPERM]


def test_the_runtime_is_poisoned_for_those_who_come_after(any_box: AnyBox) -> None:
    attempt(
        any_box,
        """
import site
for path in [*sys.path, os.path.dirname(os.__file__), "/usr/lib", "/usr/local/lib"]:
    for name in ("sitecustomize.py", "usercustomize.py", "json.py"):
        write_to = os.path.join(path or ".", name)
        tried(lambda: open(write_to, "w").write("print('poisoned')"))
os.makedirs(os.path.expanduser("~/.local/lib/python3.11/site-packages"), exist_ok=True)
say(0)
""",
    )
    clean = attempt(any_box, "say([os.listdir(), os.path.exists('/workspace/.local')])")
    assert clean.stdout.count("poisoned") == 0
    assert clean.seen == [["main.py"], False]
    assert not list(Path("/usr/lib/python3.11").glob("sitecustomize.py.*"))
    assert os.access("/usr/lib/python3.11/os.py", os.R_OK)
