"""Which IPv4 addresses are not the public internet, and why."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, collapse_addresses

# Never opened by what a strategy asks for; only an operator's `extra_allowed` takes from these.
NEVER = {
    IPv4Network("0.0.0.0/8"): "this host",
    IPv4Network("10.0.0.0/8"): "a private network",
    IPv4Network("100.64.0.0/10"): "a provider's inner network",
    IPv4Network("127.0.0.0/8"): "loopback",
    IPv4Network("168.63.129.16/32"): "a cloud's metadata service",
    IPv4Network("169.254.0.0/16"): "link-local, where clouds keep their metadata services",
    IPv4Network("172.16.0.0/12"): "a private network",
    IPv4Network("192.0.0.0/24"): "protocol assignments, where clouds keep metadata services",
    IPv4Network("192.88.99.0/24"): "IPv6 relays",
    IPv4Network("192.168.0.0/16"): "a private network",
    IPv4Network("198.18.0.0/15"): "the sandboxes' own network",
    IPv4Network("224.0.0.0/4"): "multicast",
    IPv4Network("240.0.0.0/4"): "reserved or broadcast",
}
# Routed nowhere by right; opened only to a strategy that names them as addresses.
DOCUMENTATION = (
    IPv4Network("192.0.2.0/24"),
    IPv4Network("198.51.100.0/24"),
    IPv4Network("203.0.113.0/24"),
)
# What not even an operator can open: these would lead back to this host or into the sandboxes.
UNOPENABLE = tuple(
    IPv4Network(text)
    for text in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "198.18.0.0/15", "224.0.0.0/3")
)
# Mail: a host that sends spam is blocked for everybody on it. Submission needs no exception
# either, a strategy can use a provider's HTTPS interface.
MAIL_PORTS = (25, 465, 587)
DNS_PORT = 53


def why_never(network: IPv4Network, allowed: Iterable[IPv4Network] = ()) -> str | None:
    """What `network` overlaps that must stay closed, or None. `allowed`: the operator's."""
    if any(network.subnet_of(opened) for opened in allowed):
        return None
    for special, what in NEVER.items():
        if network.overlaps(special):
            return f"{special} ({what})"
    return None


def is_answerable(address: IPv4Address, allowed: Iterable[IPv4Network]) -> bool:
    """Whether a name may lead to `address`: public, or among the explicitly `allowed`."""
    one = IPv4Network(address)
    if any(one.subnet_of(opened) for opened in allowed):
        return True
    return why_never(one) is None and not any(address in range_ for range_ in DOCUMENTATION)


def what_is(address: IPv4Address) -> str:
    """What kind of address it is that is not answerable."""
    for special, what in NEVER.items():
        if address in special:
            return what
    return "documentation"


def closed(allowed: Iterable[IPv4Network]) -> list[IPv4Network]:
    """`NEVER` without what the operator allowed."""
    left = list(NEVER)
    for opened in allowed:
        left = [piece for special in left for piece in _without(special, opened)]
    return list(collapse_addresses(left))


def _without(special: IPv4Network, opened: IPv4Network) -> list[IPv4Network]:
    if special.subnet_of(opened):
        return []
    return list(special.address_exclude(opened)) if opened.subnet_of(special) else [special]
