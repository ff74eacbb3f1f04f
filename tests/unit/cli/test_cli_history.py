"""``strategy runs``, ``events`` and ``why``: what a user reads about the past."""

import json
from typing import Any

import pytest
from cli_api_server import RUN_ID, STRATEGY_ID, Answer, LocalApi, error_answer, one_strategy

from sequence_cli.output.run_words import duration_in_words
from sequence_cli.output.story import last_traceback, memory_to_try_mb

ONE = f"/v1/strategies/{STRATEGY_ID}"
USAGE = {
    "memory_bytes": 0,
    "memory_peak_bytes": 48 << 20,
    "cpu_s": 1.25,
    "throttled_s": 0.0,
    "oom_kills": 0,
    "pids": 0,
}
KEY = "key:5f0c"


def run_row(reason: str | None, exit_code: int | None, **changes: Any) -> dict[str, Any]:
    evidence = {"kind": "exit", "lived_s": 12.3, "memory_mb": 48, **changes.pop("evidence", {})}
    return {
        "run_id": RUN_ID,
        "epoch": 3,
        "started_at": 1777414125,
        "ended_at": 1777414137,
        "reason": reason,
        "exit_code": exit_code,
        "usage": USAGE,
        "isolation": {},
        "runner_id": "eu-1-0123",
        "artifact_sha256": "8d4c",
        "evidence": {"was_oom": False, "last_error_line": "", "explanation": "", **evidence},
        **changes,
    }


def event(name: str, before: str, after: str, actor: str, epoch: int = 3) -> dict[str, Any]:
    return {
        "event_id": 7,
        "at": 1777414137,
        "ts_ms": 1777414137250,
        "event": name,
        "from_status": before,
        "to_status": after,
        "reason": "why",
        "actor": actor,
        "run_id": RUN_ID,
        "epoch": epoch,
    }


class Past:
    """A strategy whose latest run ended in some way."""

    def __init__(self, api: LocalApi, run: Any) -> None:
        self.api, self._run = api, run
        self.row(status="failed", run_id=RUN_ID, desired_state="stopped")
        self.events()
        self.lines()

    def row(self, **changes: Any) -> None:
        self.api.answer("GET", ONE, one_strategy(**changes))

    def events(self, *newest_first: dict[str, Any]) -> None:
        page = {"strategy_id": STRATEGY_ID, "events": list(newest_first), "next_before": None}
        self.api.answer("GET", f"{ONE}/events", Answer(page))

    def lines(self, *lines: tuple[str, str]) -> None:
        records = [
            {"id": f"3-{n}", "run_id": RUN_ID, "ts_ms": n, "stream": stream, "line": line}
            for n, (stream, line) in enumerate(lines)
        ]
        page = {"strategy_id": STRATEGY_ID, "logs": records, "next_after": None}
        self.api.answer("GET", f"{ONE}/logs", Answer(page))

    def why(self, run: dict[str, Any], *arguments: str) -> list[str]:
        page = {"strategy_id": STRATEGY_ID, "runs": [run], "next_before": None}
        self.api.answer("GET", f"{ONE}/runs", Answer(page))
        result = self._run("strategy", "why", STRATEGY_ID, *arguments)
        assert result.status == 0, result.err
        return result.out.splitlines()


@pytest.fixture
def past(api: LocalApi, run: Any) -> Past:
    return Past(api, run)


def test_out_of_memory_names_a_size_to_try(past: Past) -> None:
    evidence = {"was_oom": True, "kind": "oom"}
    said = past.why(run_row("oom", 137, evidence=evidence, usage={**USAGE, "oom_kills": 1}))
    assert said[0] == f"heartbeat, run 3 ({RUN_ID}), lasted 12 s"
    assert said[1] == "It ran out of memory: it was killed at its limit of 48 MB."
    assert "exit code 137; used peak 48.0 MiB, 1.2 s CPU, 1 killed for memory" in said[2]
    assert said[2].endswith("on runner eu-1-0123")
    assert "memory_mb = 128" in said[3]
    assert said[4] == ("then: failed; next restart none: start it with `sequence strategy start`")


@pytest.mark.parametrize(
    ("limit_mb", "peak_mb", "expected"),
    [(32, 32, 64), (64, 64, 128), (512, 512, 768), (512, 600, 960), (1000, None, 1536)],
)
def test_the_size_to_try(limit_mb: int, peak_mb: int | None, expected: int) -> None:
    usage = {"memory_peak_bytes": None if peak_mb is None else peak_mb << 20}
    evidence = {"was_oom": True, "memory_mb": limit_mb}
    assert memory_to_try_mb({"usage": usage, "evidence": evidence}) == expected


@pytest.mark.parametrize("run", [{}, {"evidence": None}, {"evidence": {"was_oom": False}}])
def test_no_size_for_what_did_not_run_out(run: dict[str, Any]) -> None:
    assert memory_to_try_mb(run) is None


def test_a_crash_shows_its_traceback_and_last_lines(past: Past) -> None:
    past.lines(
        ("system", "run 3 starts"),
        ("stdout", "before"),
        ("stderr", "Traceback (most recent call last):"),
        ("stderr", '  File "main.py", line 1'),
        ("stderr", "KeyError: \x1b[2J'price'"),
        ("system", "ended with exit code 1"),
    )
    past.events(event("restart_due", "failed", "queued", "scheduler"), event("fail", *"ab", "c"))
    said = past.why(run_row("exit_nonzero", 1, evidence={"last_error_line": "KeyError: 'price'"}))
    assert said[1] == ("It ended with exit code 1; the last it said on stderr: KeyError: 'price'")
    assert any(line.startswith("then: queued again ") and "scheduler" in line for line in said)
    traceback = said[said.index("traceback:") + 1 : said.index("last lines before it:") - 1]
    assert traceback == [
        "  Traceback (most recent call last):",
        '    File "main.py", line 1',
        "  KeyError: \\x1b[2J'price'",
    ]
    assert said[said.index("last lines before it:") + 1 :] == ["  before"]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (run_row("completed", 0), "It finished by itself, with exit code 0."),
        (run_row("timeout", 143), "It ran as long as hosted.resources.timeout_secs allows"),
        (run_row("signal", 139), "It was killed by signal SIGSEGV, not by the platform."),
        (run_row("exit_nonzero", 3), "It ended with exit code 3; it said nothing on stderr."),
        (run_row("file_locks", 137), "It held more file locks than a run may"),
        (run_row("stalled", 143), "It wrote nothing for as long as hosted.watchdog"),
        (run_row("replaced", 0), "Its schedule replaced it by a new run"),
        (run_row("evicted", 0), "Its runner shut down"),
        (run_row("runner_lost", None, evidence={}, usage=None), "Its runner was lost"),
        (run_row("of_the_future", 1), "It ended: of_the_future."),
    ],
)
def test_each_reason_in_words(past: Past, row: dict[str, Any], words: str) -> None:
    assert past.why(row)[1].startswith(words)


@pytest.mark.parametrize("reason", ["crash_loop", "max_restarts"])
def test_who_is_given_up_is_told_the_failure_and_the_rule(past: Past, reason: str) -> None:
    evidence = {"kind": "oom", "was_oom": True}
    said = past.why(run_row(reason, 137, evidence=evidence))
    assert said[1].startswith("It ran out of memory")
    assert "restarted" in said[2]


def test_what_the_platform_failed_at_is_quoted(past: Past) -> None:
    said = past.why(run_row("sandbox_error", None, evidence={"explanation": "no space left"}))
    assert "The platform says: no space left" in said


def test_who_asked_for_a_stop(past: Past) -> None:
    past.events(
        event("finish_stop", "running", "stopped", "runner:eu-1"),
        event("stop", "running", "running", KEY),
        event("stop", "running", "running", "key:of an earlier run", epoch=2),
    )
    said = past.why(run_row("stopped_by_user", 0))
    assert said[1] == f"It was stopped on request by {KEY}."


def test_the_version_before_it_came_back(past: Past) -> None:
    past.events(
        event("roll_back", "failed", "queued", "runner:eu-1"),
        event("crash_loop", "running", "failed", "runner:eu-1"),
    )
    told = past.why(run_row("crash_loop", 1, version=2))
    assert told[0].startswith("heartbeat, run 3 of version 2 (")
    assert "not restarted any more" not in "\n".join(told)
    assert any(line.startswith("then: the version before it came back ") for line in told)


def test_a_run_that_lives(past: Past) -> None:
    said = past.why(run_row(None, None, ended_at=None, evidence={}))
    assert said[1].startswith("It runs, since ")
    assert len(said) == 2


def test_by_number_and_by_id(past: Past) -> None:
    past.why(run_row("completed", 0), "3")
    (asked,) = [one for one in past.api.received if one.path == f"{ONE}/runs"]
    assert asked.query == {"limit": "1", "before": "4"}
    run = run_row("completed", 0)
    past.api.answer("GET", f"{ONE}/runs/{RUN_ID}", Answer({"run": run}))
    assert past.why(run, RUN_ID)[0].startswith("heartbeat, run 3")


def test_a_run_that_is_not_kept(past: Past, api: LocalApi, run: Any) -> None:
    past.why(run_row("completed", 0))
    result = run("strategy", "why", STRATEGY_ID, "2")
    assert (result.status, "there is no run 2 (any more)" in result.err) == (1, True)
    api.answer("GET", f"{ONE}/runs/x", error_answer(404, "NOT_FOUND", "the strategy has no run"))
    assert "the strategy has no run" in run("strategy", "why", STRATEGY_ID, "x").err


def test_one_that_never_ran_says_what_it_waits_for(past: Past, api: LocalApi, run: Any) -> None:
    waiting = {"reason": "no_runner", "since": 1777414125, "detail": "there is no live runner"}
    past.row(status="queued", status_reason="no_runner", waiting=waiting)
    api.answer("GET", f"{ONE}/runs", Answer({"runs": [], "next_before": None}))
    out = run("strategy", "why", STRATEGY_ID).out
    assert "heartbeat never ran: it is queued, no_runner:" in out
    assert "waits for no_runner: there is no live runner, since 2026-" in out


def test_why_as_json(past: Past) -> None:
    evidence = {"was_oom": True, "kind": "oom"}
    (line,) = past.why(run_row("oom", 137, evidence=evidence), "--json")
    found = json.loads(line)
    assert found["memory_mb_to_try"] == 128
    assert found["run"]["reason"] == "oom"
    assert found["story"][1].startswith("It ran out of memory")


def test_runs_is_a_table(past: Past, run: Any) -> None:
    past.why(run_row("oom", 137))
    header, line = run("strategy", "runs", STRATEGY_ID).out.splitlines()
    assert header.split()[:4] == ["RUN", "STARTED", "LASTED", "ENDED"]
    assert line.split()[0] == "3"
    assert "12 s" in line
    assert line.endswith(f"oom       137   peak 48.0 MiB, 1.2 s CPU  eu-1-0123  {RUN_ID}")


def test_events_is_a_table_of_several_pages(api: LocalApi, run: Any) -> None:
    pages = [
        {"events": [event("stop", "running", "running", KEY)], "next_before": 7},
        {"events": [event("start", "stopped", "queued", KEY, epoch=0)], "next_before": None},
    ]
    api.answer("GET", f"{ONE}/events", *[Answer(page) for page in pages])
    lines = run("strategy", "events", STRATEGY_ID).out.splitlines()
    assert lines[0].split() == ["TIME", "EVENT", "STATUS", "REASON", "RUN", "BY"]
    assert lines[1].split()[2:] == ["stop", "running", "why", "3", KEY]
    assert lines[2].split()[2:] == ["start", "stopped", ">", "queued", "why", "-", KEY]
    assert [one.query for one in api.received if one.path.endswith("/events")] == [
        {"limit": "50"},
        {"limit": "49", "before": "7"},
    ]


@pytest.mark.parametrize(
    ("lived_s", "words"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (59, "59 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (8 * 86_400 + 4 * 3600, "8 d 4 h"),
    ],
)
def test_durations(lived_s: float, words: str) -> None:
    run = {"started_at": 1, "ended_at": 2, "evidence": {"lived_s": lived_s}}
    assert duration_in_words(run) == words


def test_a_chained_traceback_is_whole() -> None:
    head = "Traceback (most recent call last):"
    chain = [
        *(head, "  a", "KeyError: 1", ""),
        *("During handling of the above exception, another exception occurred:", ""),
        *(head, "  b", "ValueError: 2"),
    ]
    lines = ["noise", head, "  old", "OSError: 0", "noise", *chain]
    records = [{"stream": "stderr", "line": line} for line in lines]
    assert last_traceback(records) == chain
    assert last_traceback([]) == []
