"""``sequence strategy events``."""

import json

import click

from sequence_cli.api.client import ApiClient
from sequence_cli.api.history import Entry, HistoryApi
from sequence_cli.api.strategies import StrategiesApi
from sequence_cli.connection import Connection
from sequence_cli.connection_options import with_connection
from sequence_cli.output.status_words import local_time
from sequence_cli.output.table import aligned_table

_HEADER = ("TIME", "EVENT", "STATUS", "REASON", "RUN", "BY")


@click.command()
@click.argument("name")
@click.option("--limit", default=50, type=click.IntRange(1, 10_000), help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer as JSON.")
@with_connection
def events(connection: Connection, name: str, limit: int, as_json: bool) -> int:
    """Show what happened to a strategy, newest first: what, why, and who did it.

    BY is a key (its id), a runner, or the scheduler.
    """
    client = ApiClient(connection)
    found = HistoryApi(client, StrategiesApi(client).resolve_id(name)).events(limit)
    if as_json:
        click.echo(json.dumps({"events": found}))
    elif not found:
        click.echo(f"nothing has happened to {name} yet")
    else:
        for line in aligned_table(_HEADER, [_cells(event) for event in found]):
            click.echo(line)
    return 0


def _cells(event: Entry) -> tuple[str, ...]:
    before, after = event["from_status"], event["to_status"]
    return (
        local_time(event["at"]),
        event["event"],
        after if before == after else f"{before} > {after}",
        event["reason"],
        str(event["epoch"]) if event["epoch"] else "-",
        event["actor"],
    )
