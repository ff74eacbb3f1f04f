"""``sequence keys rotate``."""

import click

from sequence_cli.api.client import ApiClient
from sequence_cli.api.keys import KeysApi
from sequence_cli.commands.keys_create import show_new
from sequence_cli.connection import Connection
from sequence_cli.connection_options import with_connection


@click.command()
@click.argument("key")
@click.option(
    "--grace-secs",
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="How long the old one stays valid; default: the platform's, a day.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer as JSON.")
@with_connection
def rotate(connection: Connection, key: str, grace_secs: float | None, as_json: bool) -> int:
    """Make a key like KEY and print it; KEY itself ends after some time."""
    api = KeysApi(ApiClient(connection))
    show_new(api.rotate(api.resolve(key)["key_id"], grace_secs), as_json=as_json)
    return 0
