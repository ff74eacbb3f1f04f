"""``sequence keys create``."""

import json
from typing import Any

import click

from sequence_cli.api.client import ApiClient
from sequence_cli.api.keys import Key, KeysApi
from sequence_cli.connection import Connection
from sequence_cli.connection_options import with_connection


@click.command()
@click.option("--label", default="", metavar="TEXT", help="What it is for.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(["read", "deploy", "admin"]),
    help="What it may do; may be repeated. Default: read and deploy.",
)
@click.option("--sandbox/--live", default=None, help="Its mode; default: that of your own key.")
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer as JSON.")
@with_connection
def create(
    connection: Connection, label: str, scopes: tuple[str, ...], sandbox: bool | None, as_json: bool
) -> int:
    """Make a key and print it: for the only time."""
    body: dict[str, Any] = {"label": label}
    if scopes:
        body["scopes"] = list(scopes)
    if sandbox is not None:
        body["sandbox"] = sandbox
    show_new(KeysApi(ApiClient(connection)).create(body), as_json=as_json)
    return 0


def show_new(key: Key, *, as_json: bool) -> None:
    """Print a key that was just made; its own line on stdout is the key alone, for a pipe."""
    if as_json:
        click.echo(json.dumps({"api_key": key}))
        return
    mode = "sandbox" if key["is_sandbox"] else "live"
    click.echo(f"new {mode} key {key['key_id']}, scopes {', '.join(key['scopes'])}", err=True)
    click.echo("keep it now: it is not shown again", err=True)
    click.echo(key["key"])
