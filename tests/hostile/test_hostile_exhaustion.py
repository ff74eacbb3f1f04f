"""Programs that take what they can get: they end, or fail, within their own limits."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import struct
import termios
import threading
from pathlib import Path

from attempts import attempt
from ordinary import AnyBox
from sealed import HOSTILE_UID, Box, processes_of_uids, wait_until

MIB = 1 << 20
PIPE_BYTES = 1 << 16


def test_fork_bomb_in_daemons(box: Box) -> None:
    live = box.start(
        """
        import os, signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("up")
        while True:
            try:
                if os.fork() == 0:
                    os.setsid()
            except OSError:
                pass
        """,
        pids_max=100,
        cpu_millis=500,
    )
    live.wait_for("up")
    live.sandbox.interrupt()
    other = box.run("print('neighbour')")
    most = len(processes_of_uids(HOSTILE_UID, HOSTILE_UID + 49))
    live.sandbox.kill()  # raises when it is not dead within its time-out
    assert live.finish().outcome.signal == signal.SIGKILL
    assert other.stdout == "neighbour\n"
    assert most <= 110
    wait_until(
        lambda: not processes_of_uids(HOSTILE_UID, HOSTILE_UID + 49), "its processes are gone"
    )


def test_threads_count_as_processes(box: Box) -> None:
    result = box.run(
        """
        import json, threading
        event, count = threading.Event(), 0
        try:
            while count < 500:
                threading.Thread(target=event.wait, daemon=True).start()
                count += 1
        except RuntimeError:
            pass
        print(json.dumps(count), flush=True)
        event.set()
        """,
        pids_max=40,
    )
    assert 20 < result.seen < 40


def test_memory_bomb_by_children(box: Box) -> None:
    result = box.run(
        """
        import os
        for _ in range(8):
            if os.fork() == 0:
                break
        blocks = []
        while True:
            blocks.append(bytearray(4 << 20))
        """,
        memory_bytes=64 * MIB,
    )
    assert result.outcome.usage.oom_kills >= 1
    peak = result.outcome.usage.memory_peak_bytes
    assert peak is not None and peak <= 64 * MIB


def test_huge_file_in_memory_file_systems(box: Box) -> None:
    """Bounded by the file system, and what is below that by the memory limit."""
    result = box.run(
        """
        for name in ("/workspace/a", "/tmp/a", "/dev/shm/a"):
            with open(name, "wb", buffering=0) as file:
                for _ in range(1000):
                    file.write(bytes(1 << 20))
        """,
        memory_bytes=64 * MIB,
        workspace_bytes=1 << 30,
    )
    assert result.outcome.oom


def test_memory_files_and_locked_memory(box: Box) -> None:
    result = box.run(
        """
        import os
        fd = os.memfd_create("x")
        while True:
            os.write(fd, bytes(1 << 20))
        """,
        memory_bytes=48 * MIB,
    )
    assert result.outcome.oom


def test_descriptors(box: Box) -> None:
    result = box.run(
        """
        import json, os, resource
        count = 0
        try:
            while True:
                os.dup(0)
                count += 1
        except OSError as error:
            number = error.errno
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
            raised = True
        except ValueError:
            raised = False
        print(json.dumps([count, number, raised]))
        """,
        open_files=100,
    )
    assert result.seen == [97, errno.EMFILE, False]


def test_core_dumps_are_not_written(box: Box) -> None:
    result = box.run(
        """
        import os, signal
        if os.fork() == 0:
            os.abort()
        os.wait()
        print("[]" if os.listdir() == ["main.py"] else os.listdir())
        """
    )
    assert result.seen == []


def test_addresses_that_must_not_answer(box: Box) -> None:
    """Services of the host, by every name a program may think of for it."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        addresses = [
            "127.0.0.1",
            _own_address(),
            "0.0.0.0",
            "169.254.169.254",
            "10.0.2.2",
            "192.168.0.1",
        ]
        result = box.run(
            f"""
            import json, socket
            seen = {{}}
            for address in {addresses!r}:
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    s = socket.socket(socket.AF_INET, kind)
                    s.settimeout(3)
                    try:
                        s.connect((address, {port}))
                        s.send(b"x")
                        s.recv(1)
                        seen[address] = "answered"
                    except OSError as error:
                        seen.setdefault(address, error.errno)
            print(json.dumps(seen))
            """
        )
        server.settimeout(0)
        try:
            server.accept()
            arrived = True
        except BlockingIOError:
            arrived = False
    assert not arrived
    assert set(result.seen.values()) <= {errno.ECONNREFUSED, errno.EHOSTUNREACH}


def _own_address() -> str:
    """The one that the host would show to the outside, if it has an outside."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def test_raw_packet_and_foreign_sockets(box: Box) -> None:
    result = box.run(
        """
        import json, socket
        kinds = {
            "raw": (socket.AF_INET, socket.SOCK_RAW, 1),
            "packet": (socket.AF_PACKET, socket.SOCK_RAW, 0),
            "vsock": (40, socket.SOCK_STREAM, 0),
            "alg": (38, socket.SOCK_SEQPACKET, 0),
            "netfilter": (socket.AF_NETLINK, socket.SOCK_RAW, 12),
            "route": (socket.AF_NETLINK, socket.SOCK_RAW, 0),
            "unix": (socket.AF_UNIX, socket.SOCK_STREAM, 0),
        }
        seen = {}
        for name, kind in kinds.items():
            try:
                socket.socket(*kind)
                seen[name] = 0
            except OSError as error:
                seen[name] = error.errno
        print(json.dumps(seen))
        """
    )
    refused = errno.EAFNOSUPPORT
    assert result.seen == {
        "raw": errno.EPERM,
        "packet": refused,
        "vsock": refused,
        "alg": refused,
        "netfilter": errno.EOPNOTSUPP,
        "route": errno.EOPNOTSUPP,
        "unix": 0,
    }


def test_sockets_of_the_host_in_the_abstract_name_space(box: Box) -> None:
    name = f"host-service-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0" + name)
        server.listen()
        result = box.run(
            f"""
            import json, socket
            try:
                socket.socket(socket.AF_UNIX).connect("\\0{name}")
                print(json.dumps("connected"))
            except OSError as error:
                print(json.dumps(error.errno))
            """
        )
    assert result.seen == errno.ECONNREFUSED


def test_network_set_up_is_out_of_reach(box: Box) -> None:
    """Interface, route and address changes need power over the namespace, which netd keeps."""
    result = box.run(
        """
        import fcntl, json, socket, struct
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        def tried(action):
            try:
                action()
                return 0
            except OSError as error:
                return error.errno
        address = struct.pack("16sHH4s16x", b"lo:2", socket.AF_INET, 0, bytes([10, 0, 0, 1]))
        print(json.dumps([
            tried(lambda: fcntl.ioctl(s, 0x8916, address)),
            tried(lambda: fcntl.ioctl(s, 0x8914, struct.pack("16sH22x", b"lo", 0))),
            tried(lambda: s.setsockopt(socket.SOL_SOCKET, 36, 1)),
            tried(lambda: s.bind(("198.18.0.1", 443))),
        ]))
        """
    )
    assert result.seen[:3] == [errno.ENOTTY, errno.ENOTTY, errno.EPERM]
    assert result.seen[3] == errno.EADDRNOTAVAIL  # it is the router's


def test_a_flood_of_output_waits_for_its_reader(box: Box) -> None:
    """Nobody reads: the program is held back by the pipe, the runner's memory stays as it is."""
    before = _resident_bytes()
    live = box.start("import os\nwhile True:\n    os.write(1, bytes(65536))\n")
    wait_until(lambda: _waiting_bytes(live.sandbox.stdout_fd) >= PIPE_BYTES, "its pipe is full")
    usage_s = [live.sandbox.usage().cpu_s]
    waiter = threading.Event()
    waiter.wait(0.3)
    usage_s.append(live.sandbox.usage().cpu_s)
    live.sandbox.kill()
    live.finish()
    assert usage_s[1] - usage_s[0] < 0.2
    assert _resident_bytes() - before < 32 * MIB


def _waiting_bytes(fd: int) -> int:
    (count,) = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))
    return int(count)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_children_that_are_killed_for_their_memory_without_end(any_box: AnyBox) -> None:
    """Each is a page in the host's log: a gigabyte of it a day."""
    result = attempt(any_box, "while True: child_dies_for_its_memory()", memory_bytes=32 << 20)
    assert result.outcome.oom
