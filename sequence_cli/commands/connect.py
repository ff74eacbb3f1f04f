"""``sequence connect`` and ``sequence venues``."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from sequence_cli.api.client import ApiClient
from sequence_cli.api.market import CredentialsApi
from sequence_cli.connection import Connection, sends_key_in_clear
from sequence_cli.connection_options import with_connection
from sequence_cli.documents import read_text
from sequence_cli.errors import CliError
from sequence_cli.nearest import nearest
from sequence_cli.output.status_words import local_time
from sequence_cli.output.table import aligned_table

_HEADER = ("VENUE", "STATE", "MODE", "KEY", "FINGERPRINT", "SINCE")
_VARIABLES = {
    "api_key": "VENUE_API_KEY",
    "api_secret": "VENUE_API_SECRET",
    "passphrase": "VENUE_PASSPHRASE",
}
_PROMPTS = {
    "api_key": "Key of the venue",
    "api_secret": "Its secret (not shown)",
    "passphrase": "Its passphrase (not shown; empty: none)",
}


@click.command()
@click.argument("venue")
@click.option(
    "--secret-file",
    type=click.Path(path_type=Path),
    help="Read the secret from this file: a private key in PEM form has several lines.",
)
@click.option("--remove", is_flag=True, help="Forget the stored key instead.")
@click.option("--json", "as_json", is_flag=True, help="Print what is stored, without the key.")
@with_connection
def connect(
    connection: Connection, venue: str, secret_file: Path | None, remove: bool, as_json: bool
) -> int:
    """Store your key for VENUE, sealed; strategies use it without ever holding it.

    Asks without echo. Without a terminal: a JSON object on standard input with api_key,
    api_secret and, where the venue has them, passphrase and extra_json; or the variables
    VENUE_API_KEY, VENUE_API_SECRET and VENUE_PASSPHRASE. Never an argument: others can read those.
    """
    api = CredentialsApi(ApiClient(connection))
    venue = venue.lower()
    _refuse_unknown(venue, api.listed().get("venues") or [])
    if remove:
        api.remove(venue)
        click.echo(json.dumps({"venue": venue, "removed": True}) if as_json else f"{venue}: gone")
        return 0
    if sends_key_in_clear(connection.api_url):
        click.echo(f"warning: {connection.api_url} is not encrypted", err=True)
    stored = api.store(venue, _fields(secret_file))
    if as_json:
        click.echo(json.dumps({"credential": stored}))
    else:
        mode = "sandbox" if stored.get("is_sandbox") else "live"
        click.echo(f"connected to {venue} in {mode} mode; fingerprint {stored.get('fingerprint')}")
    return 0


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer as JSON.")
@with_connection
def venues(connection: Connection, as_json: bool) -> int:
    """Show the venues, and which of them your key is connected to."""
    answer = CredentialsApi(ApiClient(connection)).listed()
    if as_json:
        click.echo(json.dumps(answer))
        return 0
    stored = {row.get("venue"): row for row in answer["credentials"]}
    names = sorted({*(answer.get("venues") or ()), *stored})
    for line in aligned_table(_HEADER, [_cells(name, stored.get(name)) for name in names]):
        click.echo(line)
    return 0


def _cells(name: str, row: dict[str, Any] | None) -> tuple[str, ...]:
    if row is None:
        return (name, "not connected", "-", "-", "-", "-")
    return (
        name,
        "connected",
        "sandbox" if row.get("is_sandbox") else "live",
        f"...{row['key_tail']}" if row.get("key_tail") else "-",
        str(row.get("fingerprint")),
        local_time(row.get("updated_at")),
    )


def _refuse_unknown(venue: str, known: list[str]) -> None:
    if known and venue not in known:
        close = nearest(venue, known, limit=1)
        hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
        raise CliError(f"there is no venue {venue!r}: {hint}")


def _fields(secret_file: Path | None) -> dict[str, Any]:
    """The fields from the terminal, else from the environment, else from standard input."""
    secret = {} if secret_file is None else {"api_secret": read_text(secret_file)}
    set_ones = {name: os.environ.get(variable) for name, variable in _VARIABLES.items()}
    found = {name: value for name, value in set_ones.items() if value} | secret
    if "api_key" in found and "api_secret" in found:
        return found
    if not sys.stdin.isatty():
        return _piped() | secret
    for name in ("api_key", "api_secret", "passphrase"):
        if name not in found and (value := _asked(name)):
            found[name] = value
    return found


def _asked(name: str) -> str:
    is_hidden = name != "api_key"
    default = "" if name == "passphrase" else None
    answer: str = click.prompt(
        _PROMPTS[name], hide_input=is_hidden, default=default, show_default=False, err=True
    )
    return answer.strip()


def _piped() -> dict[str, Any]:
    try:
        given = json.loads(sys.stdin.read())
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict) or "api_key" not in given:
        raise CliError(
            "there is no terminal to ask on: send a JSON object such as "
            '{"api_key": "...", "api_secret": "..."} on standard input, or set '
            + " and ".join(list(_VARIABLES.values())[:2])
        )
    return given
