"""``sequence strategy deploy``, and ``push``, its older name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from sequence_cli.api.client import ApiClient
from sequence_cli.api.strategies import Row, StrategiesApi
from sequence_cli.connection import Connection
from sequence_cli.connection_options import with_connection
from sequence_cli.errors import CliError
from sequence_cli.output.status_words import size_in_words
from sequence_cli.project.deployment import Deployment, Overrides, prepare_deployment

_PATH = click.Path(path_type=Path)


def split_pairs(
    _ctx: click.Context, _param: click.Parameter, pairs: tuple[str, ...]
) -> dict[str, str]:
    """Callback of a repeatable KEY=VALUE option."""
    env = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{name!r} is not KEY=VALUE")
        env[name] = value
    return env


def _deploy_options(function: Callable[..., int]) -> Callable[..., int]:
    """The arguments of ``deploy``; overrides are named as the fields of Overrides."""
    options = [
        click.argument("directory", metavar="DIR", type=_PATH),
        click.option("--start", is_flag=True, help="Start it at once."),
        click.option("--env", multiple=True, metavar="KEY=VALUE", callback=split_pairs,
                     help="Variable layered on [hosted.env]; may be repeated."),
        click.option("--secrets-file", type=_PATH, metavar="FILE",
                     help="JSON object of strings, merged over [hosted.secrets]."),
        click.option("--manifest", "manifest_file", type=_PATH, metavar="FILE",
                     help="JSON object that replaces the manifest made of Sequence.toml."),
        click.option("--memory-mb", type=int, metavar="N", help="Memory limit, megabytes."),
        click.option("--cpu-millis", type=int, metavar="N", help="CPU share, thousandths."),
        click.option("--timeout-secs", type=int, metavar="N", help="Longest run; 0: no limit."),
        click.option("--latency-target", "latency_targets", multiple=True, metavar="TARGET",
                     help="Where to run, by preference; may be repeated."),
        click.option("--name", metavar="NAME", help="Name instead of strategy.name."),
        click.option("--entrypoint", metavar="FILE", help="Instead of hosted.entrypoint."),
        click.option("--json", "as_json", is_flag=True, help="Print the API's answer as JSON."),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


@click.command()
@_deploy_options
@with_connection
def deploy(
    connection: Connection, /, directory: Path, start: bool, as_json: bool, **overrides: Any
) -> int:
    """Pack the project in DIR and upload it; the same name replaces the strategy of that name."""
    deployment = prepare_deployment(directory, Overrides(**overrides))
    for note in deployment.notes:
        click.echo(f"note: {note}", err=True)
    row = StrategiesApi(ApiClient(connection)).create(
        {
            **deployment.body,
            "start_immediately": start,
            "sequence_api_key": connection.api_key,
        }
    )
    if row.get("artifact_sha256") != deployment.artifact_sha256:
        raise CliError(
            f"the server stored artifact {row.get('artifact_sha256')} but "
            f"{deployment.artifact_sha256} was sent: deploy again"
        )
    if as_json:
        click.echo(json.dumps({"strategy": row}))
    else:
        _show_summary(row, deployment, start)
    return 0


push = click.Command(
    "push", callback=deploy.callback, params=deploy.params, help="Older name of deploy."
)


def _show_summary(row: Row, deployment: Deployment, started: bool) -> None:
    size = size_in_words(deployment.artifact_bytes)
    following = "logs {} --follow" if started else "start {}"
    click.echo(f"deployed {row['name']} ({row['strategy_id']})")
    click.echo(
        f"  artifact {deployment.artifact_sha256[:12]}, {size}, {deployment.file_count} files"
    )
    click.echo(f"  status   {row['status']}")
    click.echo(f"next: sequence strategy {following.format(row['name'])}")
