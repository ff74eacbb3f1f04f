"""Why a run ended, in plain words, from what the platform recorded of it."""

import math
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sequence_cli.output.run_words import duration_in_words, usage_in_words
from sequence_cli.output.status_words import local_time, restart_in_words

_MIB = 1 << 20
_STEP_MB = 64
_LAST_LINES = 10
_TRACEBACK_LINES = 40
_TRACEBACK = "Traceback (most recent call last):"

_ENDINGS = {
    "completed": "It finished by itself, with exit code 0.",
    "timeout": "It ran as long as hosted.resources.timeout_secs allows, and was stopped.",
    "workspace_full": "It failed while its workspace was full (half of memory_mb).",
    "file_locks": "It held more file locks than a run may, and was killed; its log says how many.",
    "stalled": "It wrote nothing for as long as hosted.watchdog.silence_secs allows, and was "
    "stopped; its log has the stacks of its threads.",
    "replaced": "Its schedule replaced it by a new run (hosted.schedule.overlap).",
    "evicted": "Its runner shut down and handed it on; nothing was wrong with it.",
    "runner_lost": "Its runner was lost, with all that ran there; nothing was wrong with it.",
    "sandbox_error": "The platform could not run it; nothing was wrong with it.",
    "secrets_unreadable": "It did not start: its secrets cannot be decrypted. Deploy it again.",
    "artifact_corrupt": "It did not start: its stored artifact is damaged. Deploy it again.",
    "network_refused": "It did not start: its network policy cannot be had here.",
}
_OF_KIND = {
    "oom": "oom",
    "exit": "exit_nonzero",
    "signal": "signal",
    "timeout": "timeout",
    "stalled": "stalled",
}
_GIVEN_UP = {
    "crash_loop": "It failed in the same way again and again, so it is not restarted any more.",
    "max_restarts": "It was restarted as often as hosted.restart.max_restarts allows, so that was "
    "the last time.",
}


@dataclass(frozen=True)
class Case:
    """What is known: the strategy's row, the run, its events (oldest first), its log records."""

    row: dict[str, Any]
    run: dict[str, Any]
    events: Sequence[dict[str, Any]]
    records: Sequence[dict[str, Any]]


def story(case: Case, now_s: float) -> list[str]:
    """The story of a run's ending, line by line."""
    if case.run.get("ended_at") is None:
        return [_title(case), f"It runs, since {local_time(case.run['started_at'])}."]
    lines = [_title(case), *_ending(case), *_evidence(case), *_advice(case)]
    lines += _sequel(case, now_s)
    traceback = last_traceback(case.records)
    if traceback:
        lines += ["", "traceback:", *_indented(traceback[-_TRACEBACK_LINES:])]
    last = _before(case.records, len(traceback))
    if last:
        lines += [
            "",
            "last lines before it:" if traceback else "last lines:",
            *_indented(last[-_LAST_LINES:]),
        ]
    return lines


def memory_to_try_mb(run: dict[str, Any]) -> int | None:
    """A size for a run that ran out of memory, None for another one.

    Half as much again as the limit that it hit, or as its peak if that was more, in steps of 64:
    where it would have stopped growing, nobody saw.
    """
    evidence, usage = run.get("evidence") or {}, run.get("usage") or {}
    limit_mb: int | None = evidence.get("memory_mb")
    if not evidence.get("was_oom") or limit_mb is None:
        return None
    peak_mb = (usage.get("memory_peak_bytes") or 0) / _MIB
    steps: int = math.ceil(max(limit_mb, peak_mb) * 1.5 / _STEP_MB)
    return steps * _STEP_MB


def last_traceback(records: Sequence[dict[str, Any]]) -> list[str]:
    """The lines of the last Python traceback on stderr, chained ones included; empty if none."""
    lines = [record["line"] for record in records if record["stream"] == "stderr"]
    starts = [number for number, line in enumerate(lines) if line == _TRACEBACK]
    if not starts:
        return []
    start = starts[-1]
    # A chained one: a blank line, "During handling ..." or "The above exception ...", a blank line.
    while any(number < start for number in starts) and _is_chained(lines, start):
        start = max(number for number in starts if number < start)
    return lines[start:]


def _is_chained(lines: Sequence[str], start: int) -> bool:
    before = "\n".join(lines[max(0, start - 3) : start])
    return "another exception occurred" in before or "was the direct cause" in before


def _title(case: Case) -> str:
    run = case.run
    lasted = "" if run.get("ended_at") is None else f", lasted {duration_in_words(run)}"
    version = f" of version {run['version']}" if run.get("version") else ""
    return f"{case.row['name']}, run {run['epoch']}{version} ({run['run_id']}){lasted}"


def _rolled_back(case: Case) -> dict[str, Any] | None:
    """The event with which the version before the run's came back, if it did."""
    return next((event for event in case.events if event["event"] == "roll_back"), None)


def _ending(case: Case) -> list[str]:
    run, evidence = case.run, case.run.get("evidence") or {}
    reason = run.get("reason") or ""
    own = _OF_KIND.get(evidence.get("kind", ""), reason) if reason in _GIVEN_UP else reason
    lines = [_in_words(own, case)]
    if evidence.get("explanation"):
        lines.append(f"The platform says: {evidence['explanation']}")
    if _rolled_back(case):
        lines.append("It failed in the same way again and again, soon after its first start.")
    elif reason in _GIVEN_UP:
        lines.append(_GIVEN_UP[reason])
    return lines


def _in_words(reason: str, case: Case) -> str:
    evidence = case.run.get("evidence") or {}
    if reason == "oom":
        return f"It ran out of memory: it was killed at its limit of {_limit(evidence)}."
    if reason in ("stopped_by_user", "restarted_by_user"):
        again = ", to be started again" if reason == "restarted_by_user" else ""
        return f"It was stopped on request{_who(case)}{again}."
    if reason == "exit_nonzero":
        error = evidence.get("last_error_line")
        return f"It ended with exit code {case.run.get('exit_code')}" + (
            f"; the last it said on stderr: {error}" if error else "; it said nothing on stderr."
        )
    if reason == "signal":
        return f"It was killed by {_signal_name(case.run.get('exit_code'))}, not by the platform."
    return _ENDINGS.get(reason, f"It ended: {reason}.")


def _who(case: Case) -> str:
    asked = [
        e["actor"] for e in case.events if e["event"] == "stop" and e["to_status"] == "running"
    ]
    return f" by {asked[-1]}" if asked else ""


def _limit(evidence: dict[str, Any]) -> str:
    return f"{evidence['memory_mb']} MB" if "memory_mb" in evidence else "memory_mb"


def _signal_name(exit_code: int | None) -> str:
    try:
        return f"signal {signal.Signals((exit_code or 0) - 128).name}"
    except ValueError:
        return "a signal"


def _evidence(case: Case) -> list[str]:
    run = case.run
    usage = usage_in_words(run)
    exit_code = run.get("exit_code")
    parts = [
        f"ended {local_time(run['ended_at'])}",
        "" if exit_code is None else f"exit code {exit_code}",
        f"used {usage}" if usage else "",
        f"on runner {run['runner_id']}",
    ]
    return ["evidence: " + "; ".join(part for part in parts if part)]


def _advice(case: Case) -> list[str]:
    size_mb = memory_to_try_mb(case.run)
    if size_mb is None:
        return []
    return [
        f"try: memory_mb = {size_mb} below [hosted.resources], or "
        f"`sequence strategy deploy DIR --memory-mb {size_mb}`"
    ]


def _sequel(case: Case, now_s: float) -> list[str]:
    back = _rolled_back(case)
    if back:
        return [
            f"then: the version before it came back {local_time(back['at'])}, by {back['actor']} "
            "(hosted.deploy.auto_rollback_secs)"
        ]
    again = [event for event in case.events if event["event"] == "restart_due"]
    if again:
        return [f"then: queued again {local_time(again[-1]['at'])}, by {again[-1]['actor']}"]
    if case.row.get("run_id") != case.run["run_id"]:
        return ["then: it was started again"]
    next_restart = restart_in_words(case.row, now_s)
    if next_restart:
        return [f"then: {case.row['status']}; next restart {next_restart}"]
    return [f"then: {case.row['status']}"]


def _before(records: Sequence[dict[str, Any]], told: int) -> list[str]:
    """The program's own lines, without its last ``told`` ones on stderr."""
    lines: list[str] = []
    for record in reversed(records):
        if record["stream"] == "stderr" and told > 0:
            told -= 1
        elif record["stream"] != "system":
            lines.append(record["line"])
    return lines[::-1]


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]
