"""``sequence strategy stop``."""

import click

from sequence_cli.api.client import ApiClient
from sequence_cli.api.settled import wait_until_settled
from sequence_cli.api.strategies import StrategiesApi
from sequence_cli.connection import Connection
from sequence_cli.connection_options import with_connection


@click.command()
@click.argument("name")
@click.option("--wait", is_flag=True, help="Return only when it has stopped.")
@with_connection
def stop(connection: Connection, name: str, wait: bool) -> int:
    """Ask a strategy to stop: SIGTERM, a grace period, then SIGKILL."""
    api = StrategiesApi(ApiClient(connection))
    row = api.stop(api.resolve_id(name))
    if wait:
        row = wait_until_settled(api, row)
    still_running = row["status"] == "running"
    click.echo(f"{row['name']} is {'stopping' if still_running else row['status']}")
    return 0
