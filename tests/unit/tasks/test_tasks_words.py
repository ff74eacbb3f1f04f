"""What the platform says in a strategy's log."""

from __future__ import annotations

import pytest

from tasks.claims import Claim, Verdict
from tasks.ending import Cause, Ending
from tasks.words import evidence, farewell, greeting

CLAIM = Claim(
    strategy_id="s",
    run_id="r",
    epoch=3,
    name="alpha",
    client_code="acme",
    is_sandbox=False,
    entrypoint="main.py",
    artifact_sha256="abcdef0123456789" * 4,
    artifact=b"artifact-bytes",
    env={"TOKEN": "env-canary"},
    manifest={"key": "manifest-canary"},
    resources={"cpu_millis": 250, "memory_mb": 512, "timeout_secs": 0},
    network={},
    stop={},
    hooks={},
    watchdog={},
    secrets=None,
    sequence_api_key=None,
)


def test_the_greeting_says_what_starts() -> None:
    assert greeting(CLAIM) == (
        "run 3 starts: main.py of artifact abcdef012345, 250 cpu_millis, 512 MB"
    )


def test_a_claim_shows_nothing_of_its_content() -> None:
    for content in ("artifact-bytes", "env-canary", "manifest-canary"):
        assert content not in repr(CLAIM)


@pytest.mark.parametrize(
    ("ending", "verdict", "words"),
    [
        (
            Ending(Cause.STOP),
            Verdict(True, "stopped", "stopped_by_user"),
            "the program was not started; stopped, stopped by user",
        ),
        (
            Ending(Cause.STALL, 143),
            Verdict(True, "failed", "stalled", restart_in_s=3.6),
            "stalled: ended with signal SIGTERM; stalled, restarts in 4 s",
        ),
        (
            Ending(Cause.PROGRAM, 0),
            Verdict(True, "stopped", "completed"),
            "ended with exit code 0; stopped, completed",
        ),
        (
            Ending(Cause.PROGRAM, 1),
            Verdict(True, "queued", "exit_nonzero", restart_in_s=0.0, announce=True),
            "ended with exit code 1; exit nonzero, restarts now",
        ),
        (
            Ending(Cause.PROGRAM, 1),
            Verdict(True, "failed", "exit_nonzero", restart_in_s=7.6),
            "ended with exit code 1; exit nonzero, restarts in 8 s",
        ),
        (
            Ending(Cause.PROGRAM, 137, was_oom=True),
            Verdict(True, "failed", "oom", restart_in_s=1.0),
            "out of memory: killed at its limit (signal SIGKILL); oom, restarts in 1.0 s",
        ),
        (
            Ending(Cause.PROGRAM, 139),
            Verdict(True, "failed", "crash_loop"),
            "ended with signal SIGSEGV; failed, crash loop",
        ),
        (
            Ending(Cause.PROGRAM, 255),
            Verdict(True, "failed", "exit_nonzero"),
            "ended with exit code 255; failed, exit nonzero",
        ),
        (
            Ending(Cause.STOP, 143),
            Verdict(True, "stopped", "stopped_by_user"),
            "ended with signal SIGTERM; stopped, stopped by user",
        ),
        (
            Ending(Cause.STOP, 143),
            Verdict(True, "queued", "restarted_by_user", announce=True),
            "ended with signal SIGTERM; restarted by user, starts again",
        ),
        (
            Ending(Cause.EVICTION, 0),
            Verdict(True, "queued", "evicted", announce=True),
            "its runner shuts down: ended with exit code 0; evicted, starts again",
        ),
        (
            Ending(Cause.FENCE, 137),
            Verdict(True, "queued", "runner_lost", announce=True),
            "its runner lost the lease and killed it; runner lost, starts again",
        ),
        (
            Ending(Cause.SECRETS, explanation="sealed for key 0011"),
            Verdict(True, "failed", "secrets_unreadable"),
            "the run could not start: sealed for key 0011; failed, secrets unreadable",
        ),
    ],
)
def test_the_farewell_says_how_it_ended_and_what_follows(
    ending: Ending, verdict: Verdict, words: str
) -> None:
    assert farewell(ending, verdict) == words


@pytest.mark.parametrize(
    ("ending", "lines"),
    [
        (Ending(Cause.PROGRAM, 1), []),
        (
            Ending(Cause.PROGRAM, 137, too_many_locks=True),
            [
                "it held more than 1000 file locks (fcntl), which take memory of the host that"
                " memory_mb does not count, and was killed; release locks, or lock fewer ranges"
            ],
        ),
        (
            Ending(Cause.PROGRAM, 0, full=("/workspace", "/tmp")),
            [
                "/workspace was full at the end, by size or by number of files; it may grow to half"
                " of memory_mb (512), and what is in it counts as memory",
                "/tmp was full at the end, by size or by number of files; it may grow to a quarter"
                " of memory_mb (512), and what is in it counts as memory",
            ],
        ),
        (
            Ending(Cause.TIME_OUT, 143, lived_s=20.0, usage={"throttled_s": 14.84}),
            [
                "its CPU share (250 cpu_millis) was used up for 14.8 s of the 20.0 s that it lived",
            ],
        ),
        (Ending(Cause.TIME_OUT, 143, lived_s=20.0, usage={"throttled_s": 0.4}), []),
        (Ending(Cause.PROGRAM, 1, lived_s=20.0, usage={"throttled_s": 14.84}), []),
    ],
)
def test_what_was_measured_explains_the_end(ending: Ending, lines: list[str]) -> None:
    assert list(evidence(CLAIM, ending)) == lines
