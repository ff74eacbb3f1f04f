"""The `dev` command itself: options in, exit status out."""

import json
from pathlib import Path

import click

from sequence_cli.dev import output
from sequence_cli.dev.environment import Embedded, prepare
from sequence_cli.dev.platform import Platform
from sequence_cli.dev.preflight import check_port, check_tools, hold_folder

_DEFAULT_PORT = 8000


@click.command()
@click.option("--port", default=_DEFAULT_PORT, show_default=True, type=click.IntRange(1, 65535))
@click.option(
    "--data-dir",
    default=".sequence",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Kept between starts: strategies, logs and keys.",
)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON on stdout when ready.")
def dev(port: int, data_dir: Path, as_json: bool) -> int:
    """Run the whole platform in the foreground: Redis, web, one runner, scheduler, market.

    Every process is the Procfile's own. Ctrl-C or SIGTERM ends all of them.
    """
    check_tools()
    check_port(port)
    folder = data_dir.absolute()
    with hold_folder(folder):
        embedded = prepare(folder, port)
        platform = Platform(embedded)
        return platform.run(lambda: _announce(embedded, platform.pids(), as_json))


def _announce(embedded: Embedded, pids: dict[str, int], as_json: bool) -> None:
    facts = {
        "api_url": embedded.api_url,
        "api_key": embedded.api_key,
        "test_api_key": embedded.test_api_key,
        "redis_url": embedded.environ["REDIS_URL"],
        "database_url": embedded.environ["DATABASE_URL"],
        "pids": pids,
    }
    click.echo(json.dumps(facts) if as_json else output.banner(embedded))
