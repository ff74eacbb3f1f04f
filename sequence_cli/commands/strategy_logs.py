"""``sequence strategy logs``."""

from collections.abc import Mapping, Sequence
from typing import Any

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
@click.option("--all-runs", is_flag=True, help="Lines of every run that is kept.")
@click.option("--since", metavar="TIME", help="Not older: 10m, 2h, 1d, or 2026-04-28T22:08:45Z.")
@click.option("--grep", metavar="TEXT", help="Only lines with this text in them.")
@click.option(
    "--where",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Only JSON lines like it, as event=filled or 'qty>5'; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON record per line.")
@click.option("--no-color", is_flag=True, help="No colours.  [env var: NO_COLOR]")
@with_connection
def logs(connection: Connection, /, name: str, follow: bool, **options: Any) -> int:
    """Show what a strategy has written.

    On a terminal: time and text. In a pipe: the bare lines on stdout, the platform's own
    (started, stopped and why) on stderr. With --follow the exit status is the strategy's when
    it failed, else 0.
    """
    wanted = _wanted(options)
    if follow and "run_id" in wanted:
        option = "--all-runs" if options["all_runs"] else "--run"
        raise click.UsageError(f"{option} shows past runs: it cannot be combined with --follow")
    client = ApiClient(connection)
    api = StrategiesApi(client)
    strategy_id = api.resolve_id(name)
    printer = choose_printer(as_json=options["as_json"], no_color=options["no_color"])
    if follow:
        return _follow(LogFollower(client, strategy_id, _notice, wanted=wanted), printer)
    for record in api.log_records(strategy_id, _from_the_oldest(wanted)):
        printer.show(record)
    return 0


def _wanted(options: Mapping[str, Any]) -> dict[str, str | Sequence[str]]:
    """The parameters of the request, as far as they were given."""
    if options["all_runs"] and options["run_id"] is not None:
        raise click.UsageError("--run and --all-runs exclude each other")
    run_id = "all" if options["all_runs"] else options["run_id"]
    given = {"run_id": run_id, **{name: options[name] for name in ("since", "grep", "where")}}
    return {name: value for name, value in given.items() if value}


def _from_the_oldest(wanted: dict[str, str | Sequence[str]]) -> dict[str, str | Sequence[str]]:
    """With a condition, or for all runs, everything is meant and not only the newest page."""
    is_plain = set(wanted) <= {"run_id"} and wanted.get("run_id") != "all"
    return wanted if is_plain else {**wanted, "order": "asc"}


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
