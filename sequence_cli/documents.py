"""TOML and JSON files with errors that point at the place: ``file:line:column: why``."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from sequence_cli.errors import CliError

_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def read_toml(path: Path) -> dict[str, Any]:
    """The file's tables. CliError names line and column of what cannot be read."""
    text = read_text(path)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CliError(_toml_error(path, text, str(error))) from error
    except RecursionError:
        raise CliError(f"{path}: nested too deeply: flatten it") from None


def read_json_object(path: Path) -> dict[str, Any]:
    """The file's JSON object. CliError for broken JSON and for anything but an object."""
    try:
        value = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise CliError(f"{path}:{error.lineno}:{error.colno}: {error.msg}") from error
    except RecursionError:
        raise CliError(f"{path}: nested too deeply: flatten it") from None
    if not isinstance(value, dict):
        raise CliError(f'{path}: must hold a JSON object, such as {{"KEY": "value"}}')
    return value


def read_text(path: Path) -> str:
    """The file as UTF-8 text, without a byte order mark."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CliError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _place(content[: error.start].decode("utf-8", "replace"))
        raise CliError(
            f"{path}:{line}:{column}: the file is not UTF-8 text: save it as UTF-8"
        ) from error


def _toml_error(path: Path, text: str, message: str) -> str:
    found = _TOML_PLACE.search(message)
    if found is None:
        return f"{path}: {message}"
    line, column = (found[1], found[2]) if found[1] else _place(text)
    return f"{path}:{line}:{column}: {message[: found.start()]}"


def _place(text_before: str) -> tuple[int, int]:
    """Line and column, both from 1, of the character that follows ``text_before``."""
    return text_before.count("\n") + 1, len(text_before) - (text_before.rfind("\n") + 1) + 1
