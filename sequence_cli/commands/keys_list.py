"""``sequence keys list``."""

import json

import click

from sequence_cli.api.client import ApiClient
from sequence_cli.api.keys import Key, KeysApi
from sequence_cli.connection import Connection
from sequence_cli.connection_options import with_connection
from sequence_cli.output.status_words import local_time
from sequence_cli.output.table import aligned_table

_HEADER = ("LABEL", "BEGINS", "MODE", "SCOPES", "CREATED", "LAST USED", "ENDS", "ID")


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer as JSON.")
@with_connection
def list_keys(connection: Connection, as_json: bool) -> int:
    """Show the valid keys, newest first; a sandbox key sees those of the sandbox."""
    found = KeysApi(ApiClient(connection)).keys()
    if as_json:
        click.echo(json.dumps({"api_keys": found}))
    else:
        for line in aligned_table(_HEADER, [_cells(key) for key in found]):
            click.echo(line)
    return 0


def _cells(key: Key) -> tuple[str, ...]:
    return (
        key["label"] or "-",
        key["prefix"],
        "sandbox" if key["is_sandbox"] else "live",
        ",".join(key["scopes"]),
        local_time(key["created_at"]),
        local_time(key["last_used_at"]),
        local_time(key["expires_at"]),
        key["key_id"],
    )
