"""Log records on a terminal, in a pipe and as JSON."""

import enum
import json
import os
import sys
import time
from dataclasses import dataclass
from typing import Any

import click

from sequence_cli.output.terminal_text import visible

_COLOURS = {"stderr": "red", "system": "yellow"}
_TIME_KEYS = frozenset({"ts", "event"})


class LogFormat(enum.Enum):
    """How lines are printed."""

    TERMINAL = "terminal"  # time, text made safe, colours
    RAW = "raw"  # the line as the strategy wrote it; the platform's lines go to stderr
    JSON = "json"  # the whole record


@dataclass(frozen=True)
class LogPrinter:
    """Writes records ``{"id", "run_id", "ts_ms", "stream", "line"}`` as they come, unbuffered."""

    format: LogFormat
    colour: bool

    def show(self, record: dict[str, Any]) -> None:
        if self.format is LogFormat.JSON:
            click.echo(json.dumps(record, ensure_ascii=False))
        elif self.format is LogFormat.RAW:
            click.echo(record["line"], err=record["stream"] == "system", color=True)
        else:
            self._show_on_terminal(record)

    def _show_on_terminal(self, record: dict[str, Any]) -> None:
        text = visible(_shortened(record["line"]), keep="\t")
        stamp = _local_clock(record["ts_ms"])
        colour = _COLOURS.get(record["stream"])
        if self.colour:
            stamp = click.style(stamp, dim=True)
            if colour is not None:
                text = click.style(text, fg=colour, dim=record["stream"] == "system")
        click.echo(f"{stamp} {text}", color=self.colour)


def choose_printer(*, as_json: bool, no_color: bool) -> LogPrinter:
    """The printer for this process's stdout and its ``NO_COLOR`` variable."""
    if as_json:
        return LogPrinter(LogFormat.JSON, colour=False)
    if not sys.stdout.isatty():
        return LogPrinter(LogFormat.RAW, colour=False)
    return LogPrinter(LogFormat.TERMINAL, colour=not (no_color or os.environ.get("NO_COLOR")))


def _local_clock(ts_ms: int) -> str:
    seconds, milliseconds = divmod(ts_ms, 1000)
    return f"{time.strftime('%H:%M:%S', time.localtime(seconds))}.{milliseconds:03d}"


def _shortened(line: str) -> str:
    """``{"ts": .., "event": "beat", "n": 1}`` becomes ``beat n=1``; other lines stay."""
    if not line.startswith("{"):
        return line
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return line
    if not isinstance(fields, dict) or not isinstance(fields.get("event"), str):
        return line
    rest = [f"{key}={_plain(value)}" for key, value in fields.items() if key not in _TIME_KEYS]
    return " ".join([fields["event"], *rest])


def _plain(value: object) -> str:
    if isinstance(value, str) and value and " " not in value:
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
