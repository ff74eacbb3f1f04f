"""`sequence doctor` passes on what the sandbox's own doctor says, and its exit status."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def doctor(*arguments: str, open_files: int = 65536) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, which may have so many open files at most."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(open_files, most)
    return subprocess.run(
        [sys.executable, "-m", "sequence_cli.main", "doctor", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted)),
    )


@pytest.mark.parametrize("arguments", [(), ("--json",)], ids=["words", "json"])
def test_what_is_in_the_way_ends_it_with_one(arguments: tuple[str, ...]) -> None:
    done = doctor(*arguments, open_files=512)
    assert done.returncode == 1
    assert done.stderr == ""
    what = "the runner may open 512 files at most; it needs 4096"
    remedy = "ulimit -Hn 65536 before it starts (systemd: LimitNOFILE=65536)"
    if not arguments:
        assert f"FAIL {what}\n       remedy: {remedy}\n" in done.stdout
        assert done.stdout.endswith("no runner can start here; see FAIL above\n")
        return
    report = json.loads(done.stdout)
    assert report["fit"] is False
    assert {
        "level": "FAIL",
        "what": what,
        "remedy": {"debian": remedy, "ubuntu": remedy},
    } in report["findings"]


def test_bad_options_are_usage_errors(run) -> None:
    assert run("doctor", "--first-uid", "0").status == 2
    assert run("doctor", "--jsn").status == 2


def test_the_runners_own_settings_are_taken_from_the_environment(run) -> None:
    text = run("doctor", "--help").out
    assert "RUNNER_NAME" in text
    assert "RUNNER_FIRST_UID" in text
    assert "RUNNER_UPLINK" in text
