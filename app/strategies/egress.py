"""The grammar of a network policy's allow list, as the API checks it before a runner does.

The runner's own parser (`sandbox.policy`), which the API cannot import, has the last word. A test
holds the two to the same verdict.
"""

import re
from ipaddress import AddressValueError, IPv4Network, NetmaskValueError

MODES = ("internet", "none", "allow")
FORMS = (
    "an entry is a host name, *.name, an IPv4 address or a range a.b.c.d/n, with or without :port"
)
CLOSED = {
    "0.0.0.0/8": "this host",
    "10.0.0.0/8": "a private network",
    "100.64.0.0/10": "a provider's inner network",
    "127.0.0.0/8": "loopback",
    "168.63.129.16/32": "a cloud's metadata service",
    "169.254.0.0/16": "link-local, where clouds keep their metadata services",
    "172.16.0.0/12": "a private network",
    "192.0.0.0/24": "protocol assignments, where clouds keep metadata services",
    "192.88.99.0/24": "IPv6 relays",
    "192.168.0.0/16": "a private network",
    "198.18.0.0/15": "the sandboxes' own network",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved or broadcast",
}
MAIL_PORTS = (25, 465, 587)
_DNS_PORT = 53
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def entry_problem(entry: str) -> str:
    """Why no runner takes this entry, and what an entry may be; empty when it is right."""
    try:
        _check(entry)
    except ValueError as error:
        return f"{entry!r}: {error}; {FORMS}"
    return ""


def _check(entry: str) -> None:
    if entry.count(":") > 1 and "://" not in entry:
        raise ValueError("IPv6 is not carried, name the host or an IPv4 address")
    host, colon, port_text = entry.partition(":")
    if "://" in entry or "/" in port_text:
        raise ValueError("this is a URL, leave scheme and path away")
    if colon:
        _check_port(port_text)
    if host.replace(".", "").replace("/", "").isdecimal():
        _check_range(host)
    else:
        _check_name(host)


def _check_port(text: str) -> None:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535):
        raise ValueError("the port is a number from 1 to 65535")
    port = int(text)
    if port in MAIL_PORTS:
        raise ValueError(f"port {port} is for mail, which is closed to every strategy")
    if port == _DNS_PORT:
        raise ValueError("port 53 is closed, the platform itself resolves names for a strategy")


def _check_range(text: str) -> None:
    try:
        network = IPv4Network(text)
    except (AddressValueError, NetmaskValueError):
        raise ValueError("this is no address") from None
    except ValueError:
        whole = IPv4Network(text, strict=False)
        raise ValueError(f"it has bits beyond its prefix, did you mean {whole}?") from None
    for special, what in CLOSED.items():
        if network.overlaps(IPv4Network(special)):
            raise ValueError(f"it reaches into {special} ({what}), closed to every strategy")


def _check_name(text: str) -> None:
    bare = text.removeprefix("*.").removesuffix(".")
    if text == "*":
        raise ValueError("to reach every host use mode 'internet' and no list")
    try:
        name = bare.lower() if bare.isascii() else bare.encode("idna").decode().lower()
    except UnicodeError:
        raise ValueError("this is no name of a host") from None
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("this is no name of a host")
    if _NUMBER.fullmatch(labels[-1]):
        raise ValueError("a number is no name of a host, write an address as a.b.c.d")
    if len(labels) < 2:
        what = "all of a top-level domain" if text.startswith("*.") else "a name without a domain"
        raise ValueError(f"{what} cannot be allowed, write the full name")
