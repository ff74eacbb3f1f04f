"""Killing and removing on a real cgroup2 mount, with or without controllers in it.

On a host with v2 alone (`make test-v2`) all other tests of the sandbox are tests of v2 as well.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import SandboxUnavailableError
from sandbox.cgroups import clear, clear_elsewhere, detect, empty, mounts, sweep, v2

BOMB = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(20):
    if os.fork() == 0:
        os.setsid()
        os.kill(os.getpid(), signal.SIGSTOP)
print("up", flush=True)
signal.pause()
"""


@pytest.fixture
def tree() -> Iterator[v2.TreeV2]:
    own = mounts.find_own().v2
    assert own is not None, "no cgroup2 mount is visible; mount -t cgroup2 none /sys/fs/cgroup/..."
    tree = v2.TreeV2(f"v2-{os.getpid()}", own, controllers=())
    assert tree.prepare() == []
    yield tree
    sweep(tree, 5)
    tree.remove()
    assert not tree.lock_directory().exists()


def start_in(group: v2.RunGroupV2, directory: Path) -> subprocess.Popen[str]:
    directory.mkdir()
    joining = f'echo $$ >"{group.join_files[0]}" && exec "$@"'
    process = subprocess.Popen(
        ["/bin/sh", "-c", joining, "sh", sys.executable, "-c", BOMB],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.stdout.close()
    return process


@pytest.mark.parametrize("kernel_kills", [True, False], ids=["cgroup.kill", "freezer"])
def test_empty_and_remove(
    tree: v2.TreeV2, kernel_kills: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = tree.group("run")
    directory = tree.lock_directory() / "run"
    if not kernel_kills:  # as before Linux 5.14
        exists = Path.exists
        monkeypatch.setattr(Path, "exists", lambda p: p.name != "cgroup.kill" and exists(p))
    process = start_in(group, directory)
    assert len(group.pids()) == 21
    empty(group, 5)
    assert group.pids() == []
    assert process.wait(timeout=5) == -signal.SIGKILL
    clear(group, 5)
    monkeypatch.undo()
    assert not directory.exists()


def test_sweep_keeps_what_runs(tree: v2.TreeV2) -> None:
    kept = start_in(tree.group("kept"), tree.lock_directory() / "kept")
    swept = start_in(tree.group("swept"), tree.lock_directory() / "swept")
    assert sweep(tree, 5, keep=["kept"]) == ["swept"]
    assert swept.wait(timeout=5) == -signal.SIGKILL
    assert kept.poll() is None
    assert sweep(tree, 5) == ["kept"]
    assert kept.wait(timeout=5) == -signal.SIGKILL


@pytest.fixture
def other_parent(tree: v2.TreeV2) -> Iterator[Path]:
    """Where a predecessor ran that systemd had started in another scope."""
    parent = tree.lock_directory().parent / f"sequence-scope-{os.getpid()}"
    parent.mkdir()
    yield parent
    parent.rmdir()


def test_left_overs_in_another_scope_are_cleared(tree: v2.TreeV2, other_parent: Path) -> None:
    at = other_parent / tree.lock_directory().name
    at.mkdir()
    left = start_in(v2.RunGroupV2(at / "left"), at / "left")
    assert tree.elsewhere() == [at]
    assert clear_elsewhere(tree, 1, 5) == ["left"]
    assert left.wait(timeout=5) == -signal.SIGKILL
    assert not at.exists()
    assert tree.elsewhere() == []


def test_a_live_runner_in_another_scope_keeps_its_name(tree: v2.TreeV2, other_parent: Path) -> None:
    at = other_parent / tree.lock_directory().name
    at.mkdir()
    lives = start_in(v2.RunGroupV2(at / "lives"), at / "lives")
    lock_fd = os.open(at, os.O_RDONLY)
    fcntl.flock(lock_fd, fcntl.LOCK_EX)
    with pytest.raises(SandboxUnavailableError, match=f"alive on this host, in {other_parent}"):
        clear_elsewhere(tree, 0.1, 5)
    assert lives.poll() is None
    os.close(lock_fd)
    assert clear_elsewhere(tree, 0.1, 5) == ["lives"]
    lives.wait()


def test_the_version_in_use_is_that_of_the_memory_controller() -> None:
    at_top = Path("/sys/fs/cgroup/cgroup.controllers")
    unified = at_top.exists() and "memory" in at_top.read_text().split()
    assert detect("any").version == ("v2" if unified else "v1")
