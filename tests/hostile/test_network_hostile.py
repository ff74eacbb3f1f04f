"""Programs that try to reach what their network policy closes: each says what it saw, and nothing
may have arrived where it must not. Both uplinks; mode `internet`, which opens the most, unless a
test is about an allow list."""

from __future__ import annotations

import errno
import json

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
)
from sealed import Box, Result

from sandbox import NetworkPolicy

INTERNET = NetworkPolicy("internet")
TRY = """
import array, errno, json, os, socket, struct, time

def tried(action):
    try:
        result = action()
        return 0 if result is None else result
    except OSError as error:
        return error.errno

def reach(address, port=80, prepare=None, family=socket.AF_INET):
    with socket.socket(family) as s:
        s.settimeout(3)
        if prepare:
            prepare(s)
        s.connect((address, port))
        s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
        return s.recv(200).decode().split("\\n")[-1]

def say(*seen):
    print(json.dumps(seen))

def question(name, kind=1):
    labels = b"".join(bytes([len(x)]) + x.encode() for x in name.split(".")) + b"\\0"
    return struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + labels + struct.pack("!HH", kind, 1)

def ask(name, kind=1, server="198.18.0.1"):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(6)
        s.connect((server, 53))
        s.send(question(name, kind))
        data = s.recv(4096)
        return [data[3] & 15, int.from_bytes(data[6:8], "big")]
"""


def attempt(box: Box, source: str, policy: NetworkPolicy = INTERNET) -> Result:
    return box.run(TRY + source, network=policy)


def reached(world: World, *addresses: str) -> list[tuple[str, int]]:
    return [one for one in world.arrived if one[0] in addresses]


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
interfaces = dict(map(reversed, socket.if_nameindex()))
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
    denied = {errno.EPERM, errno.EAFNOSUPPORT, errno.EACCES}
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
    import os
    import subprocess

    live = egress.start("import signal; print('up'); signal.pause()", network=INTERNET)
    live.wait_for("up")
    inside = _namespace_of(live.sandbox.isolation["host_uid"])
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
        check=True,
        capture_output=True,
        text=True,
    )
    live.sandbox.kill()
    live.finish()
    assert run.stdout.split("\n") == [f" {WEB}", ""]
    assert set(world.arrived) == {(WEB, 80)}


def _namespace_of(uid: object) -> str:
    from sealed import processes_of_uids

    assert isinstance(uid, int)
    return f"/proc/{processes_of_uids(uid, uid)[0]}/ns/net"


def test_changes_inside_the_slot(egress: Box) -> None:
    """Addresses, routes, links and neighbours by netlink: all need power that no program has."""
    result = attempt(
        egress,
        """
def request(kind, body, flags=0x605):
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as s:
        s.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body)
        return -struct.unpack_from("=i", s.recv(4096), 16)[0]
index = socket.if_nametoindex("eth0")
address = struct.pack("=HH4s", 8, 2, socket.inet_aton("198.18.9.9"))
metadata = struct.pack("=HH4sHHi", 8, 1, socket.inet_aton("169.254.169.254"), 8, 4, index)
say(request(20, struct.pack("=BBBBi", 2, 32, 0, 0, index) + address),
    request(24, struct.pack("=BBBBBBBBI", 2, 32, 0, 0, 254, 4, 253, 1, 0) + metadata),
    request(19, struct.pack("=BxHiII", 0, 0, index, 0, 1)),
    request(17, struct.pack("=BxHiII", 0, 0, index, 0, 0)),
    tried(lambda: open("/proc/sys/net/ipv4/ip_forward", "w")) != 0)
""",
    )
    assert result.seen == [errno.EPERM] * 4 + [True]


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


def test_names_that_lead_to_closed_addresses(egress: Box, world: World) -> None:
    """DNS rebinding: first a good address, then one of ours."""
    closed = {
        "loop.evil.example": "127.0.0.1",
        "inner.evil.example": PRIVATE,
        "meta.evil.example": METADATA,
        "self.evil.example": HOST_PUBLIC,
        "slots.evil.example": "198.18.0.1",
        "docs.evil.example": "203.0.113.80",
    }
    for name, address in closed.items():
        world.zone[name] = lambda address=address: [address]  # type: ignore[misc]
    world.zone["both.evil.example"] = lambda: [METADATA, WEB]
    world.zone["alias.evil.example"] = lambda: ["=meta.evil.example"]
    world.zone["turning.evil.example"] = lambda: (
        [f"{HOST_LAN}/0"] if (WEB, 80) in world.arrived else [f"{WEB}/0"]
    )
    source = f"""
closed = {json.dumps([*closed, "alias.evil.example"])}
seen = [tried(lambda: socket.gethostbyname(name)) for name in closed]
both = tried(lambda: socket.gethostbyname("both.evil.example"))
first = tried(lambda: reach("turning.evil.example", 80)).split()[0]
again = tried(lambda: reach("turning.evil.example", 80))
direct = [tried(lambda: reach(a, 80)) for a in ("{HOST_LAN}", "{METADATA}", "{PRIVATE}")]
say(seen, both, first, again, direct)
"""
    for policy in (INTERNET, NetworkPolicy("allow", ("*.evil.example",))):
        world.arrived.clear()
        seen, both, first, again, direct = attempt(egress, source, policy).seen
        assert set(seen) == {-5}
        assert (both, first, again) == (WEB, WEB, -5)
        assert direct == [errno.ECONNREFUSED] * 3
        assert set(world.arrived) - {(GATEWAY, 53)} == {(WEB, 80)}


def test_names_by_tcp_and_other_kinds_of_question(egress: Box, world: World) -> None:
    world.zone["web.example"] = lambda: [WEB]
    result = attempt(
        egress,
        """
def by_tcp(data, count=1):
    with socket.create_connection(("198.18.0.1", 53), timeout=6) as s:
        s.sendall((len(data).to_bytes(2, "big") + data) * count)
        answers = []
        for _ in range(count):
            length = int.from_bytes(s.recv(2, socket.MSG_WAITALL), "big")
            answer = s.recv(length, socket.MSG_WAITALL)
            answers.append([answer[3] & 15, int.from_bytes(answer[6:8], "big")])
        return answers
say(by_tcp(question("web.example"), 3), by_tcp(question("secret-data.evil.example")),
    *(ask("web.example", kind) for kind in (28, 16, 15, 255, 252, 65)),
    ask("secret.evil.example", 16))
""",
        NetworkPolicy("allow", ("web.example",)),
    )
    by_tcp, refused, *others = result.seen
    assert by_tcp == [[0, 1]] * 3
    assert refused == [[3, 0]]
    assert others == [[0, 0]] * 6 + [[3, 0]]
    assert set(world.asked) == {"web.example"}


def test_malformed_and_huge_questions(egress: Box, world: World) -> None:
    world.zone["web.example"] = lambda: [WEB]
    result = attempt(
        egress,
        r"""
head = struct.pack("!HHHHHH", 1, 0x100, 1, 0, 0, 0)
bad = [b"", b"x", head[:11], head, head + b"\xc0\x0c\0\1\0\1", head + b"\x3f" * 70,
       head + b"\1a" * 200 + b"\0\0\1\0\1", head + b"\1.\0\0\1\0\1", head + b"\2\xff\xfe\0\0\1\0\1",
       struct.pack("!HHHHHH", 1, 0x8180, 1, 0, 0, 0) + b"\1a\0\0\1\0\1",
       struct.pack("!HHHHHH", 1, 0x2800, 1, 0, 0, 0) + b"\1a\0\0\1\0\1",
       struct.pack("!HHHHHH", 1, 0x100, 65535, 65535, 65535, 65535) + os.urandom(40000),
       *(os.urandom(n) for n in range(1, 120))]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("198.18.0.1", 53))
for data in bad:
    s.send(data)
streams = [socket.create_connection(("198.18.0.1", 53)) for _ in range(8)]
for stream, data in zip(streams, bad[4:]):
    tried(lambda: stream.sendall(b"\xff\xff" + data) and None)
say(ask("web.example"), tried(lambda: reach("web.example", 80)).split()[0])
""",
    )
    assert result.seen == [[0, 1], WEB]
    assert egress.run(TRY + "say(ask('web.example'))", network=INTERNET).seen == [[0, 1]]


def test_a_flood_of_questions_does_not_hold_up_others(egress: Box, world: World) -> None:
    world.zone["web.example"] = lambda: [WEB]
    flood = egress.start(
        TRY
        + """
print("up", flush=True)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("198.18.0.1", 53))
n = 0
while True:
    n += 1
    tried(lambda: s.send(question(f"x{n}.silent.example")) and None)
""",
        network=INTERNET,
        cpu_millis=300,
    )
    flood.wait_for("up")
    result = attempt(
        egress,
        """
begun = time.monotonic()
say(ask("web.example"), time.monotonic() - begun)
""",
    )
    flood.sandbox.kill()
    flood.finish()
    answer, taken_s = result.seen
    assert answer == [0, 1]
    assert taken_s < 2


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
    import socket

    from network_world import inside

    outcomes = []
    for namespace in (world.host, world.internet):
        with inside(namespace):
            for address in ("198.18.1.1", "198.18.0.1", HOST_PUBLIC, "198.19.255.2"):
                with socket.socket() as s:
                    s.settimeout(0.2)
                    outcomes.append(s.connect_ex((address, 7000)))
    assert 0 not in outcomes
    assert live.finish().seen != [0]
