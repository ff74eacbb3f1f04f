"""Many strategies on one runner: are all alive, was every lease kept, and what does it cost?

SCALE_STRATEGIES and SCALE_SECONDS give another size: 500 and 300 are what the README promises.
"""

import os
import time
from pathlib import Path

from benchmarks.embedded import Platform, running
from benchmarks.report import Row

STRATEGIES = int(os.environ.get("SCALE_STRATEGIES", "100"))
SECONDS = float(os.environ.get("SCALE_SECONDS", "30"))
_STARTED_WITHIN_S = 600.0

_IDLE = """\
import signal
print("up", flush=True)
signal.pause()
"""


def rows() -> list[Row]:
    """The runner's CPU and memory; a strategy that was lost ends the measurement."""
    most = str(STRATEGIES + 10)
    with running(RUNNER_MAX_STRATEGIES=most) as platform:
        ids = [platform.create(f"scale-{number}", _IDLE) for number in range(STRATEGIES)]
        began_at = time.monotonic()
        for strategy_id in ids:
            platform.start(strategy_id)
        _wait_until_running(platform)
        started_s = time.monotonic() - began_at
        runs = _runs(platform)
        before = _cpu_s(platform.pids["runner"])
        time.sleep(SECONDS)
        cpu_percent = (_cpu_s(platform.pids["runner"]) - before) / SECONDS * 100
        _check(platform, runs)
        memory_mib = _rss_mib(platform.pids["runner"])
    size = f"{STRATEGIES} strategies, {SECONDS:.0f} s, no lease missed"
    return [
        Row(f"{STRATEGIES} strategies: asked -> all running", [started_s], "s"),
        Row("CPU of the runner, of one core, all of them idle", [cpu_percent], "%", note=size),
        Row("memory of the runner, resident", [memory_mib], "MiB"),
    ]


def _wait_until_running(platform: Platform) -> None:
    until = time.monotonic() + _STARTED_WITHIN_S
    while wrong := [row for row in _rows(platform) if row["status"] != "running"]:
        if time.monotonic() > until:
            raise SystemExit(f"{len(wrong)} of {STRATEGIES} do not run, for instance {wrong[0]}")
        time.sleep(0.5)


def _check(platform: Platform, runs: dict[str, object]) -> None:
    """Each is still in the run that it was in: a missed lease would have begun another."""
    for name in ("runner", "scheduler"):
        text = (platform.folder / "logs" / f"{name}.log").read_text(errors="replace")
        for word in ("runs_overdue", "heartbeat_failed", "lease_expired"):
            if word in text:
                raise SystemExit(f"a lease was missed: {word} in the log of the {name}")
    now = _runs(platform)
    if lost := [one for one, run_id in runs.items() if now[one] != run_id]:
        raise SystemExit(f"{len(lost)} had to begin again, for instance {lost[0]}")


def _runs(platform: Platform) -> dict[str, object]:
    """The run that each strategy is in; None for one that does not run."""
    return {
        str(row["strategy_id"]): row["run_id"] if row["status"] == "running" else None
        for row in _rows(platform)
    }


def _rows(platform: Platform) -> list[dict[str, object]]:
    return list(platform.call("GET", "/v1/strategies")["strategies"])


def _cpu_s(pid: int) -> float:
    """Seconds of CPU that the process has used, in user space and in the kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rss_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
