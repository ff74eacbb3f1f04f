"""The settings of logs: how much a strategy may say, where it is kept, and for how long."""

from dataclasses import dataclass

from app import settings_parsers as parse
from app.settings_variable import variable


@dataclass(frozen=True)
class LogSettings:
    """What of the environment is about logs; times in seconds, sizes in bytes."""

    log_lines_per_s: float = variable(
        "LOG_LINES_PER_SEC",
        "Lines that each strategy may log in the long run; 0: no limit. A marker counts the rest.",
        parser=parse.number(0, 10_000_000),
        unit="lines a second",
        default="5000",
    )
    log_bytes_per_s: float = variable(
        "LOG_BYTES_PER_SEC",
        "The same in bytes; 0: no limit.",
        parser=parse.number(0, 10_000_000_000),
        unit="bytes a second",
        default="2000000",
    )
    log_burst_s: float = variable(
        "LOG_BURST_SECS",
        "So many seconds' worth of lines and bytes may come at once.",
        parser=parse.number(1, 3600),
        unit="seconds",
        default="10",
    )
    log_max_lines: int = variable(
        "LOG_MAX_LINES",
        "Log lines of each run that Redis holds at most; older ones are in the archive.",
        parser=parse.integer(100, 100_000_000),
        unit="lines",
        default="100000",
    )
    log_max_bytes: int = variable(
        "LOG_MAX_BYTES",
        "The same in bytes.",
        parser=parse.integer(1 << 20, 1 << 40),
        unit="bytes",
        default="33554432",
    )
    log_runs_kept: int = variable(
        "LOG_RUNS_KEPT",
        "Runs of a strategy whose row and log are kept.",
        parser=parse.integer(1, 10_000),
        unit="runs",
        default="20",
    )
    log_archive_url: str = variable(
        "LOG_ARCHIVE_URL",
        "Archive of older lines, by any URL of fsspec, as s3://bucket/logs; empty: the database.",
        parser=parse.text,
        unit="URL",
    )
    log_kept_days: float = variable(
        "LOG_KEPT_DAYS",
        "How long archived lines are kept; 0: as long as their run.",
        parser=parse.number(0, 36500),
        unit="days",
        default="30",
    )
    log_archive_max_bytes: int = variable(
        "LOG_ARCHIVE_MAX_BYTES",
        "Archive of each strategy, compressed; the oldest lines beyond it go.",
        parser=parse.integer(1 << 16, 1 << 50),
        unit="bytes",
        default="268435456",
    )
