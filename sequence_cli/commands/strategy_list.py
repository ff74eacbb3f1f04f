"""``sequence strategy list``."""

import json

import click

from sequence_cli.api.client import ApiClient
from sequence_cli.api.strategies import Row, StrategiesApi
from sequence_cli.connection import Connection
from sequence_cli.connection_options import with_connection
from sequence_cli.output.status_words import local_time
from sequence_cli.output.table import aligned_table

_HEADER = ("NAME", "STATUS", "REASON", "TARGET", "RESTARTS", "UPDATED", "ID")


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer as JSON.")
@with_connection
def list_strategies(connection: Connection, as_json: bool) -> int:
    """Show all strategies of your key."""
    rows = StrategiesApi(ApiClient(connection)).rows()
    if as_json:
        click.echo(json.dumps({"strategies": rows}))
    elif not rows:
        click.echo("no strategies yet: `sequence strategy deploy DIR` creates one")
    else:
        for line in aligned_table(_HEADER, [_cells(row) for row in rows]):
            click.echo(line)
    return 0


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row["name"],
        row["status"],
        row.get("status_reason") or "-",
        row.get("latency_target") or "-",
        str(row.get("restart_count", 0)),
        local_time(row.get("updated_at")),
        row["strategy_id"],
    )
