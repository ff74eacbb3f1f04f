"""A program reaches the platform's API and nothing else, whatever becomes of netd."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sealed import PATIENT, Box, wait_until

from sandbox import ApiRelay, Host, HostConfig

CLIENT = """
import json, socket, urllib.request

def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()
"""


def test_the_api_answers_by_address_and_by_name(box: Box) -> None:
    result = box.run(
        CLIENT
        + "big = b'x' * 3_000_000\n"
        + "post = urllib.request.urlopen('http://198.18.0.1:8000/', data=big, timeout=10)\n"
        + "print(json.dumps([get('http://198.18.0.1:8000/one'),"
        + " get('http://api.example.test:443/two'), post.read() == big]))\n"
    )
    assert result.seen == ["/one", "/two", True]


def test_what_is_carried_is_paced(box: Box) -> None:
    """One process carries for all and answers names: nobody may have it for himself."""
    result = box.run(
        CLIENT
        + """
import time
begun = time.monotonic()
for _ in range(6):
    with urllib.request.urlopen('http://198.18.0.1:8000/', data=b'x' * 3_000_000) as post:
        assert len(post.read()) == 3_000_000
print(json.dumps(time.monotonic() - begun))
"""
    )
    assert result.seen > (36_000_000 - (8 << 20)) / (8 << 20)


def test_nothing_else_answers(box: Box, api_port: int) -> None:
    result = box.run(
        f"""
        import json, socket, time
        seen = {{}}
        for host, port in (
            ("127.0.0.1", {api_port}), ("10.0.0.1", 80), ("192.168.1.1", 80), ("1.1.1.1", 443),
            ("169.254.169.254", 80), ("198.18.0.2", 8000), ("198.18.0.1", 6379), ("0.0.0.0", 22),
        ):
            try:
                socket.create_connection((host, port), timeout=60)
                seen[host] = "connected"
            except OSError as error:
                seen[host] = error.errno
        try:
            socket.getaddrinfo("example.com", 80)
            seen["dns"] = "resolved"
        except socket.gaierror:
            seen["dns"] = "failed"
        try:
            socket.socket(socket.AF_INET6).connect(("2606:4700:4700::1111", 443))
        except OSError as error:
            seen["v6"] = error.errno
        print(json.dumps(seen))
        """,
        env=PATIENT,
    )
    refused, unreachable = errno.ECONNREFUSED, errno.ENETUNREACH
    assert result.seen == {
        "127.0.0.1": refused,
        "10.0.0.1": refused,
        "192.168.1.1": refused,
        "1.1.1.1": refused,
        "169.254.169.254": refused,
        "198.18.0.2": refused,
        "198.18.0.1": refused,
        "0.0.0.0": refused,
        "dns": "failed",
        "v6": unreachable,
    }


def test_slots_do_not_see_each_other(box: Box) -> None:
    listener = box.start(
        """
        import signal, socket
        for address in ("0.0.0.0", "\\0shared"):
            family = socket.AF_INET if address == "0.0.0.0" else socket.AF_UNIX
            server = socket.socket(family)
            server.bind((address, 7000) if family == socket.AF_INET else address)
            server.listen()
            globals()[f"keep{family}"] = server
        print("up")
        signal.pause()
        """
    )
    listener.wait_for("up")
    result = box.run(
        """
        import json, socket
        seen = []
        for family, address in ((socket.AF_INET, ("127.0.0.1", 7000)),
                                (socket.AF_INET, ("198.18.0.1", 7000)),
                                (socket.AF_UNIX, "\\0shared")):
            try:
                socket.socket(family).connect(address)
                seen.append("connected")
            except OSError as error:
                seen.append(error.errno)
        print(json.dumps(seen))
        """
    )
    listener.sandbox.kill()
    listener.finish()
    assert result.seen == [111, 111, 111]


@contextmanager
def host_for(port: int, name: str) -> Iterator[Host]:
    config = HostConfig(
        name=f"{name}-{os.getpid()}",
        api=ApiRelay("127.0.0.1", port),
        ready_slots=1,
        first_uid=360_000,
    )
    host = Host.open(config)
    try:
        yield host
    finally:
        host.close()


def test_half_close_passes_both_ways() -> None:
    """The client ends its sending, the server still answers, and then sees the end."""

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            received = b"".join(iter(lambda: connection.recv(65536), b""))
            connection.sendall(b"%d bytes" % len(received))

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        with host_for(server.getsockname()[1], "half") as host:
            result = Box(host).run(
                """
                import json, socket
                s = socket.create_connection(("198.18.0.1", 8000))
                s.sendall(b"x" * 1_000_000)
                s.shutdown(socket.SHUT_WR)
                print(json.dumps(b"".join(iter(lambda: s.recv(4096), b"")).decode()))
                """
            )
        thread.join()
    assert result.seen == "1000000 bytes"


def test_a_reader_that_stops_holds_the_writer_back() -> None:
    """Back-pressure: what the API sends waits in the API's own buffers, not in netd's memory."""
    sent = []

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.settimeout(1.0)
            try:
                while len(sent) < 2000:
                    connection.sendall(bytes(65536))
                    sent.append(65536)
            except (TimeoutError, ConnectionError):
                return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        with host_for(server.getsockname()[1], "pressure") as host:
            live = Box(host).start(
                """
                import signal, socket
                s = socket.create_connection(("198.18.0.1", 8000))
                print("up")
                signal.pause()
                """
            )
            live.wait_for("up")
            thread.join()
            live.sandbox.kill()
            live.finish()
    assert 0 < sum(sent) < 40_000_000


def test_at_most_256_connections_and_a_freed_one_is_usable_again() -> None:
    accepted = []

    def serve(server: socket.socket) -> None:
        with pytest.raises(OSError):
            while True:
                accepted.append(server.accept()[0])

    with socket.create_server(("127.0.0.1", 0), backlog=300) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        with host_for(server.getsockname()[1], "many") as host:
            result = Box(host).run(
                """
                import json, socket, struct, time
                def usable():
                    try:
                        s = socket.create_connection(("198.18.0.1", 8000), timeout=5)
                        s.settimeout(2)
                        return s, s.recv(1) != b""
                    except TimeoutError:
                        return s, True
                    except ConnectionResetError:
                        return None, False
                held = [socket.create_connection(("198.18.0.1", 8000)) for _ in range(256)]
                _, beyond = usable()
                gone = held.pop()
                gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                gone.close()
                deadline = time.monotonic() + 10
                while not (again := usable()[1]) and time.monotonic() < deadline:
                    pass
                print(json.dumps([beyond, again]))
                """
            )
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    for connection in accepted:
        connection.close()
    assert result.seen == [False, True]


def test_an_api_that_is_down_is_an_error_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with host_for(port, "down") as host:
        result = Box(host).run(
            """
            import json, socket
            try:
                s = socket.create_connection(("198.18.0.1", 8000), timeout=5)
                seen = s.recv(1).decode()
            except ConnectionResetError:
                seen = "reset"
            print(json.dumps(seen))
            """
        )
    assert result.seen == "reset"


def test_netd_may_die(api_port: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="sandbox")
    with host_for(api_port, "netd") as host:
        box = Box(host)
        live = box.start(
            CLIENT
            + """
import os, sys, time
print("before", get("http://198.18.0.1:8000/a"))
while not os.path.exists("/workspace/go"):
    try:
        get("http://198.18.0.1:8000/b")
    except OSError:
        print("broken")
        break
deadline = time.monotonic() + 10
while time.monotonic() < deadline:
    try:
        print("after", get("http://198.18.0.1:8000/c"))
        break
    except OSError:
        time.sleep(0.02)
"""
        )
        live.wait_for("before /a")
        first = host.netd_pid
        os.kill(first, signal.SIGKILL)
        result = live.finish()
        assert result.stdout.endswith("after /c\n")
        wait_until(lambda: "netd_restarted" in caplog.text, "the restart is logged")
        assert host.netd_pid != first
        assert box.run(CLIENT + "print(json.dumps(get('http://198.18.0.1:8000/d')))").seen == "/d"


def test_netd_ignores_the_signals_that_end_the_runner(host: Host) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(host.netd_pid, number)
    assert Box(host).run("print(1)").seen == 1
    assert Path(f"/proc/{host.netd_pid}/environ").read_bytes() == b""
