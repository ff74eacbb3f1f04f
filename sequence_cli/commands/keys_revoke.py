"""``sequence keys revoke``."""

import sys

import click

from sequence_cli.api.client import ApiClient
from sequence_cli.api.keys import Key, KeysApi
from sequence_cli.connection import Connection
from sequence_cli.connection_options import with_connection
from sequence_cli.errors import CliError


@click.command()
@click.argument("key")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_connection
def revoke(connection: Connection, key: str, yes: bool) -> int:
    """End a key at once; strategies that hold it lose it as well."""
    api = KeysApi(ApiClient(connection))
    found = api.resolve(key)
    if not yes:
        _confirm(found)
    api.revoke(found["key_id"])
    click.echo(f"key {found['key_id']} is revoked")
    return 0


def _confirm(key: Key) -> None:
    if not sys.stdin.isatty():
        raise CliError("there is no terminal to ask on: pass --yes to revoke without asking")
    name = key["label"] or key["prefix"]
    if not click.confirm(f"End {name} ({key['key_id']}) at once?", err=True):
        raise CliError(f"{name} was not revoked")
