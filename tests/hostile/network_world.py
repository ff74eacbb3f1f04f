"""An internet of the tests' own: a namespace with servers, and one that plays the runner's host.

The host has a public and a LAN address and a default route into the internet, which answers for
everything: public addresses, private ones, a metadata service. So what a program does not reach was
kept from it by rules, and not by the lack of a route.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sandbox import Host
from sandbox.network import namespaces

GATEWAY = "45.33.32.1"
HOST_PUBLIC, HOST_LAN, HOST_LATER = "45.33.32.10", "10.1.2.3", "45.33.32.11"
WEB, OTHER_WEB, RESOLVER_ELSEWHERE = "93.184.216.34", "151.101.1.69", "9.9.9.9"
DOCUMENTED = "203.0.113.80"
METADATA, PRIVATE, CLOUD = "169.254.169.254", "10.99.0.1", "168.63.129.16"
_IN_THE_INTERNET = (WEB, OTHER_WEB, RESOLVER_ELSEWHERE, DOCUMENTED, METADATA, PRIVATE, CLOUD)
TCP_PORTS = (25, 53, 80, 443, 465, 587, 8080)
SERVICE_PORT = 9000  # on the host, on every address

_numbers = itertools.count(1)

Zone = dict[str, Callable[[], Sequence[str]]]


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """The calling thread in a named network namespace; threads and processes it starts stay."""
    home = namespaces.open_own("net")
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        namespaces.enter(there, namespaces.CLONE_NEWNET)
        yield
    finally:
        namespaces.enter(home, namespaces.CLONE_NEWNET)
        os.close(there)
        os.close(home)


def children(pid: int) -> list[int]:
    """Processes that this one's threads have started."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


def router_counters(host: Host) -> dict[str, list[int]]:
    """/proc/net/dev of the host's router: for each link, eight numbers of what it received, then
    eight of what it sent, bytes and packets first."""
    return {
        link.strip(): [int(word) for word in counters.split()]
        for link, _, counters in (line.partition(":") for line in _router_table(host, "dev")[2:])
    }


def router_listeners(host: Host) -> int:
    """How many TCP sockets listen in the host's router, for all slots together."""
    states = [line.split()[3] for line in _router_table(host, "tcp")[1:]]
    return states.count("0A")


def _router_table(host: Host, name: str) -> list[str]:
    """/proc/net/`name` as the host's router sees it."""
    router_fd = host._network._helper.router_fd
    command = ["nsenter", f"--net=/proc/{os.getpid()}/fd/{router_fd}", "cat", f"/proc/net/{name}"]
    return subprocess.check_output(command, text=True).splitlines()


def slirp_of(host: Host) -> int:
    """The process of the uplink `user`."""
    (pid,) = (
        pid
        for pid in children(host.netd_pid)
        if b"slirp4netns" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )
    return pid


@dataclass
class World:
    """`zone`: what the internet's DNS knows, answered anew each time. `arrived`: (who, port) of
    every connection and datagram that reached a server."""

    host: str
    internet: str
    api_port: int = 0
    zone: Zone = field(default_factory=dict)
    arrived: list[tuple[str, int]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    sockets: list[socket.socket] = field(default_factory=list)

    def ip(self, namespace: str, *words: str) -> str:
        command = ["ip", "-n", namespace, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def close(self) -> None:
        for one in self.sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for namespace in (self.host, self.internet):
            subprocess.run(["ip", "netns", "delete", namespace], check=True)


def build() -> World:
    mark = f"sequence-{os.getpid()}-{next(_numbers)}"
    world = World(f"{mark}-host", f"{mark}-internet")
    for namespace in (world.host, world.internet):
        subprocess.run(["ip", "netns", "add", namespace], check=True)
        world.ip(namespace, "link", "set", "lo", "up")
    world.ip(
        world.host, "link", "add", "wan", "type", "veth", "peer", "wan", "netns", world.internet
    )
    for namespace, address in ((world.host, HOST_PUBLIC), (world.internet, GATEWAY)):
        world.ip(namespace, "address", "add", f"{address}/24", "dev", "wan")
        world.ip(namespace, "link", "set", "wan", "up")
    world.ip(world.host, "address", "add", f"{HOST_LAN}/24", "dev", "lo")
    world.ip(world.host, "route", "add", "default", "via", GATEWAY)
    for address in _IN_THE_INTERNET:
        world.ip(world.internet, "address", "add", f"{address}/32", "dev", "lo")
    # Nothing in the internet knows a way to an address of ours that was not translated.
    _serve_the_internet(world)
    _serve_the_host(world)
    return world


def _serve_the_internet(world: World) -> None:
    with inside(world.internet):
        for port in TCP_PORTS:
            if port != 53:
                _tcp(world, port, _greet)
        _tcp(world, 53, lambda c: _dns_by_tcp(world, c))
        _udp(world, 443, lambda data: b"datagram " + data)
        _udp(world, 53, lambda data: _dns(world, data))


def _serve_the_host(world: World) -> None:
    with inside(world.host):
        _tcp(world, SERVICE_PORT, _greet)
        _udp(world, SERVICE_PORT, lambda data: data)
        api = _listen(world, ("127.0.0.1", 0))
        world.api_port = api.getsockname()[1]
        _accept(world, api, _greet)


def _greet(connection: socket.socket) -> None:
    """An answer to any request: which address was reached, and who seems to ask."""
    if not connection.recv(4096):
        return
    reached, seen = connection.getsockname()[0], connection.getpeername()[0]
    body = f"{reached} {seen}".encode()
    connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    with contextlib.suppress(OSError):
        while data := connection.recv(4096):
            connection.sendall(data)


def _tcp(world: World, port: int, serve: Callable[[socket.socket], None]) -> None:
    _accept(world, _listen(world, ("", port)), serve)


def _listen(world: World, address: tuple[str, int]) -> socket.socket:
    server = socket.create_server(address, backlog=1024)
    world.sockets.append(server)
    return server


def _accept(world: World, server: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    def one(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            serve(connection)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                world.arrived.append(connection.getsockname()[:2])
                threading.Thread(target=one, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def _udp(world: World, port: int, answer: Callable[[bytes], bytes | None]) -> None:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO: answer from the address asked
    server.bind(("", port))
    world.sockets.append(server)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                data, control, _, sender = server.recvmsg(65535, 256)
                if not data:
                    return  # shut down
                _, _, info = control[0]
                world.arrived.append((socket.inet_ntoa(info[8:12]), port))
                if (said := answer(data)) is not None:
                    source = struct.pack("=i4s4s", 0, info[8:12], bytes(4))
                    server.sendmsg([said], [(socket.IPPROTO_IP, 8, source)], 0, sender)

    threading.Thread(target=serve, daemon=True).start()


def _dns_by_tcp(world: World, connection: socket.socket) -> None:
    length = int.from_bytes(connection.recv(2), "big")
    said = _dns(world, connection.recv(length), is_tcp=True)
    if said is not None:
        connection.sendall(len(said).to_bytes(2, "big") + said)


def _dns(world: World, data: bytes, *, is_tcp: bool = False) -> bytes | None:
    """A server of its own making: an entry is a list of addresses, or of words that direct it."""
    labels, position = [], 12
    while data[position]:
        labels.append(data[position + 1 : position + 1 + data[position]].decode())
        position += 1 + data[position]
    name = ".".join(labels)
    world.asked.append(name)
    question = data[12 : position + 5]
    entry = world.zone.get(name, list)()
    code, flags = (0 if entry else 3), 0x8180
    if "silence" in entry:
        return None
    if "garbage" in entry:
        return os.urandom(200)
    if "truncated" in entry and not is_tcp:
        return data[:2] + struct.pack("!HHHHH", flags | 0x200, 1, 0, 0, 0) + question
    records = b"".join(map(_record, entry))
    count = sum(1 for one in entry if one != "truncated")
    return data[:2] + struct.pack("!HHHHH", flags | code, 1, count, 0, 0) + question + records


def _record(entry: str) -> bytes:
    """`a.b.c.d`, `a.b.c.d/ttl`, or `=other.name` for an alias."""
    if entry == "truncated":
        return b""
    if entry.startswith("="):
        target = b"".join(bytes([len(x)]) + x.encode() for x in entry[1:].split(".")) + b"\0"
        return b"\xc0\x0c" + struct.pack("!HHIH", 5, 1, 60, len(target)) + target
    address, _, ttl = entry.partition("/")
    return b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, int(ttl or 60), 4) + socket.inet_aton(address)
