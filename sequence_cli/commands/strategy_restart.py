"""``sequence strategy restart``."""

import click

from sequence_cli.api.client import ApiClient
from sequence_cli.api.settled import wait_until_settled
from sequence_cli.api.strategies import StrategiesApi
from sequence_cli.connection import Connection
from sequence_cli.connection_options import with_connection


@click.command()
@click.argument("name")
@with_connection
def restart(connection: Connection, name: str) -> int:
    """Stop a strategy, wait until it has stopped, and start it."""
    api = StrategiesApi(ApiClient(connection))
    row = api.get(api.resolve_id(name))
    if row["desired_state"] == "running" or row["status"] in ("queued", "running"):
        wait_until_settled(api, api.stop(row["strategy_id"]))
    row = api.start(row["strategy_id"])
    click.echo(f"{row['name']} is {row['status']}")
    click.echo(f"next: sequence strategy logs {row['name']} --follow")
    return 0
