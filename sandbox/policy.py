"""What of the network one run may reach, as its owner writes it and as it is enforced."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Network, NetmaskValueError
from typing import Any

from sandbox.errors import ProgramInvalidError
from sandbox.network import ranges

MAX_ENTRIES = 256
MODES = ("none", "internet", "allow")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_FORMS = (
    "host, host:port, *.domain, *.domain:port, a.b.c.d, a.b.c.d:port, a.b.c.d/n or a.b.c.d/n:port"
)


@dataclass(frozen=True)
class NameRule:
    """A name, or with `below` every name below it (at any depth, without itself)."""

    name: str
    below: bool
    port: int | None

    def covers(self, name: str) -> bool:
        return name.endswith("." + self.name) if self.below else name == self.name


@dataclass(frozen=True)
class RangeRule:
    """Addresses that were named as such."""

    network: IPv4Network
    port: int | None


@dataclass(frozen=True)
class Rules:
    """A policy after all checks. `port` None in a rule: every port. Ports are TCP's and UDP's."""

    mode: str = "none"
    names: tuple[NameRule, ...] = ()
    ranges: tuple[RangeRule, ...] = ()

    def to_fields(self) -> dict[str, Any]:
        return {
            "mode": self.mode,
            "names": [[rule.name, rule.below, rule.port] for rule in self.names],
            "ranges": [[str(rule.network), rule.port] for rule in self.ranges],
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Rules:
        return cls(
            fields["mode"],
            tuple(NameRule(*rule) for rule in fields["names"]),
            tuple(RangeRule(IPv4Network(text), port) for text, port in fields["ranges"]),
        )


@dataclass(frozen=True)
class NetworkPolicy:
    """`mode`: `none` (the platform's API alone), `internet` (every public address) or `allow`
    (what `allow` lists). The API is reachable in each; mail ports (25, 465, 587) are in none.

    An entry of `allow` is a name, an address or a range, with or without a port:
    `api.kalshi.com:443`, `*.coinbase.com` (all names below it), `203.0.113.0/24`.
    """

    mode: str = "none"
    allow: Sequence[str] = field(default=())

    def rules(self, extra_allowed: Iterable[IPv4Network] = ()) -> Rules:
        """The parsed policy. `extra_allowed`: non-public ranges that the operator lets a strategy
        name. Raises `ProgramInvalidError` that names the entry and what is wrong with it."""
        if self.mode not in MODES:
            raise ProgramInvalidError(
                f"network mode {self.mode!r} is unknown; use one of {', '.join(MODES)}"
            )
        if self.allow and self.mode != "allow":
            raise ProgramInvalidError(
                f"an allow list needs network mode 'allow', and it is {self.mode!r}"
            )
        if len(self.allow) > MAX_ENTRIES:
            raise ProgramInvalidError(
                f"the allow list has {len(self.allow)} entries; a run takes {MAX_ENTRIES}"
            )
        allowed = tuple(extra_allowed)
        parsed = [_parse(entry, allowed) for entry in self.allow]
        return Rules(
            self.mode,
            tuple(rule for rule in parsed if isinstance(rule, NameRule)),
            tuple(rule for rule in parsed if isinstance(rule, RangeRule)),
        )


def _parse(entry: str, extra_allowed: Sequence[IPv4Network]) -> NameRule | RangeRule:
    try:
        if entry.count(":") > 1 and "://" not in entry:
            raise ValueError("IPv6 is not carried; name the host, or an IPv4 address")
        host, colon, port_text = entry.partition(":")
        if "://" in entry or "/" in port_text:
            raise ValueError("this is a URL; leave scheme and path away")
        port = _port(port_text) if colon else None
        if host.replace(".", "").replace("/", "").isdecimal():
            return RangeRule(_network(host, extra_allowed), port)
        return _name(host, port)
    except ValueError as error:
        raise ProgramInvalidError(f"allow entry {entry!r}: {error}") from None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535):
        raise ValueError("the port is a number from 1 to 65535")
    port = int(text)
    if port in ranges.MAIL_PORTS:
        raise ValueError(f"port {port} is for mail, which is closed to every sandbox")
    if port == ranges.DNS_PORT:
        raise ValueError("port 53 is closed, the platform itself resolves names for the sandbox")
    return port


def _network(text: str, extra_allowed: Sequence[IPv4Network]) -> IPv4Network:
    try:
        network = IPv4Network(text)
    except (AddressValueError, NetmaskValueError):
        raise ValueError(f"no address; the forms are {_FORMS}") from None
    except ValueError:
        whole = IPv4Network(text, strict=False)
        raise ValueError(f"it has bits beyond its prefix; did you mean {whole}?") from None
    if (overlap := ranges.why_never(network, extra_allowed)) is not None:
        raise ValueError(
            f"it reaches into {overlap}, which is closed to sandboxes; only the operator can"
            " open a range that is not public (HostConfig.extra_allowed)"
        )
    return network


def _name(text: str, port: int | None) -> NameRule:
    below = text.startswith("*.")
    bare = text.removeprefix("*.").removesuffix(".")
    if text == "*":
        raise ValueError("to reach every host use network mode 'internet'")
    try:
        name = bare.lower() if bare.isascii() else bare.encode("idna").decode().lower()
    except UnicodeError:
        raise ValueError("no name of a host") from None
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"no name of a host; the forms are {_FORMS}")
    if _NUMBER.fullmatch(labels[-1]):
        raise ValueError("a number is no name of a host; write an address as a.b.c.d")
    if len(labels) < 2:
        what = "all of a top-level domain" if below else "a name without a domain"
        raise ValueError(f"{what} cannot be allowed; write the full name")
    return NameRule(name, below, port)
