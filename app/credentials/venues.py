"""What a key of each venue looks like: enough to refuse a field in the wrong place."""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass

MIN_CHARS = 8


@dataclass(frozen=True)
class VenueKey:
    """The fields that a venue's key has.

    Attributes:
        check_secret: what is wrong with a secret, in words that do not quote it, or "".
        needs_passphrase: whether the venue's key comes with one.
    """

    check_secret: Callable[[str], str]
    needs_passphrase: bool = False


def _printable(secret: str) -> str:
    if len(secret) < MIN_CHARS or not secret.isascii() or not secret.isprintable() or " " in secret:
        return f"has to be {MIN_CHARS} or more printable ASCII characters without spaces"
    return ""


def _base64(secret: str) -> str:
    try:
        base64.b64decode(secret, validate=True)
    except (binascii.Error, ValueError):
        return "has to be base64, as the venue shows it"
    return _printable(secret)


def _pem(secret: str) -> str:
    lines = secret.strip().splitlines()
    has_ends = lines and lines[0].startswith("-----BEGIN ") and lines[-1].startswith("-----END ")
    if not has_ends or "PRIVATE KEY-----" not in lines[0]:
        return "has to be the private key in PEM form, from BEGIN to END with its line breaks"
    return ""


def _pem_or_printable(secret: str) -> str:
    return _pem(secret) if secret.lstrip().startswith("-----") else _printable(secret)


VENUE_KEYS: Mapping[str, VenueKey] = {
    "binance": VenueKey(_printable),
    "coinbase": VenueKey(_pem_or_printable),
    "kalshi": VenueKey(_pem),
    "kraken": VenueKey(_base64),
    "polymarket": VenueKey(_printable, needs_passphrase=True),
}
"""By venue, in the order of their names."""


def problems(venue: str, fields: Mapping[str, object]) -> dict[str, list[str]]:
    """What is wrong with the fields of a key for this venue, by field; quotes no value."""
    wanted = VENUE_KEYS[venue]
    found = {}
    if why := _printable(str(fields["api_key"])):
        found["api_key"] = [why]
    if why := wanted.check_secret(str(fields["api_secret"])):
        found["api_secret"] = [why]
    passphrase = fields.get("passphrase")
    if wanted.needs_passphrase and not passphrase:
        found["passphrase"] = [f"{venue} makes one with each key; give it as well"]
    return found
