"""``sequence strategy set``."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from sequence_cli.api.client import ApiClient
from sequence_cli.api.strategies import StrategiesApi
from sequence_cli.commands.strategy_deploy import split_pairs
from sequence_cli.connection import Connection
from sequence_cli.connection_options import with_connection
from sequence_cli.project.changes import Changes, merge_patch
from sequence_cli.project.secret_values import read_secrets

_PATH = click.Path(path_type=Path)


def _options(function: Callable[..., int]) -> Callable[..., int]:
    """What may be changed; limits and variables are named as in ``deploy``."""
    options = [
        click.argument("name"),
        click.option("--env", multiple=True, metavar="KEY=VALUE", callback=split_pairs,
                     help="Set a variable; may be repeated."),
        click.option("--unset", multiple=True, metavar="KEY",
                     help="Remove a variable, or with a dot a setting: schedule.timezone, "
                     "network.* for all of a table; may be repeated."),
        click.option("--secret", "secret_names", multiple=True, metavar="KEY",
                     help="Set a secret: its value is asked for without an echo, or is the next "
                     "line of a pipe; may be repeated."),
        click.option("--secret-from-env", "secret_variables", multiple=True, metavar="KEY",
                     help="Set a secret to the value of this variable; may be repeated."),
        click.option("--secrets-file", type=_PATH, metavar="FILE",
                     help="JSON object of strings: secrets to set."),
        click.option("--unset-secret", "unset_secrets", multiple=True, metavar="KEY",
                     help="Remove a secret; may be repeated."),
        click.option("--memory-mb", "--memory", type=int, metavar="N",
                     help="Memory limit, megabytes."),
        click.option("--cpu-millis", "--cpu", type=int, metavar="N",
                     help="CPU share, thousandths."),
        click.option("--timeout-secs", type=int, metavar="N", help="Longest run; 0: no limit."),
        click.option("--latency-target", "latency_targets", multiple=True, metavar="TARGET",
                     help="Where to run, by preference; may be repeated."),
        click.option("--restart", type=click.Choice(["on-failure", "always", "never"]),
                     help="When it comes back by itself."),
        click.option("--set", "settings", multiple=True, metavar="TABLE.KEY=VALUE",
                     callback=split_pairs,
                     help="Any other setting of [hosted]: stop.grace_secs=30, "
                     "schedule.cron='*/5 * * * *'; a list as JSON; may be repeated."),
        click.option("--json", "as_json", is_flag=True, help="Print the API's answer as JSON."),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


@click.command("set")
@_options
@with_connection
def set_settings(connection: Connection, /, name: str, as_json: bool, **options: Any) -> int:
    """Change a strategy's settings in place, as a new version; its program stays.

    One that runs is replaced gracefully. What is not named stays as it is.
    """
    sources = [options.pop(one) for one in ("secret_names", "secret_variables", "secrets_file")]
    patch = merge_patch(Changes(secrets=read_secrets(*sources), **options))
    if not patch:
        raise click.UsageError("nothing to change: pass --env, --secret, --memory-mb or another")
    api = StrategiesApi(ApiClient(connection))
    strategy_id = api.resolve_id(name)
    before = api.get(strategy_id)
    row = api.update(strategy_id, patch)
    if as_json:
        click.echo(json.dumps({"strategy": row}))
    elif row.get("version") == before.get("version"):
        click.echo(f"{row['name']} is so already, at version {row['version']}")
    else:
        click.echo(f"{row['name']} is at version {row['version']}: changed {', '.join(patch)}")
        click.echo(f"  status   {row['status']}")
    return 0
