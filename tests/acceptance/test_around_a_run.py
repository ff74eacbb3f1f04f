"""Watchdog, hooks and schedule, from `Sequence.toml` to what a person sees of them."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from .dev_platform import DevPlatform
from .support import Api, CommandLine

CLEANUP = "import os\nprint('orders cancelled after', os.environ['SEQUENCE_EXIT_REASON'])\n"
HANGS_ONCE = """
import os, threading, time
def waits_for_a_fill():
    threading.Event().wait(60 if os.environ["SEQUENCE_RUN_EPOCH"] == "1" else 0)
waits_for_a_fill()
print("second life")
"""
STAYS = "import time\nprint('up')\ntime.sleep(300)\n"
COMPLETES_FIRST = """
import os, time
print("epoch", os.environ["SEQUENCE_RUN_EPOCH"])
time.sleep(0 if os.environ["SEQUENCE_RUN_EPOCH"] == "1" else 300)
"""


def project(folder: Path, name: str, program: str, tables: str) -> Path:
    """A strategy's folder."""
    target = folder / name
    target.mkdir()
    (target / "main.py").write_text(program)
    (target / "cleanup.py").write_text(CLEANUP)
    head = f'[strategy]\nname = "{name}"\nruntime = "python"\n[hosted]\nentrypoint = "main.py"\n'
    (target / "Sequence.toml").write_text(head + tables)
    return target


def deploy(cli: CommandLine, api: Api, folder: Path) -> str:
    """The id of the strategy in this folder, once it was deployed and started."""
    cli.run("strategy", "deploy", str(folder), "--start")
    row = next(row for row in api.rows() if row["name"] == folder.name)
    return str(row["strategy_id"])


def test_a_stalled_strategy_shows_where_and_comes_back(
    api: Api, cli: CommandLine, tmp_path: Path
) -> None:
    tables = "[hosted.watchdog]\nsilence_secs = 1\n[hosted.hooks]\non_crash = 'cleanup.py'\n"
    strategy_id = deploy(cli, api, project(tmp_path, "hangs", HANGS_ONCE, tables))
    row = api.wait(strategy_id, status="stopped", status_reason="completed")
    assert row["restart_count"] >= 1
    told = next(r for r in api.history(strategy_id) if "counts as stalled" in r["line"])
    log = cli.run("strategy", "logs", "hangs", "--run", told["run_id"])
    assert "in waits_for_a_fill" in log
    assert "orders cancelled after stalled" in log
    api.delete(strategy_id)


def test_a_stop_runs_the_hook(api: Api, cli: CommandLine, tmp_path: Path) -> None:
    tables = "[hosted.hooks]\non_stop = 'cleanup.py'\n"
    folder = project(tmp_path, "hooked", STAYS, tables)
    strategy_id = deploy(cli, api, folder)
    api.wait_line(strategy_id, "up")
    api.stopped(strategy_id)
    assert "orders cancelled after stopped_by_user" in cli.run("strategy", "logs", "hooked")
    (folder / "cleanup.py").unlink()
    refusal = cli.run("strategy", "deploy", str(folder), exit_code=1)
    assert "'cleanup.py' is not in the artifact" in refusal
    api.delete(strategy_id)


def test_a_schedule_starts_and_replaces_it(
    platform: DevPlatform, api: Api, cli: CommandLine, tmp_path: Path
) -> None:
    """Ticks are at least a minute apart, so the database's clock is helped on."""
    tables = "[hosted.schedule]\ncron = '0 0 * * *'\noverlap = 'replace'\n"
    strategy_id = deploy(cli, api, project(tmp_path, "daily", COMPLETES_FIRST, tables))
    row = api.wait(strategy_id, status="stopped", status_reason="completed")
    assert row["desired_state"] == "running"
    assert 0 < row["next_run_at"] - time.time() <= 86_400
    assert "next run" in cli.run("strategy", "status", "daily")
    tick(platform, strategy_id)
    api.wait_line(strategy_id, "epoch 2")
    tick(platform, strategy_id)
    api.wait_line(strategy_id, "epoch 3")
    row = api.stopped(strategy_id)
    assert (row["desired_state"], row["next_run_at"]) == ("stopped", None)
    assert "puts its schedule in force" in cli.run("strategy", "status", "daily")
    api.delete(strategy_id)


def tick(platform: DevPlatform, strategy_id: str) -> None:
    """Its next tick has come."""
    database = urlsplit(platform.facts["database_url"]).path.removeprefix("/")
    with closing(sqlite3.connect(database, timeout=10)) as connection, connection:
        connection.execute(
            "UPDATE strategies SET next_run_at = 1 WHERE strategy_id = ?", (strategy_id,)
        )
