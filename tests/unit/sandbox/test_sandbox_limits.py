"""The limits that lie on the runner itself, looked at in a process that has others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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


@pytest.mark.parametrize(
    ("release", "pattern", "level"),
    [
        ("6.1.0-38-amd64", "|/usr/share/apport/apport -p%p", "warn"),
        ("6.12-rc1", "|/usr/lib/systemd/systemd-coredump %P", "ok"),
        ("6.1.0-38-amd64", "core", "ok"),
    ],
)
def test_crashes_that_are_written_into_the_kernels_log(
    release: str, pattern: str, level: str, tmp_path: Path
) -> None:
    """By kernels before 6.12, and only where a pipe gets the dumps."""
    (tmp_path / "core_pattern").write_text(pattern)
    said = run(f"""
from pathlib import Path
from types import SimpleNamespace
from sandbox import HostConfig
from sandbox.checks import limits
limits._CORE_PATTERN = Path({str(tmp_path / "core_pattern")!r})
os.uname = lambda: SimpleNamespace(release={release!r})
for finding in limits.check_core_dumps(HostConfig(name="x")):
    print(finding.level.value, finding.what)
""")
    assert said.startswith(level), said


def test_files_that_the_host_may_have_open() -> None:
    """A small host may have fewer than one run."""
    most = int(Path("/proc/sys/fs/file-max").read_text())
    fits = most // (256 * 1024)
    said = run(f"""
from sandbox import HostConfig
from sandbox.checks.limits import check_files_of_the_host
for slots in filter(None, ({fits}, {fits} + 1)):
    for finding in check_files_of_the_host(HostConfig(name="x", slots=slots)):
        print(finding.level.value, finding.what)
""")
    levels = [line.split()[0] for line in said.splitlines()]
    assert levels == ["ok"] * (fits > 0) + ["warn"]
    assert f"warn the host may have {most} files open, and one run 262144" in said
