"""``~/.sequence/config.toml``: the profiles that ``sequence login`` keeps."""

import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sequence_cli.documents import read_toml
from sequence_cli.errors import CliError

DEFAULT_PROFILE = "default"
PROFILE_NAME = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Profile:
    """One place to talk to, and the key for it; None where the file does not say."""

    api_url: str | None
    api_key: str | None = field(repr=False)


@dataclass(frozen=True)
class ConfigFile:
    """The profiles, and the name of the one in use."""

    current: str
    profiles: Mapping[str, Profile]


def config_path() -> Path:
    """Where the configuration lies."""
    return Path.home() / ".sequence" / "config.toml"


def load_config(path: Path) -> ConfigFile:
    """The stored profiles; none when there is no file. Raises CliError for a damaged one."""
    if not path.exists():
        return ConfigFile(DEFAULT_PROFILE, {})
    document = read_toml(path)
    current = document.get("current", DEFAULT_PROFILE)
    tables = document.get("profiles", {})
    if not isinstance(current, str) or not isinstance(tables, dict):
        raise _damaged(path, "`current` must be a string and `profiles` a table")
    profiles = {name: _profile(path, name, table) for name, table in tables.items()}
    return ConfigFile(current, profiles)


def _profile(path: Path, name: str, table: Any) -> Profile:
    if not isinstance(table, dict):
        raise _damaged(path, f"profiles.{name} must be a table")
    for key in ("api_url", "api_key"):
        if not isinstance(table.get(key, ""), str):
            raise _damaged(path, f"profiles.{name}.{key} must be a string")
    return Profile(table.get("api_url"), table.get("api_key"))


def _damaged(path: Path, why: str) -> CliError:
    return CliError(f"{path}: {why}; correct it, or delete the file and run `sequence login`")


def save_config(path: Path, config: ConfigFile) -> None:
    """Replace the file in one step, readable by its owner only from its first byte on."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".config-", dir=path.parent)  # made 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(_as_toml(config))
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _as_toml(config: ConfigFile) -> str:
    lines = [f"current = {_quoted(config.current)}"]
    for name, profile in sorted(config.profiles.items()):
        key = name if PROFILE_NAME.fullmatch(name) else _quoted(name)
        lines += ["", f"[profiles.{key}]"]
        if profile.api_url is not None:
            lines.append(f"api_url = {_quoted(profile.api_url)}")
        if profile.api_key is not None:
            lines.append(f"api_key = {_quoted(profile.api_key)}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    # A JSON string is a TOML basic string, but for DEL, which TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
