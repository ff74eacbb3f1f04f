"""Programs that try to reach what their network policy closes: each says what it saw, and nothing
may have arrived where it must not. Both uplinks; mode `internet`, which opens the most, unless a
test is about an allow list."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
from pathlib import Path

from network_attempts import INTERNET, TRY, attempt, reached
from network_world import (
    CLOUD,
    GATEWAY,
    HOST_LAN,
    HOST_PUBLIC,
    METADATA,
    OTHER_WEB,
    PRIVATE,
    RESOLVER_ELSEWHERE,
    SERVICE_PORT,
    WEB,
    World,
    inside,
    router_counters,
    slirp_of,
)
from sealed import Box, Live, wait_until

from sandbox import Host, NetworkPolicy


def test_private_metadata_and_the_hosts_own_addresses(egress: Box, world: World) -> None:
    closed = [METADATA, PRIVATE, CLOUD, HOST_LAN, HOST_PUBLIC, GATEWAY.replace("45", "10")]
    ports = [80, SERVICE_PORT]
    result = attempt(
        egress, f"say(*(tried(lambda: reach(a, p)) for a in {closed} for p in {ports}))\n"
    )
    assert set(result.seen) == {errno.ECONNREFUSED}
    assert world.arrived == []


def test_other_spellings_of_closed_addresses(egress: Box, world: World) -> None:
    spellings = [
        "2852039166",  # 169.254.169.254
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "0x7f000001",
        "2130706433",
        "127.1",
        "0",
        "10.99.1",
    ]
    result = attempt(
        egress,
        f"say(*(tried(lambda: reach(socket.gethostbyname(a), 80)) for a in {spellings}))\n",
    )
    assert set(result.seen) <= {errno.ECONNREFUSED, -2}
    assert world.arrived == []


def test_addresses_of_version_six_that_mean_version_four(egress: Box, world: World) -> None:
    six = [f"::ffff:{METADATA}", f"::ffff:{HOST_PUBLIC}", "::ffff:10.99.0.1", f"64:ff9b::{WEB}"]
    result = attempt(
        egress, f"say(*(tried(lambda: reach(a, 80, None, socket.AF_INET6)) for a in {six}))\n"
    )
    assert result.seen == [errno.ECONNREFUSED] * 3 + [errno.ENETUNREACH]
    assert world.arrived == []


def test_version_six_link_local_and_multicast(egress: Box, world: World) -> None:
    result = attempt(
        egress,
        """
interfaces = {name: socket.if_nametoindex(name) for name in ("lo", "eth0")}
six = [("fe80::1", 80, 0, n) for n in interfaces.values()] + [("2606:4700::1111", 443, 0, 0)]
seen = []
for where in six + [("ff02::1", 80, 0, interfaces["eth0"])]:
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    seen.append(tried(lambda: (s.connect(where), s.send(b"x"), None)[2]))
say(seen, open("/proc/net/if_inet6").read())
""",
    )
    seen, addresses = result.seen
    assert 0 not in seen
    assert [line.split()[-1] for line in addresses.splitlines()] == ["lo"]
    assert world.arrived == []


def test_bound_to_the_device(egress: Box, world: World) -> None:
    """SO_BINDTODEVICE walks past routes, so rules must not rest on them."""
    result = attempt(
        egress,
        f"""
def bind(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0\\0")
say(tried(lambda: reach("{METADATA}", 80, bind)), tried(lambda: reach("{HOST_LAN}", 80, bind)),
    tried(lambda: reach("{WEB}", 80, bind)) != 0)
""",
    )
    assert result.seen == [errno.ECONNREFUSED, errno.ECONNREFUSED, True]
    assert reached(world, METADATA, HOST_LAN) == []


def test_raw_and_packet_sockets(egress: Box) -> None:
    result = attempt(
        egress,
        """
kinds = [(socket.AF_INET, socket.SOCK_RAW, 1), (socket.AF_INET, socket.SOCK_RAW, 255),
         (socket.AF_INET6, socket.SOCK_RAW, 58), (socket.AF_PACKET, socket.SOCK_RAW, 0x300),
         (socket.AF_PACKET, socket.SOCK_DGRAM, 0x300), (socket.AF_INET, socket.SOCK_DGRAM, 1)]
say(*(tried(lambda: socket.socket(*kind) and None) for kind in kinds))
""",
    )
    denied = {errno.EPERM, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EACCES}
    assert set(result.seen) <= denied


def test_a_source_address_that_is_not_ones_own(egress: Box, world: World) -> None:
    result = attempt(
        egress,
        f"""
def forged(option, address):
    def bind(s):
        s.setsockopt(socket.IPPROTO_IP, option, 1)
        s.bind((address, 0))
    return bind
FREEBIND, TRANSPARENT = 15, 19
say(*(tried(lambda: reach("{WEB}", 80, forged(option, address)))
      for option in (FREEBIND, TRANSPARENT) for address in ("198.18.1.77", "{HOST_PUBLIC}")))
""",
    )
    assert "" not in result.seen
    assert all(isinstance(seen, int) and seen != 0 for seen in result.seen)
    assert world.arrived == []


def test_the_router_drops_what_a_slot_may_not_send(egress: Box, world: World) -> None:
    """Even with power over its own namespace, which no program has: another source, a route."""
    live = egress.start("import signal; print('up'); signal.pause()", network=INTERNET)
    live.wait_for("up")
    inside = _namespace_of(live)
    script = f"""
ip address add 198.18.9.9/32 dev eth0
ip address add {HOST_PUBLIC}/32 dev eth0
ip route add {METADATA} via 198.18.0.1 src 198.18.9.9
ip route add 10.0.0.0/8 via 198.18.0.1
cat /proc/net/tcp >/dev/null
"""
    subprocess.run(
        ["nsenter", f"--net={inside}", "sh", "-ec", script], check=True, env=dict(os.environ)
    )
    probe = f"""
import socket
for source in ("198.18.9.9", "{HOST_PUBLIC}", ""):
    for target in ("{WEB}", "{METADATA}", "{PRIVATE}", "{HOST_LAN}"):
        s = socket.socket()
        s.settimeout(0.3)
        s.bind((source, 0))
        try:
            s.connect((target, 80))
            print(source, target)
        except OSError:
            pass
"""
    run = subprocess.run(
        ["nsenter", f"--net={inside}", "/usr/bin/python3", "-c", probe],
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    live.sandbox.kill()
    live.finish()
    assert run.stdout.split("\n") == [f" {WEB}", ""]
    assert set(world.arrived) == {(WEB, 80)}


def test_a_slot_in_the_name_of_another(egress: Box, world: World) -> None:
    """One that may reach nothing sends with the address of one that may reach everything."""
    pause = "import signal; print('up'); signal.pause()"
    trusted, closed = (egress.start(pause, network=n) for n in (INTERNET, None))
    for live in (trusted, closed):
        live.wait_for("up")
    address = _address_of(trusted)
    script = f"""
import socket, subprocess
subprocess.run("ip address add {address}/32 dev eth0", shell=True, check=True)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("{address}", 0))
for _ in range(3):
    s.sendto(b"x", ("{WEB}", 443))
"""
    for live in (closed, trusted):
        entered = ["nsenter", f"--net={_namespace_of(live)}", "/usr/bin/python3", "-c"]
        adds = live is closed
        command = script if adds else script.replace("ip address add", "true")
        subprocess.run([*entered, command], check=True)
        if adds:
            assert world.arrived == []
    # The same from the slot itself arrives, after whatever the other sent.
    wait_until(lambda: len(world.arrived) == 3, "the rightful datagrams")
    for live in (trusted, closed):
        live.sandbox.kill()
        live.finish()


def _address_of(live: Live) -> str:
    entered = ["nsenter", f"--net={_namespace_of(live)}", "ip", "-4", "-o", "address"]
    lines = subprocess.run(entered, check=True, capture_output=True, text=True).stdout
    (address,) = (line.split()[3] for line in lines.splitlines() if "eth0" in line)
    return address.partition("/")[0]


def _namespace_of(live: Live) -> str:
    """Of this very run: its user id may still be on a process of the one before."""
    return f"/proc/{live.sandbox._parts.process.pid}/ns/net"


def test_changes_inside_the_slot(egress: Box) -> None:
    """Addresses, routes, links and neighbours: all need power that no program has."""
    result = attempt(
        egress,
        """
import fcntl
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def request(number, body):
    return tried(lambda: fcntl.ioctl(s, number, body) and None)
def at(address):
    return struct.pack("=HH4s8x", 2, 0, socket.inet_aton(address))
name = struct.pack("16s", b"eth0")
route = bytes(8) + at("169.254.169.254") + at("198.18.9.9") + at("255.255.255.255") + bytes(64)
neighbour = at("198.18.0.1") + struct.pack("=H14sI", 1, bytes(14), 4) + bytes(16) + name
say(request(0x8916, name + at("198.18.9.9") + bytes(8)), request(0x890B, route),
    request(0x8914, name + struct.pack("=H22x", 0)), request(0x8955, neighbour),
    tried(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)),
    tried(lambda: open("/proc/sys/net/ipv4/ip_forward", "w")) != 0)
""",
    )
    assert result.seen == [errno.ENOTTY] * 4 + [errno.EOPNOTSUPP, True]


def test_another_slots_address(egress: Box) -> None:
    listener = egress.start(
        """
        import signal, socket
        server = socket.create_server(("0.0.0.0", 7000))
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        u.bind(("0.0.0.0", 7000))
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.connect(("198.18.0.1", 9))
        print("at", s.getsockname()[0])
        print("up")
        server.settimeout(20)
        signal.pause()
        """,
        network=INTERNET,
    )
    listener.wait_for("up")
    address = listener.stdout.split()[1]
    around = [address, "198.18.1.0", "198.18.1.255", "198.19.255.2", "198.19.255.100"]
    result = attempt(
        egress,
        f"""
def datagram(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(2)
        s.connect((address, 7000))
        s.send(b"x")
        s.recv(1)
own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
own.connect(("198.18.0.1", 9))
say(own.getsockname()[0], *(tried(lambda: reach(a, 7000)) for a in {around}),
    tried(lambda: datagram("{address}")))
""",
    )
    listener.sandbox.kill()
    listener.finish()
    own, *seen = result.seen
    assert own != address
    assert seen == [errno.ECONNREFUSED] * len(around) + [errno.EHOSTUNREACH]


def test_mail_and_other_peoples_resolvers(egress: Box, world: World) -> None:
    result = attempt(
        egress,
        f"""
say(*(tried(lambda: reach("{WEB}", port)) for port in (25, 465, 587, 53)),
    tried(lambda: ask("web.example", 1, "{RESOLVER_ELSEWHERE}")),
    tried(lambda: ask("web.example", 1, "{GATEWAY}")))
""",
    )
    assert result.seen == [errno.ECONNREFUSED] * 4 + [errno.EHOSTUNREACH] * 2
    assert world.arrived == []


def test_mail_by_an_allowed_name(egress: Box, world: World) -> None:
    world.zone["mail.example"] = lambda: [WEB]
    result = attempt(
        egress,
        "say(tried(lambda: reach('mail.example', 25)), tried(lambda: reach('mail.example', 80)))",
        NetworkPolicy("allow", ("mail.example", f"{OTHER_WEB}/32")),
    )
    assert result.seen[0] == errno.ECONNREFUSED
    assert reached(world, WEB) == [(WEB, 80)]


def test_other_transports(egress: Box, world: World) -> None:
    result = attempt(
        egress,
        f"""
SCTP, UDP_LITE, DCCP, MPTCP = 132, 136, 33, 262
def send(kind, protocol):
    with socket.socket(socket.AF_INET, kind, protocol) as s:
        s.settimeout(1)
        s.connect(("{WEB}", 443))
        s.send(b"x")
        s.recv(1)
say(tried(lambda: send(socket.SOCK_STREAM, SCTP)), tried(lambda: send(socket.SOCK_DGRAM, UDP_LITE)),
    tried(lambda: send(6, DCCP)))
""",
    )
    assert all(isinstance(seen, int) and seen != 0 for seen in result.seen)
    assert world.arrived == []


def test_multicast_and_broadcast(egress: Box, world: World) -> None:
    result = attempt(
        egress,
        """
def send(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(0.3)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 8)
        s.sendto(b"x", (address, 9000))
        s.recv(1)
say(*(tried(lambda: send(a)) for a in ("224.0.0.1", "239.255.255.250", "255.255.255.255",
                                       "45.33.32.255", "10.1.2.255")))
""",
    )
    assert len(result.seen) == 5
    assert world.arrived == []


def test_a_thousand_connections(egress: Box) -> None:
    live = egress.start(
        TRY
        + f"""
held, refused = [], 0
for _ in range(1000):
    s = socket.socket()
    s.settimeout(5)
    try:
        s.connect(("{WEB}", 443))
        held.append(s)
    except ConnectionRefusedError:
        refused += 1
say(len(held), refused)
for s in held:
    s.close()
deadline = time.monotonic() + 15
again = ""
while not again and time.monotonic() < deadline:
    again = tried(lambda: reach("{WEB}", 443))
    again = again.split()[0] if isinstance(again, str) else ""
say(again)
""",
        network=INTERNET,
        open_files=1100,
    )
    sandbox = live.sandbox
    counts, again = (json.loads(line) for line in live.finish().stdout.splitlines())
    assert counts[0] + counts[1] == 1000
    assert 250 <= counts[0] <= 257
    assert again == [WEB]
    assert any(refusal.destination == WEB for refusal in sandbox.take_refusals())


def test_many_datagrams_to_many_places(egress: Box) -> None:
    """A scan: 256 flows at once, the rest is refused, and the router's memory is bounded."""
    result = attempt(
        egress,
        f"""
answers = 0
for port in range(2000, 4000):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.connect(("{WEB}", port))
    s.send(b"x")
    s.close()
say(tried(lambda: reach("{WEB}", 443)))
""",
    )
    assert result.seen == [errno.ECONNREFUSED]


def test_what_answers_cannot_call_back(egress: Box, world: World) -> None:
    """Nothing from outside reaches a listening program, neither in the slot nor by the uplink."""
    live = egress.start(
        TRY
        + """
server = socket.create_server(("0.0.0.0", 7000))
server.settimeout(1)
print("up", flush=True)
say(tried(lambda: server.accept() and None))
""",
        network=INTERNET,
    )
    live.wait_for("up")
    outcomes = []
    for namespace in (world.host, world.internet):
        with inside(namespace):
            for address in ("198.18.1.1", "198.18.0.1", HOST_PUBLIC, "198.19.255.2"):
                with socket.socket() as s:
                    s.settimeout(0.2)
                    outcomes.append(s.connect_ex((address, 7000)))
    assert 0 not in outcomes
    assert live.finish().seen != [0]


def test_source_routes(egress: Box, world: World) -> None:
    """An IP option that asks a hop on the way to pass the packet on to somewhere else."""
    result = attempt(
        egress,
        f"""
def by(*hops):
    def prepare(s):
        listed = b"".join(map(socket.inet_aton, hops))
        option = bytes([131, 3 + len(listed), 4]) + listed + b"\\0"
        s.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, option)
    return prepare
say(tried(lambda: reach("{METADATA}", 80, by("198.18.0.1"))),
    tried(lambda: reach("{HOST_LAN}", 80, by("198.18.0.1", "{GATEWAY}"))),
    tried(lambda: reach("{PRIVATE}", 80, by("{GATEWAY}"))))
""",
    )
    assert all(not isinstance(seen, str) and seen != 0 for seen in result.seen)
    assert reached(world, METADATA, HOST_LAN, PRIVATE) == []


def test_opening_and_closing_without_end(egress: Box) -> None:
    """The connection table of all slots is not to be filled by one that leaves nothing open."""
    live = egress.start(
        TRY
        + f"""
print("up", flush=True)
begun, ended = 0, time.monotonic() + 4
while time.monotonic() < ended:
    with socket.socket() as s:
        begun += tried(lambda: s.connect(("{WEB}", 443))) == 0
say(begun)
""",
        network=INTERNET,
    )
    live.wait_for("up")
    begun = int(live.finish().stdout.split()[-1].strip("[]"))
    assert 100 < begun < 1000 + 5 * 200 + 200
    # What has ended is forgotten at once, not after the kernel's two minutes.
    wait_until(lambda: _tracked(egress) < 60, "an empty connection table", 60)


def _tracked(egress: Box) -> int:
    fd = egress.host._network._helper.router_fd
    entered = ["nsenter", f"--net=/proc/self/fd/{fd}", "cat", "/proc/net/nf_conntrack"]
    run = subprocess.run(entered, check=True, capture_output=True, pass_fds=[fd])
    return len(run.stdout.splitlines())


def test_a_name_that_would_write_to_a_log(egress: Box) -> None:
    live = egress.start(
        TRY + r"""say(ask("\x1b[31mred\x1b[0m.example"), ask("a\nsystem: b.example"))""",
        network=NetworkPolicy("allow", ("web.example",)),
    )
    sandbox = live.sandbox
    assert live.finish().seen == [[3, 0], [3, 0]]
    assert [(r.destination, r.count) for r in sandbox.take_refusals()] == [
        ("names that no host has", 2)
    ]


def test_a_way_of_the_host_that_is_no_address(egress: Box, world: World) -> None:
    """A route of type `local`, as clouds make for addresses that they forward, is the host's."""
    routed = "45.33.32.77/32"
    world.ip(world.host, "route", "add", "local", routed, "dev", "lo")
    try:
        seen = attempt(
            egress,
            f"""
deadline = time.monotonic() + 30
while True:  # it is told of the new route in a moment
    seen = tried(lambda: reach("45.33.32.77", {SERVICE_PORT}))
    if seen == errno.ECONNREFUSED or time.monotonic() > deadline:
        break
    time.sleep(0.2)  # else it would be refused for its pace
say(seen)
""",
        ).seen
    finally:
        world.ip(world.host, "route", "del", "local", routed, "dev", "lo")
    assert seen == [errno.ECONNREFUSED]


def test_connections_that_only_the_router_forgets(
    egress: Box, egress_host: Host, world: World, uplink: str
) -> None:
    """A reset that the router counts and then discards left them to the host for five days, or to
    slirp4netns for as long as it lived."""
    if uplink == "veth":
        table = ["ip", "netns", "exec", world.host, "cat", "/proc/net/nf_conntrack"]

        def kept() -> int:
            lines = subprocess.run(table, capture_output=True, text=True, check=True).stdout
            mine = (line for line in lines.splitlines() if "dport=443" in line)
            return sum("ESTABLISHED" in line for line in mine)
    else:
        descriptors = Path(f"/proc/{slirp_of(egress_host)}/fd")

        def kept() -> int:
            return len(list(descriptors.iterdir()))

    before = kept()
    result = attempt(
        egress,
        f"""
for _ in range(60):
    with socket.create_connection(("{WEB}", 443), timeout=10) as s:
        s.sendall(b"x")
        s.recv(100)
        s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
say("done")
""",
    )
    assert result.seen == ["done"], result
    wait_until(lambda: kept() < before + 30, "nobody remembers them")


def test_a_flood_of_datagrams_is_paced(egress: Box, egress_host: Host) -> None:
    """Also one that was answered once, which no rule for new connections sees."""
    before = _carried(egress_host)
    result = attempt(
        egress,
        f"""
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("{WEB}", 443))
s.send(b"x")
s.settimeout(10)
s.recv(100)
begun = time.monotonic()
for _ in range(60_000):
    tried(lambda: s.send(b"y") and None)
say(time.monotonic() - begun)
""",
    )
    assert _carried(egress_host) - before < 6_000 + 10_000 * result.seen[0]


def test_datagrams_that_leave_as_one_are_paced(egress: Box, egress_host: Host) -> None:
    """UDP_SEGMENT beside the data, where no filter of system calls sees it."""
    before = _carried(egress_host)
    result = attempt(
        egress,
        f"""
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("{WEB}", 443))
segments_of_2 = [(socket.IPPROTO_UDP, 103, struct.pack("H", 2))]
begun = time.monotonic()
sent = sum(tried(lambda: s.sendmsg([bytes(128)], segments_of_2) and None) == 0 for _ in range(500))
say(sent, time.monotonic() - begun)
""",
    )
    sent, taken_s = result.seen
    assert sent > 100
    assert 1_000 < _carried(egress_host) - before < 6_000 + 10_000 * taken_s


def test_a_datagram_that_leaves_in_parts_is_refused(egress: Box) -> None:
    """Parts that were lost on their way to slirp4netns ended it, and everybody's connections."""
    result = attempt(
        egress,
        f"""
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("{WEB}", 443))
s.settimeout(10)
def size(count):
    s.send(bytes(count))
    return len(s.recv(70_000))
whole = size(1400)
refused = {{tried(lambda: s.send(bytes(60_000)) and None) for _ in range(1000)}}
say(whole, *refused)
""",
    )
    assert result.seen == [1400 + len("datagram "), errno.EPERM]
    assert attempt(egress, f"say(reach('{WEB}', 443))").outcome.exit_code == 0


def _carried(host: Host) -> int:
    """Packets that the router has sent by its uplink, or lost there because it was full."""
    sent = router_counters(host)["uplink"][8:]
    return sent[1] + sent[3]
