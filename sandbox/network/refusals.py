"""What programs were kept from reaching, counted by slot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sandbox.network import ruleset
from sandbox.network.nft import Nft

OTHERS = "other destinations"
_MOST_NAMED = 64
_WITH_PORTS = ("tcp", "udp", "udplite", "sctp", "dccp")
# Where the host has no /etc/protocols (Debian's package netbase), nftables gives the number.
_PROTOCOLS = {
    "1": "icmp",
    "6": "tcp",
    "17": "udp",
    "33": "dccp",
    "58": "ipv6-icmp",
    "132": "sctp",
    "136": "udplite",
}


@dataclass(frozen=True)
class Refusal:
    """A destination that a run tried to reach and may not, and how often since the last report.

    `destination`: an address; a name (`protocol` is `dns`, `port` 0); a name that led to a closed
    address, as `name -> what that is`; or, for what is beyond the first 64, `other destinations`.
    `count`: packets, so connection attempts for `protocol` `tcp`.
    """

    destination: str
    port: int
    protocol: str
    count: int


class Refusals:
    """Collects the router's counters and the resolvers' notes. For the event loop's thread."""

    def __init__(self, nft: Nft) -> None:
        self._nft = nft
        self._noted: dict[str, Counter[tuple[str, int, str]]] = {}

    def note(
        self, slot_address: str, destination: str, port: int, protocol: str, count: int
    ) -> None:
        noted = self._noted.setdefault(slot_address, Counter())
        key = (destination, port, protocol)
        if key not in noted and len(noted) >= _MOST_NAMED:
            key = (OTHERS, 0, "any")
        noted[key] += count

    def take(self, slot_address: str) -> list[Refusal]:
        """What is new since the last call, the most frequent first. Raises OSError."""
        self._collect()
        noted = self._noted.pop(slot_address, Counter())
        return [Refusal(*key, count) for key, count in noted.most_common()]

    def forget(self, slot_address: str) -> None:
        self._noted.pop(slot_address, None)

    def _collect(self) -> None:
        named = self._counted("refused")
        everything = self._counted("refused_all")
        if not everything:
            return
        # What comes between reading and flushing is lost from the count, not from being refused.
        sets = ("refused", "refused_all")
        self._nft.run(*(f"flush set {ruleset.TABLE} {name}" for name in sets))
        rest = Counter({slot: count for (slot,), count in everything})
        for (slot, destination, found, port), count in named:
            protocol = protocol_name(found)
            self.note(
                slot, destination, int(port) if protocol in _WITH_PORTS else 0, protocol, count
            )
            rest[slot] -= count
        for slot, count in rest.items():
            if count > 0:
                self.note(slot, OTHERS, 0, "any", count)

    def _counted(self, name: str) -> list[tuple[list[Any], int]]:
        return list(_parsed(self._nft.elements(ruleset.TABLE, name)))


def protocol_name(found: str | int) -> str:
    """`tcp` for "tcp", "6" and 6; what has no name here stays as it is, as text."""
    return _PROTOCOLS.get(str(found), str(found))


def _parsed(elements: Iterable[Any]) -> Iterable[tuple[list[Any], int]]:
    for entry in elements:
        element = entry["elem"]
        value = element["val"]
        key = value["concat"] if isinstance(value, dict) else [value]
        yield key, int(element["counter"]["packets"])
