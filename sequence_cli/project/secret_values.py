"""Values of secrets from where nobody else reads along: never from the command line itself."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from sequence_cli.documents import read_json_object
from sequence_cli.errors import CliError


def read_secrets(
    asked: Iterable[str], variables: Iterable[str], file: Path | None
) -> dict[str, str]:
    """Secrets of a file, then of variables of the same names, then asked for or read from a pipe.

    Raises CliError for what is not there; it never shows a value.
    """
    found = dict(read_json_object(file)) if file else {}
    for name in variables:
        if name not in os.environ:
            raise CliError(
                f"there is no variable {name} to take the secret from: set and export it"
            )
        found[name] = os.environ[name]
    for name in asked:
        if "=" in name:
            raise CliError(
                "a secret's value does not belong on the command line, where others can read it: "
                f"pass --secret {name.partition('=')[0]} alone and be asked for it"
            )
        found[name] = _ask(name)
    return found


def _ask(name: str) -> str:
    if sys.stdin.isatty():
        return str(click.prompt(f"{name} (not shown)", hide_input=True, err=True))
    line = sys.stdin.readline()
    if not line:
        raise CliError(f"there is no terminal to ask on, and no line of a pipe for {name}")
    return line.removesuffix("\n").removesuffix("\r")
