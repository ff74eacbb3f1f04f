"""``sequence strategy why``."""

import json
import time

import click

from sequence_cli.api.client import ApiClient
from sequence_cli.api.history import HistoryApi
from sequence_cli.api.strategies import Row, StrategiesApi
from sequence_cli.connection import Connection
from sequence_cli.connection_options import with_connection
from sequence_cli.output.status_words import reason_in_words, waiting_in_words
from sequence_cli.output.story import Case, memory_to_try_mb, story
from sequence_cli.output.terminal_text import visible


@click.command()
@click.argument("name")
@click.argument("run", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print what is known as JSON.")
@with_connection
def why(connection: Connection, name: str, run: str | None, as_json: bool) -> int:
    """Tell why a strategy's run ended, in plain words.

    RUN is a run's number or id; default: the latest. Shows what ended it, the evidence, what
    followed, the traceback and the last lines, and for one that ran out of memory a size to try.
    """
    client = ApiClient(connection)
    strategies = StrategiesApi(client)
    row = strategies.get(strategies.resolve_id(name))
    history = HistoryApi(client, row["strategy_id"])
    found = history.run(run)
    if found is None:
        return _never_ran(row, as_json)
    records = list(strategies.log_records(row["strategy_id"], {"run_id": found["run_id"]}))
    case = Case(row, found, history.events_of(found), records)
    lines = story(case, time.time())
    if as_json:
        size_mb = memory_to_try_mb(found)
        click.echo(json.dumps({"run": found, "memory_mb_to_try": size_mb, "story": lines}))
        return 0
    for line in lines:
        click.echo(visible(line, keep="\t"))
    return 0


def _never_ran(row: Row, as_json: bool) -> int:
    words = f"{row['name']} never ran: it is {row['status']}, {reason_in_words(row)}"
    lines = [words, *([f"waits for {waiting}"] if (waiting := waiting_in_words(row)) else [])]
    if as_json:
        click.echo(json.dumps({"run": None, "memory_mb_to_try": None, "story": lines}))
    else:
        for line in lines:
            click.echo(visible(line))
    return 0
