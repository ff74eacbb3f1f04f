"""``sequence strategy versions``."""

import json

import click

from sequence_cli.api.client import ApiClient
from sequence_cli.api.history import Entry, HistoryApi
from sequence_cli.api.strategies import StrategiesApi
from sequence_cli.connection import Connection
from sequence_cli.connection_options import with_connection
from sequence_cli.output.status_words import local_time, origin_in_words, size_in_words
from sequence_cli.output.table import aligned_table

_HEADER = ("VERSION", "CREATED", "HOW", "ARTIFACT", "SIZE", "BY")


@click.command()
@click.argument("name")
@click.option("--limit", default=20, type=click.IntRange(1, 1_000), help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer as JSON.")
@with_connection
def versions(connection: Connection, name: str, limit: int, as_json: bool) -> int:
    """Show a strategy's versions, newest first: the first line is what it is now."""
    client = ApiClient(connection)
    found = HistoryApi(client, StrategiesApi(client).resolve_id(name)).versions(limit)
    if as_json:
        click.echo(json.dumps({"versions": found}))
    else:
        for line in aligned_table(_HEADER, [_cells(version) for version in found]):
            click.echo(line)
    return 0


def _cells(version: Entry) -> tuple[str, ...]:
    return (
        str(version["version"]),
        local_time(version["created_at"]),
        origin_in_words(version),
        version["artifact_sha256"][:12],
        size_in_words(version["size_bytes"]),
        version["actor"],
    )
