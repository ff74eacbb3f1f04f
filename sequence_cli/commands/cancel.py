"""``sequence cancel``."""

import json

import click

from sequence_cli.api.client import ApiClient
from sequence_cli.api.market import MarketApi
from sequence_cli.connection import Connection
from sequence_cli.connection_options import with_connection

_ORDER = "graph:"


@click.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--venue", help="Everything that rests on this venue.")
@click.option("--json", "as_json", is_flag=True, help="Print what was cancelled as JSON.")
@with_connection
def cancel(connection: Connection, ids: tuple[str, ...], venue: str | None, as_json: bool) -> int:
    """Cancel orders (graph:...:1), whole graphs, or with --venue all that rests there."""
    if bool(ids) == (venue is not None):
        raise click.UsageError("name orders or graphs, or give --venue, one of the two")
    api = MarketApi(ApiClient(connection))
    if venue is not None:
        answer = api.cancel_venue(venue)
        click.echo(json.dumps(answer) if as_json else f"cancelled what rested on {venue}")
        return 0
    for one in ids:
        (api.cancel_order if one.startswith(_ORDER) else api.cancel_graph)(one)
        if not as_json:
            click.echo(f"cancelled {one}")
    if as_json:
        click.echo(json.dumps({"cancelled": ids}))
    return 0
