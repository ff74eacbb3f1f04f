"""``sequence strategy runs``."""

import json

import click

from sequence_cli.api.client import ApiClient
from sequence_cli.api.history import Entry, HistoryApi
from sequence_cli.api.strategies import StrategiesApi
from sequence_cli.connection import Connection
from sequence_cli.connection_options import with_connection
from sequence_cli.output.run_words import duration_in_words, usage_in_words
from sequence_cli.output.status_words import local_time
from sequence_cli.output.table import aligned_table

_HEADER = ("RUN", "STARTED", "LASTED", "ENDED BY", "EXIT", "USED", "RUNNER", "ID")


@click.command()
@click.argument("name")
@click.option("--limit", default=20, type=click.IntRange(1, 10_000), help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer as JSON.")
@with_connection
def runs(connection: Connection, name: str, limit: int, as_json: bool) -> int:
    """Show a strategy's runs, newest first: how long each lasted and how it ended."""
    client = ApiClient(connection)
    found = HistoryApi(client, StrategiesApi(client).resolve_id(name)).runs(limit)
    if as_json:
        click.echo(json.dumps({"runs": found}))
    elif not found:
        click.echo(f"{name} never ran")
    else:
        for line in aligned_table(_HEADER, [_cells(run) for run in found]):
            click.echo(line)
    return 0


def _cells(run: Entry) -> tuple[str, ...]:
    exit_code = run.get("exit_code")
    return (
        str(run["epoch"]),
        local_time(run["started_at"]),
        duration_in_words(run),
        run.get("reason") or "-",
        "-" if exit_code is None else str(exit_code),
        usage_in_words(run) or "-",
        run["runner_id"],
        run["run_id"],
    )
