"""The limits that lie on the runner itself, looked at in a process that has others."""

from __future__ import annotations

import subprocess
import sys

import pytest

BEGINNING = "import os, resource, sys; sys.path.insert(0, os.getcwd())\n"


def run(program: str) -> str:
    command = [sys.executable, "-S", "-c", BEGINNING + program]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("uid", "most", "level"),
    [(0, 9000, "ok"), (65534, 9000, "warn"), (65534, 20000, "ok"), (65534, 100, "warn")],
)
def test_processes_that_runs_share_with_their_runner(uid: int, most: int, level: str) -> None:
    """A root runner gives each run a user id of its own."""
    said = run(f"""
from sandbox import HostConfig
from sandbox.checks.limits import check_processes
resource.setrlimit(resource.RLIMIT_NPROC, ({most}, {most}))
os.setuid({uid})
for finding in check_processes(HostConfig(name="x", slots=64)):
    print(finding.level.value, finding.what)
""")
    assert said.startswith(level), said
    if most == 9000 and uid:
        assert "64 runs may have 16384" in said
