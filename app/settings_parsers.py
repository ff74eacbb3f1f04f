"""From the text of an environment variable to its value; each parser raises InvalidValueError."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


class InvalidValueError(ValueError):
    """A sentence that goes on after the variable's name: `must be ...`."""


def text(value: str) -> str:
    """Any text."""
    return value


def token(value: str) -> str:
    """Nothing, or a secret word that nobody guesses and that a header can carry."""
    if value and not re.fullmatch(r"[A-Za-z0-9._~+/=-]{16,200}", value):
        raise InvalidValueError("must be 16 to 200 letters, digits or ._~+/=-, or empty")
    return value


def integer(low: int, high: int) -> Callable[[str], int]:
    """A whole number within these bounds, both included."""

    def parse(value: str) -> int:
        try:
            number = int(value)
        except ValueError:
            raise InvalidValueError(f"must be a whole number, not {value!r}") from None
        if not low <= number <= high:
            raise InvalidValueError(f"must be between {low} and {high}, not {number}")
        return number

    return parse


def number(low: float, high: float) -> Callable[[str], float]:
    """A number within these bounds, both included."""

    def parse(value: str) -> float:
        try:
            parsed = float(value)
        except ValueError:
            raise InvalidValueError(f"must be a number, not {value!r}") from None
        if not low <= parsed <= high:
            raise InvalidValueError(f"must be between {low:g} and {high:g}, not {parsed:g}")
        return parsed

    return parse


def one_of(*choices: str) -> Callable[[str], str]:
    """One of these words, in any case."""

    def parse(value: str) -> str:
        if value.lower() not in choices:
            raise InvalidValueError(f"must be one of {', '.join(choices)}, not {value!r}")
        return value.lower()

    return parse


def database_url(value: str) -> str:
    """A database URL for SQLAlchemy; Heroku's `postgres://` is understood."""
    scheme, separator, rest = value.partition("://")
    if separator and scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        url = f"postgresql+psycopg://{rest}"
        try:
            make_url(url)
        except (ArgumentError, ValueError):
            raise InvalidValueError(
                "must be postgresql://USER:PASSWORD@HOST[:PORT]/NAME, with %-codes in USER and "
                "PASSWORD for what is not a letter or digit"
            ) from None
        return url
    # Each connection would have a database of its own in memory.
    if separator and scheme == "sqlite" and rest.startswith("/") and rest != "/:memory:":
        return value
    raise InvalidValueError(
        "must start with postgresql:// or be sqlite:///FILE; other databases are not supported"
    )


def redis_url(value: str) -> str:
    """A Redis URL: redis:// or rediss://."""
    parts = _split(value)
    if parts is None or parts.scheme not in ("redis", "rediss"):
        raise InvalidValueError("must be redis://HOST:PORT/NUMBER, or rediss:// for TLS")
    return value


def optional_url(value: str) -> str:
    """Empty, or any URL."""
    if value and "://" not in value:
        raise InvalidValueError("must be a URL such as amqp://user:password@host/")
    return value


def http_url(value: str) -> str:
    """An http or https URL with a host and nothing behind the port."""
    parts = _split(value)
    is_plain = parts is not None and parts.hostname and not (parts.query or parts.fragment)
    if not (parts and is_plain and parts.scheme in ("http", "https") and parts.path in ("", "/")):
        raise InvalidValueError(f"must be http(s)://HOST[:PORT], not {value!r}")
    return value.rstrip("/")


def key_of_32_bytes(value: str) -> str:
    """A key of 32 bytes in base64, kept as text."""
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidValueError("is not base64; `python -m app.admin generate-keys`") from None
    if len(raw) != 32:
        raise InvalidValueError(
            f"must be 32 bytes, not {len(raw)}; `python -m app.admin generate-keys` makes one"
        )
    return value


def keys_of_32_bytes(value: str) -> tuple[str, ...]:
    """Several such keys, separated by commas, newest first."""
    parts = names(value)
    if not parts:
        raise InvalidValueError("must be 32 bytes; `python -m app.admin generate-keys` makes one")
    return tuple(key_of_32_bytes(part) for part in parts)


def runner_name(value: str) -> str:
    """Part of a control group's name: small letters, digits, `-` and `_`."""
    if not _NAME.fullmatch(value):
        raise InvalidValueError(f"must be small letters, digits, - and _, at most 40: {value!r}")
    return value


def optional_folder(value: str) -> Path | None:
    """An absolute path, or nothing. Whether it is there is for the process that needs it."""
    if not value:
        return None
    if not value.startswith("/"):
        raise InvalidValueError(f"must be an absolute path: {value!r}")
    return Path(value)


def names(value: str) -> tuple[str, ...]:
    """Names separated by commas."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


def targets(value: str) -> Mapping[str, str]:
    """`target=region` pairs, separated by commas."""
    found: dict[str, str] = {}
    for pair in names(value):
        target, separator, region = pair.partition("=")
        if not separator or not _NAME.fullmatch(target) or not region:
            raise InvalidValueError(f"must be target=region pairs; {pair!r} is not one")
        found[target] = region
    return found


def user_and_password(value: str) -> str:
    """`user:password`."""
    user, separator, password = value.partition(":")
    if not (separator and user and password):
        raise InvalidValueError("must be user:password")
    return value


def _split(value: str) -> SplitResult | None:
    """The parts of a URL, or None for one whose host or port no client could use."""
    try:
        parts = urlsplit(value)
        return parts if parts.port is None or parts.port > 0 else None
    except ValueError:
        return None
