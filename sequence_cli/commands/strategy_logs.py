"""``sequence strategy logs``."""

import click

from sequence_cli.api.client import ApiClient
from sequence_cli.api.follow import FollowEnd, LogFollower
from sequence_cli.api.strategies import StrategiesApi
from sequence_cli.connection import Connection
from sequence_cli.connection_options import with_connection
from sequence_cli.output.log_lines import LogPrinter, choose_printer
from sequence_cli.output.terminal_text import visible


@click.command()
@click.argument("name")
@click.option("--follow", "-f", is_flag=True, help="Go on with new lines, until it has ended.")
@click.option("--run", "run_id", metavar="RUN_ID", help="Lines of this run; default: the latest.")
@click.option("--json", "as_json", is_flag=True, help="One JSON record per line.")
@click.option("--no-color", is_flag=True, help="No colours.  [env var: NO_COLOR]")
@with_connection
def logs(
    connection: Connection, /, name: str, follow: bool, run_id: str | None, **output: bool
) -> int:
    """Show what a strategy has written.

    On a terminal: time and text. In a pipe: the bare lines on stdout, the platform's own
    (started, stopped and why) on stderr. With --follow the exit status is the strategy's when
    it failed, else 0.
    """
    if follow and run_id is not None:
        raise click.UsageError("--run shows a past run: it cannot be combined with --follow")
    client = ApiClient(connection)
    api = StrategiesApi(client)
    strategy_id = api.resolve_id(name)
    printer = choose_printer(**output)
    if follow:
        return _follow(LogFollower(client, strategy_id, _notice), printer)
    for record in api.log_records(strategy_id, run_id):
        printer.show(record)
    return 0


def _notice(text: str) -> None:
    click.echo(f"note: {visible(text)}", err=True)


def _follow(follower: LogFollower, printer: LogPrinter) -> int:
    for item in follower:
        if isinstance(item, FollowEnd):
            return _finish(item)
        printer.show(item.fields)
    return 0


def _finish(end: FollowEnd) -> int:
    known = end.status_reason not in (None, end.status)
    reason = f" ({end.status_reason})" if known else ""
    _notice(f"the strategy is {end.status}{reason}")
    return _exit_status(end.exit_code) if end.status == "failed" else 0


def _exit_status(exit_code: int | None) -> int:
    """A shell's status for the code: a signal, counted negative, becomes 128 + its number."""
    if not exit_code:
        return 1
    return 128 - exit_code if exit_code < 0 else min(exit_code, 255)
