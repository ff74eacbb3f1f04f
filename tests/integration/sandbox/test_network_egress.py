"""Programs and the internet, by both uplinks: what a policy opens, and what it says of the rest."""

from __future__ import annotations

import os

import pytest
from network_world import (
    DOCUMENTED,
    OTHER_WEB,
    PRIVATE,
    RESOLVER_ELSEWHERE,
    WEB,
    World,
    inside,
)
from sealed import PATIENT, Box, wait_until

from sandbox import Host, HostConfig, NetworkPolicy, NoUplinkError, Program, ProgramInvalidError

INTERNET = NetworkPolicy("internet")
ASK = """
import errno, json, socket, time, urllib.request

def get(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.read().decode().split()[0]
    except OSError as error:
        reason = getattr(error, "reason", error)
        return getattr(reason, "errno", None)

def tcp(address, port):
    try:
        with socket.create_connection((address, port), timeout=10) as s:
            s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            return s.recv(100).decode().split("\\n")[-1].split()[0]
    except OSError as error:
        return error.errno

def udp(address, port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(5)
    try:
        s.connect((address, port))
        s.send(b"hello")
        return s.recv(100).decode()
    except OSError as error:
        return error.errno

def say(*seen):
    print(json.dumps(seen))
"""


def allow(*entries: str) -> NetworkPolicy:
    return NetworkPolicy("allow", entries)


def test_the_internet_by_name_and_by_address(egress: Box, world: World) -> None:
    world.zone["web.example.com"] = lambda: [WEB]
    result = egress.run(
        ASK + f"say(get('http://web.example.com/'), tcp('{WEB}', 443), udp('{WEB}', 443))",
        network=INTERNET,
    )
    assert result.seen == [WEB, WEB, "datagram hello"]
    assert result.outcome.exit_code == 0


def test_the_platforms_api_next_to_the_internet(egress: Box) -> None:
    result = egress.run(ASK + "say(tcp('198.18.0.1', 8000))", network=INTERNET)
    assert result.seen[0] not in (None, 111)


def test_no_policy_no_internet(egress: Box, world: World) -> None:
    world.zone["web.example.com"] = lambda: [WEB]
    result = egress.run(
        ASK + f"say(tcp('{WEB}', 80), get('http://web.example.com/'), udp('{WEB}', 443))"
    )
    assert result.seen == [111, -2, 113]


def test_an_allowed_name_and_port_alone(egress: Box, world: World) -> None:
    world.zone["api.kalshi.example"] = lambda: [WEB]
    world.zone["evil.example"] = lambda: [OTHER_WEB]
    live = egress.start(
        ASK
        + f"""
before = tcp("{WEB}", 443)
allowed = get("http://api.kalshi.example:443/")
say(before, allowed, tcp("{WEB}", 443), tcp("{WEB}", 80), udp("{WEB}", 443),
    get("http://evil.example:443/"), tcp("{OTHER_WEB}", 443))
input_ = open("/workspace/wait", "w")
print("asked", flush=True)
import os, signal
signal.pause()
""",
        network=allow("api.kalshi.example:443"),
    )
    live.wait_for("asked")
    refusals = {(r.destination, r.port, r.protocol): r.count for r in live.sandbox.take_refusals()}
    assert live.sandbox.take_refusals() == []
    live.sandbox.kill()
    assert live.finish().stdout.splitlines()[0] == (
        f'[111, "{WEB}", "{WEB}", 111, "datagram hello", -2, 111]'
    )
    # glibc asks for IPv4 and IPv6 each.
    assert refusals == {
        (WEB, 443, "tcp"): 1,
        (WEB, 80, "tcp"): 1,
        (OTHER_WEB, 443, "tcp"): 1,
        ("evil.example", 0, "dns"): 2,
    }
    assert "evil.example" not in world.asked


def test_names_below_a_domain(egress: Box, world: World) -> None:
    for name in ("a.coinbase.example", "b.a.coinbase.example", "coinbase.example"):
        world.zone[name] = lambda: [WEB]
    world.zone["notcoinbase.example"] = lambda: [OTHER_WEB]
    result = egress.run(
        ASK
        + """
names = ("a.coinbase.example", "B.A.Coinbase.example", "coinbase.example", "notcoinbase.example")
say(*(get(f"http://{name}/") for name in names))
""",
        network=allow("*.coinbase.example"),
    )
    assert result.seen == [WEB, WEB, -2, -2]


def test_ranges_also_of_the_documentation(egress: Box) -> None:
    result = egress.run(
        ASK + f"say(tcp('{DOCUMENTED}', 80), tcp('{WEB}', 443), tcp('{WEB}', 80))",
        network=allow("203.0.113.0/24", f"{WEB}:443"),
    )
    assert result.seen == [DOCUMENTED, WEB, 111]


def test_the_internet_ends_before_the_documentation(egress: Box) -> None:
    result = egress.run(ASK + f"say(tcp('{DOCUMENTED}', 80))", network=INTERNET)
    assert result.seen == [111]


def test_aliases_long_answers_and_the_names_without(egress: Box, world: World) -> None:
    world.zone["alias.example"] = lambda: ["=real.example"]
    world.zone["real.example"] = lambda: [WEB]
    world.zone["long.example"] = lambda: ["truncated", OTHER_WEB]
    result = egress.run(
        ASK
        + """
say(*(get(f"http://{name}/") for name in ("alias.example", "long.example", "no.example")))
""",
        network=allow("alias.example", "long.example", "no.example"),
        env=PATIENT,
    )
    assert result.seen == [WEB, OTHER_WEB, -2]


def test_an_established_connection_goes_on_and_new_addresses_open(
    egress: Box, world: World
) -> None:
    world.zone["moving.example"] = lambda: (
        [f"{OTHER_WEB}/1"] if (WEB, 443) in world.arrived else [f"{WEB}/1"]
    )
    result = egress.run(
        ASK
        + """
first = socket.create_connection(("moving.example", 443))
first.sendall(b"x")
first.recv(1000)
second = socket.create_connection(("moving.example", 443))
first.sendall(b"still here")
say(first.getpeername()[0], second.getpeername()[0], first.recv(100).decode())
""",
        network=allow("moving.example:443"),
    )
    assert result.seen == [WEB, OTHER_WEB, "still here"]


def test_a_dead_resolver_is_an_error_in_time(egress: Box, world: World) -> None:
    world.zone["silent.example"] = lambda: ["silence"]
    world.zone["noise.example"] = lambda: ["garbage"]
    result = egress.run(
        ASK
        + """
say(get("http://silent.example/"))
""",
        network=INTERNET,
        env=PATIENT,
    )
    assert result.seen == [-3]


def test_what_a_run_had_is_recorded(egress: Box, uplink: str) -> None:
    live = egress.start("print(1)", network=allow(f"{WEB}:443"))
    assert live.sandbox.isolation["network"] == {
        "mode": "allow",
        "allow": [f"{WEB}:443"],
        "api": True,
        "uplink": uplink,
    }
    live.finish()


def test_refusals_are_left_after_the_end(egress: Box) -> None:
    live = egress.start(ASK + f"say(tcp('{PRIVATE}', 80))", network=INTERNET)
    sandbox = live.sandbox
    live.finish()
    (refusal,) = sandbox.take_refusals()
    assert (refusal.destination, refusal.port, refusal.protocol) == (PRIVATE, 80, "tcp")
    assert sandbox.take_refusals() == []


def test_many_destinations_are_counted_together(egress: Box) -> None:
    live = egress.start(
        ASK + f"say(*(tcp('{RESOLVER_ELSEWHERE}', port) for port in range(1000, 1300)))",
        network=allow("1.2.3.4"),
    )
    sandbox = live.sandbox
    assert set(live.finish().seen) == {111}
    refusals = sandbox.take_refusals()
    assert sum(refusal.count for refusal in refusals) == 300
    assert refusals[0].destination == "other destinations"
    assert len(refusals) <= 65


def test_a_bad_policy_and_a_runner_without_uplink(egress: Box, world: World) -> None:
    program = Program(argv=["-c", "pass"], network=allow("10.0.0.0/8"))
    with pytest.raises(ProgramInvalidError, match=r"10\.0\.0\.0/8 \(a private network\)"):
        egress.host.spawn(program, "bad")
    with inside(world.host):
        host = Host.open(
            HostConfig(name=f"no-uplink-{os.getpid()}", ready_slots=1, first_uid=370_000)
        )
    try:
        with pytest.raises(NoUplinkError, match="its operator can set RUNNER_UPLINK=user"):
            host.spawn(Program(argv=["-c", "pass"], network=INTERNET), "run")
    finally:
        host.close()


def test_what_the_operator_allowed_may_be_named(world: World) -> None:
    world.zone["inner.example"] = lambda: [PRIVATE]
    with inside(world.host):
        host = Host.open(
            HostConfig(
                name=f"operator-{os.getpid()}",
                ready_slots=1,
                first_uid=371_000,
                uplink="user",
                extra_allowed=("10.99.0.0/16",),
                extra_blocked=(f"{OTHER_WEB}/32",),
                resolvers=("45.33.32.1",),
            )
        )
    box = Box(host)
    ask = ASK + f"say(tcp('{PRIVATE}', 80), tcp('{WEB}', 80), tcp('{OTHER_WEB}', 80))"
    try:
        assert box.run(ask, network=allow(f"{PRIVATE}:80")).seen == [PRIVATE, 111, 111]
        assert box.run(ask, network=INTERNET).seen == [111, WEB, 111]
        by_name = ASK + "say(get('http://inner.example/'))"
        assert box.run(by_name, network=allow("inner.example")).seen == [PRIVATE]
    finally:
        box.close()
        host.close()


def test_a_new_address_of_the_host_is_closed_too(egress: Box, world: World) -> None:
    from network_world import HOST_LATER, SERVICE_PORT

    world.ip(world.host, "address", "add", f"{HOST_LATER}/32", "dev", "lo")
    try:
        ask = ASK + f"say(tcp('{HOST_LATER}', {SERVICE_PORT}))"
        wait_until(lambda: egress.run(ask, network=INTERNET).seen == [111], "closed")
    finally:
        world.ip(world.host, "address", "delete", f"{HOST_LATER}/32", "dev", "lo")
