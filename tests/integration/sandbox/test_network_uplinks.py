"""Uplinks and helpers that die under running programs, and what is left when all has ended."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import network_world
import pytest
from network_world import (
    CLOUD,
    GATEWAY,
    HOST_LAN,
    HOST_PUBLIC,
    METADATA,
    PRIVATE,
    SERVICE_PORT,
    WEB,
    World,
    children,
    inside,
    router_counters,
    router_listeners,
    slirp_of,
)
from sealed import Box, wait_until

import sandbox
from sandbox import ApiRelay, Host, HostConfig, NetworkEvent, NetworkPolicy

INTERNET = NetworkPolicy("internet")
ONCE = f"""
import signal, socket, time
def tried(host, port):
    try:
        with socket.create_connection((host, port), timeout=5) as s:
            s.sendall(b"x")
            return s.recv(100) != b""
    except OSError:
        return False
assert tried("{WEB}", 443)
"""
# On SIGTERM it looks again.
STEADY = (
    ONCE
    + f"""
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("works", flush=True)
signal.sigwait([signal.SIGTERM])
deadline = time.monotonic() + 10
while not tried("{WEB}", 443):
    assert time.monotonic() < deadline
print("works again", flush=True)
"""
)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Not shared: what these tests do to a host would disturb the runners of others."""
    world = network_world.build()
    yield world
    world.close()


@contextmanager
def opened(
    world: World, uplink: str, heard: list[NetworkEvent] | None = None, name: str = "uplink"
) -> Iterator[Host]:
    config = HostConfig(
        name=f"{name}-{os.getpid()}",
        api=ApiRelay("127.0.0.1", world.api_port),
        ready_slots=2,
        first_uid=390_000,
        uplink=uplink,
        resolvers=(GATEWAY,),
    )
    with inside(world.host):
        host = Host.open(config, None if heard is None else heard.append)
    try:
        yield host
    finally:
        host.close()


def kill_slirp(host: Host, _: World) -> None:
    os.kill(slirp_of(host), signal.SIGKILL)


def stop_slirp(host: Host, _: World) -> None:
    os.kill(slirp_of(host), signal.SIGSTOP)


def starve_slirp(host: Host, _: World) -> None:
    """As when programs have had it open more connections than it may."""
    _, most = resource.prlimit(slirp_of(host), resource.RLIMIT_NOFILE)
    resource.prlimit(slirp_of(host), resource.RLIMIT_NOFILE, (8, most))


def remove_interface(_: Host, world: World) -> None:
    world.ip(world.host, "link", "delete", uplink_interface(world))


def flush_rules(_: Host, world: World) -> None:
    with inside(world.host):
        subprocess.run(["nft", "flush", "ruleset"], check=True)


def uplink_interface(world: World) -> str:
    lines = world.ip(world.host, "-o", "link").splitlines()
    (name,) = (line.split(": ")[1].split("@")[0] for line in lines if ": sequp" in line)
    return name


def test_the_world_would_answer(world: World) -> None:
    """What programs do not reach is there: from the host it all answers."""
    services = [(address, 80) for address in (METADATA, PRIVATE, CLOUD, WEB)]
    services += [(address, SERVICE_PORT) for address in (HOST_PUBLIC, HOST_LAN)]
    with inside(world.host):
        for service in services:
            socket.create_connection(service, timeout=5).close()


@pytest.mark.parametrize(
    ("uplink", "damage"),
    [
        ("user", kill_slirp),
        ("user", stop_slirp),
        ("user", starve_slirp),
        ("veth", remove_interface),
        ("veth", flush_rules),
    ],
)
def test_a_lost_uplink_is_remade_and_said(
    world: World, uplink: str, damage: Callable[[Host, World], None]
) -> None:
    heard: list[NetworkEvent] = []
    with opened(world, uplink, heard) as host:
        box = Box(host)
        live = box.start(STEADY, network=INTERNET)
        untouched = box.start("import signal; print('up'); signal.pause()")
        live.wait_for("works")
        damage(host, world)
        wait_until(lambda: len(heard) >= 2, "both events")
        live.sandbox.interrupt()
        live.wait_for("works again")
        assert [event.kind for event in heard] == ["uplink_lost", "uplink_up"]
        assert {event.runs for event in heard} == {(live.sandbox.run_name,)}
        assert heard[0].detail in heard[0].message
        assert live.finish().outcome.exit_code == 0
        untouched.sandbox.kill()
        untouched.finish()


@pytest.mark.parametrize("uplink", ["user", "veth"])
def test_netd_may_die_under_a_policy(world: World, uplink: str) -> None:
    """The program goes on, and so do its limits: before, while nobody is there, and after."""
    world.zone["web.example"] = lambda: [WEB]
    heard: list[NetworkEvent] = []
    with opened(world, uplink, heard) as host:
        live = Box(host).start(
            ONCE.replace(WEB, "web.example")
            + f"""
closed = [("{PRIVATE}", 80), ("{WEB}", 80), ("evil.example", 443)]
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("before", flush=True)
while not signal.sigtimedwait([signal.SIGTERM], 0):
    assert not any(tried(*one) for one in closed)
deadline = time.monotonic() + 20
while not tried("web.example", 443):
    assert time.monotonic() < deadline
assert not any(tried(*one) for one in closed)
print("after", tried("198.18.0.1", 8000), flush=True)
""",
            network=NetworkPolicy("allow", ("web.example:443",)),
        )
        live.wait_for("before")
        os.kill(host.netd_pid, signal.SIGKILL)
        wait_until(lambda: len(heard) >= 2, "both events")
        live.sandbox.interrupt()
        live.wait_for("after True")
        assert [event.kind for event in heard] == ["helper_restarted", "uplink_up"]
        assert heard[0].runs == (live.sandbox.run_name,)
        assert (WEB, 80) in {(r.destination, r.port) for r in live.sandbox.take_refusals()}
        assert live.finish().outcome.exit_code == 0


def test_the_veth_uplink_leaves_the_host_as_it_was(world: World) -> None:
    def state() -> tuple[str, ...]:
        with inside(world.host):
            listed = ["nft", "list", "ruleset"]
            rules = subprocess.run(listed, check=True, capture_output=True, text=True)
            names = ("all", "default", "wan", "lo")
            forwarding = [
                Path(f"/proc/sys/net/ipv4/conf/{name}/forwarding").read_text() for name in names
            ]
        links = world.ip(world.host, "-o", "link"), world.ip(world.host, "route")
        return (*forwarding, rules.stdout, *(link.split("qdisc")[0] for link in links))

    before = state()
    with opened(world, "veth", name="one") as first:
        during = state()
        assert during[0] == "0\n", "never the whole host"
        with opened(world, "veth", name="two"):
            pass
        works = Box(first).run(ONCE, network=INTERNET)
        assert works.outcome.exit_code == 0, works.stderr
    assert state() == before


def test_a_neighbour_cannot_route_through_the_host(world: World) -> None:
    """Forwarding is on where replies come in, and lets nothing else pass."""
    route = ("172.16.5.0/24", "via", HOST_PUBLIC)
    back = ("172.16.5.0/24", "dev", "wan")
    with opened(world, "veth"):
        world.ip(world.internet, "route", "add", *route)
        world.ip(world.host, "route", "add", *back)
        try:
            guarded = _forwarded_for_a_neighbour(world)
            with inside(world.host):
                subprocess.run(["nft", "delete table ip sequence-forwarding"], check=True)
            unguarded = _forwarded_for_a_neighbour(world)
        finally:
            world.ip(world.internet, "route", "delete", *route)
            world.ip(world.host, "route", "delete", *back)
            # The table knew what to switch off.
            with inside(world.host):
                Path("/proc/sys/net/ipv4/conf/wan/forwarding").write_text("0")
    assert guarded == 0
    assert unguarded > 0


def _forwarded_for_a_neighbour(world: World) -> int:
    """How many packets the host passes on for one that routes through it."""
    count = (
        "table ip test { chain out { type filter hook postrouting priority 0;"
        " ip daddr 172.16.5.5 counter; }; }"
    )
    with inside(world.host):
        subprocess.run(["nft", count], check=True)
    with inside(world.internet), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for _ in range(5):
            s.sendto(b"x", ("172.16.5.5", 9))
    with inside(world.host):
        listed = ["nft", "list", "table", "ip", "test"]
        said = subprocess.run(listed, check=True, capture_output=True, text=True).stdout
        subprocess.run(["nft", "delete", "table", "ip", "test"], check=True)
    return int(said.split("counter packets ")[1].split()[0])


def test_starting_an_uplink_leaves_the_hosts_mounts(world: World) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    with opened(world, "user"):
        assert Path("/proc/self/mountinfo").read_text() == before
    assert Path("/proc/self/mountinfo").read_text() == before


def test_the_user_uplinks_process_has_no_power(world: World) -> None:
    with opened(world, "user") as host:
        status = Path(f"/proc/{slirp_of(host)}/status").read_text()
        root = Path(f"/proc/{slirp_of(host)}/root")
        fields = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)
        assert int(fields["CapEff"], 16) & ~(1 << 10) == 0  # CAP_NET_BIND_SERVICE
        assert fields["Seccomp"] == "2"
        assert not (root / "usr").exists()


@pytest.mark.parametrize("uplink", ["user", "veth"])
def test_a_hundred_runs_leave_nothing(world: World, uplink: str) -> None:
    with opened(world, uplink) as host:
        box = Box(host)
        policy = NetworkPolicy("allow", ("web.example:443", "93.184.216.0/24"))
        world.zone["web.example"] = lambda: [WEB]
        source = "import socket\nsocket.create_connection(('web.example', 443))\n"
        assert box.run(source, network=policy).outcome.exit_code == 0
        wait_until(lambda: len(_interfaces(host)) == 2, "the ready slots alone")
        before = _counts(host)
        for _ in range(100):
            assert box.run(source, network=policy).outcome.exit_code == 0
        wait_until(lambda: len(_interfaces(host)) == 2, "the ready slots alone")
        wait_until(lambda: _grown(before, _counts(host)) == {}, f"{before} again")


def _router(host: Host) -> int:
    return host._network._helper.router_fd


def _in_router(host: Host, *words: str) -> str:
    fd = _router(host)
    entered = ["nsenter", f"--net=/proc/self/fd/{fd}", *words]
    return subprocess.run(entered, check=True, capture_output=True, text=True, pass_fds=[fd]).stdout


def _interfaces(host: Host) -> list[str]:
    lines = _in_router(host, "ip", "-o", "link").splitlines()
    return [name for name in (line.split(": ")[1] for line in lines) if name.startswith("s")]


def _counts(host: Host) -> dict[str, int]:
    rules = _in_router(host, "nft", "list", "table", "inet", "sequence")
    lasting = [part for part in rules.split("\tset ") if "timeout" not in part]
    return {
        "own descriptors": _entries("/proc/self/fd"),
        "netd's descriptors": _entries(f"/proc/{host.netd_pid}/fd"),
        "netd's threads": _entries(f"/proc/{host.netd_pid}/task"),
        "netd's children": len(children(host.netd_pid)),
        "elements": sum(part.count("198.18.1.") for part in lasting),
        "chains": rules.count("chain "),
        "routes": len(_in_router(host, "ip", "route").splitlines()),
    }


def _grown(before: dict[str, int], now: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in now.items() if count > before[name]}


def _entries(directory: str) -> int:
    return len(list(Path(directory).iterdir()))


def test_all_of_it_ends_with_a_killed_runner(world: World) -> None:
    name = f"killed-{os.getpid()}"
    runner = f"""
import sys
from sandbox import Host, HostConfig, NetworkPolicy, Program
host = Host.open(HostConfig(name={name!r}, first_uid=391_000, ready_slots=1, uplink=sys.argv[1]))
box = host.spawn(Program(argv=["-c", "import signal; signal.pause()"],
                         network=NetworkPolicy("internet")), "run")
print(host.netd_pid, flush=True)
box.finish()
"""
    root = Path(sandbox.__file__).parents[1]
    for uplink in ("user", "veth"):
        with (
            inside(world.host),
            subprocess.Popen(
                [sys.executable, "-c", runner, uplink], cwd=root, stdout=subprocess.PIPE, text=True
            ) as process,
        ):
            assert process.stdout is not None
            netd = int(process.stdout.readline())
            helpers = [netd, *children(netd)]
            process.kill()
        gone = [Path(f"/proc/{pid}") for pid in helpers]
        wait_until(lambda gone=gone: not any(p.exists() for p in gone), "netd and its children")  # type: ignore[misc]
        assert "sequp" not in world.ip(world.host, "link")
    # Its own group stays for the next runner of its name.
    Host.open(HostConfig(name=name, first_uid=391_000, ready_slots=1, uplink="none")).close()


def test_a_slot_that_cannot_be_made_leaves_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """However far it came; here netd may open one descriptor more each time."""

    def descriptors() -> list[int]:
        return sorted(int(fd.name) for fd in Path(f"/proc/{host.netd_pid}/fd").iterdir())

    def rests() -> bool:
        """Two slots are ready, each a link beside the loopback and two listeners; netd makes none,
        which would be a namespace in its hands, and releases none: the kernel may remove a link
        before netd has heard of the end, but netd's listeners are netd's to close."""
        namespaces = 0
        for number in descriptors():
            with contextlib.suppress(FileNotFoundError):  # closed by now
                link = Path(f"/proc/{host.netd_pid}/fd/{number}").readlink()
                namespaces += str(link).startswith("net:")
        kept = namespaces, len(router_counters(host)), router_listeners(host)
        return host._network._ready.qsize() == 2 and kept == (1, 3, 4)

    with opened(world, "none", []) as host:
        box = Box(host)
        wait_until(rests, "the slot of the trial is released")
        before = len(descriptors())
        _, most = resource.prlimit(host.netd_pid, resource.RLIMIT_NOFILE)
        for spare in range(4):
            caplog.clear()
            free = sorted(set(range(most)) - set(descriptors()))
            resource.prlimit(host.netd_pid, resource.RLIMIT_NOFILE, (free[spare], most))
            box.run("pass", network=NetworkPolicy("none"))
            wait_until(lambda: "netd_request_failed" in caplog.text, "it cannot be made")
            resource.prlimit(host.netd_pid, resource.RLIMIT_NOFILE, (most, most))
            wait_until(rests, "two slots are made and the third is undone")
        assert len(descriptors()) == before
