"""``sequence strategy rollback``."""

import json

import click

from sequence_cli.api.client import ApiClient
from sequence_cli.api.history import HistoryApi
from sequence_cli.api.strategies import StrategiesApi
from sequence_cli.connection import Connection
from sequence_cli.connection_options import with_connection
from sequence_cli.errors import CliError


@click.command()
@click.argument("name")
@click.argument("version", required=False, type=click.IntRange(1))
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer as JSON.")
@with_connection
def rollback(connection: Connection, name: str, version: int | None, as_json: bool) -> int:
    """Deploy an earlier version again, as a new one; one that runs is replaced gracefully.

    VERSION is a number of `sequence strategy versions`; default: the one before the present.
    """
    client = ApiClient(connection)
    api = StrategiesApi(client)
    strategy_id = api.resolve_id(name)
    wanted = version or _before(HistoryApi(client, strategy_id), name)
    row = api.roll_back(strategy_id, wanted)
    if as_json:
        click.echo(json.dumps({"strategy": row}))
    else:
        click.echo(f"{row['name']} is at version {row['version']}, with what version {wanted} was")
        click.echo(f"  status   {row['status']}")
    return 0


def _before(history: HistoryApi, name: str) -> int:
    newest = history.versions(2)
    if len(newest) < 2:
        raise CliError(f"{name} has no earlier version (any more) to go back to")
    return int(newest[1]["version"])
