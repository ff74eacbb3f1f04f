"""Which API a command talks to, and with which key."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from sequence_cli.config_file import ConfigFile, Profile, load_config
from sequence_cli.errors import CliError
from sequence_cli.nearest import nearest

DEFAULT_API_URL = "http://127.0.0.1:8000"
URL_VARIABLE = "SEQUENCE_API_URL"
KEY_VARIABLE = "SEQUENCE_API_KEY"
_KEY_CHARACTERS = re.compile(r"[!-~]+")


@dataclass(frozen=True)
class ConnectionOptions:
    """What the command line said; None where it said nothing."""

    profile: str | None
    api_url: str | None
    api_key: str | None = field(repr=False)


@dataclass(frozen=True)
class Connection:
    """``api_url`` without a trailing slash."""

    api_url: str
    api_key: str = field(repr=False)


def resolve_connection(
    options: ConnectionOptions, environ: Mapping[str, str], path: Path
) -> Connection:
    """Options win over the environment, the environment over the file at ``path``.

    A profile that was named with ``--profile`` is an option, so its values win over the
    environment too. Raises CliError when there is no key or the profile does not exist.
    """
    config = load_config(path)
    named = _named_profile(config, options.profile)
    current = config.profiles.get(config.current, Profile(None, None))
    api_url = (
        options.api_url
        or (named and named.api_url)
        or environ.get(URL_VARIABLE)
        or current.api_url
        or DEFAULT_API_URL
    )
    api_key = (
        options.api_key or (named and named.api_key) or environ.get(KEY_VARIABLE) or current.api_key
    )
    if not api_key:
        raise CliError(f"no API key: run `sequence login` or set {KEY_VARIABLE}")
    return Connection(checked_api_url(api_url), checked_api_key(api_key))


def _named_profile(config: ConfigFile, name: str | None) -> Profile | None:
    if name is None:
        return None
    if name not in config.profiles:
        known = nearest(name, config.profiles) or sorted(config.profiles)
        hint = f"known profiles: {', '.join(known)}; or " if known else ""
        raise CliError(
            f"there is no profile {name!r}: {hint}create it with `sequence login --profile {name}`"
        )
    return config.profiles[name]


def checked_api_url(api_url: str) -> str:
    """``api_url`` without its trailing slash; CliError when it is no http(s) address."""
    try:
        parts = urlsplit(api_url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or not _KEY_CHARACTERS.fullmatch(api_url) or parts.query or parts.fragment:
        raise CliError(
            f"{api_url!r} is not the address of an API: it must look like "
            f"{DEFAULT_API_URL} or https://api.example.com (--api-url, {URL_VARIABLE})"
        )
    return api_url.rstrip("/")


def checked_api_key(api_key: str) -> str:
    """``api_key`` itself; CliError when it cannot be sent in a header. Never shows the key."""
    if not _KEY_CHARACTERS.fullmatch(api_key):
        raise CliError(
            "the API key contains spaces, line breaks or characters that no key has: "
            "copy it again; it looks like seq_live_ or seq_test_ and 64 hexadecimal digits"
        )
    return api_key


def sends_key_in_clear(api_url: str) -> bool:
    """True when the key would cross a network unencrypted."""
    parts = urlsplit(api_url)
    host = parts.hostname or ""
    local = host in ("localhost", "::1") or host.startswith("127.")
    return parts.scheme == "http" and not local
