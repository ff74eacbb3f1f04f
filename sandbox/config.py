"""How one runner uses its host."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_address
from pathlib import Path

from sandbox.network import ranges

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}", re.IGNORECASE)
API_ADDRESS = "198.18.0.1"
UPLINKS = ("auto", "user", "veth", "none")


@dataclass(frozen=True)
class ApiRelay:
    """The platform's API as the runner reaches it, and how a sandbox does.

    Inside, each of `listen_ports` of `API_ADDRESS` is relayed to `host:port`, and every one of
    `names` resolves to that address, so that a certificate's host name stays valid.
    """

    host: str
    port: int
    listen_ports: tuple[int, ...] = (8000,)
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class HostConfig:
    """One runner's share of a host.

    `name`: unique among the live runners of a host, the same after a restart (left-overs are found
    by it). `slots`: most runs at once; a root runner gives each its own uid,
    `first_uid .. first_uid + slots - 1`, so two runners of one host want ranges that do not
    overlap. `ready_slots`: network namespaces kept ready. `start_timeout_s`: from the call of
    `spawn` to the program's first instruction. `kill_timeout_s`: until a killed tree must be gone.

    `uplink`: how programs whose policy says so reach the internet. `user`: by slirp4netns, as any
    user. `veth`: by the host's own routing, root only, faster. `none`: not at all. `auto`: `user`
    where the host allows it, else `none` and a warning; the others are had or nothing starts.
    `extra_allowed`: ranges that are not public and that an allow list may name all the same.
    `extra_blocked`: closed whatever a policy says, for instance a public address that leads back
    to this host. Both are `a.b.c.d/n`. `resolvers`: DNS servers, none: those of /etc/resolv.conf.
    `connections`: most at once of one run, to the internet.
    `rootfs`: the root file system that programs see; None: the host's interpreter and standard
    library.
    """

    name: str
    api: ApiRelay | None = None
    slots: int = 64
    ready_slots: int = 4
    first_uid: int = 200_000
    start_timeout_s: float = 10.0
    kill_timeout_s: float = 10.0
    uplink: str = "none"
    extra_allowed: tuple[str, ...] = ()
    extra_blocked: tuple[str, ...] = ()
    resolvers: tuple[str, ...] = ()
    connections: int = 256
    rootfs: Path | None = None

    def __post_init__(self) -> None:
        check_name("runner", self.name)
        if self.slots < 1 or self.ready_slots < 1:
            raise ValueError("slots and ready_slots must be at least 1")
        if self.uplink not in UPLINKS:
            raise ValueError(f"uplink {self.uplink!r}: use one of {', '.join(UPLINKS)}")
        if self.connections < 1:
            raise ValueError("connections must be at least 1")
        for text in self.extra_blocked:
            IPv4Network(text)
        for network in self.allowed_networks:
            if any(map(network.overlaps, ranges.UNOPENABLE)):
                raise ValueError(f"extra_allowed: {network} leads back to this host, never opened")
        for text in self.resolvers:
            ip_address(text)

    @property
    def allowed_networks(self) -> tuple[IPv4Network, ...]:
        """`extra_allowed`, parsed."""
        return tuple(map(IPv4Network, self.extra_allowed))


def check_name(kind: str, name: str) -> None:
    """Raise ValueError unless `name` can be a directory of the control group file system."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{kind} name {name!r}: use 1 to 63 letters, digits, '_', '.' or '-'")
