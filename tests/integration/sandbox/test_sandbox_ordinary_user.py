"""A runner that is not root: what it needs is named, and with it the whole chain works.

Root starts it here; all of the other tests of the sandbox may be run by an ordinary user as well.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from sealed import group_directories

import sandbox
from sandbox.cgroups import groups, mounts, v1, v2

UID = 412_345
RUNNER = """
import os, sys
sys.path.insert(0, sys.argv[2])
from sandbox import ApiRelay, Host, HostConfig, Program, SandboxUnavailableError
try:
    host = Host.open(HostConfig(name=sys.argv[1], api=ApiRelay("127.0.0.1", 9), ready_slots=1))
except SandboxUnavailableError as error:
    sys.exit(str(error))
program = Program(argv=["-c", '''
import os, socket
try:
    socket.create_connection(("10.0.0.1", 80))
except OSError as error:
    print(error.errno)
try:
    socket.create_connection(("198.18.0.1", 8000)).recv(1)
except ConnectionResetError:
    print("relayed")
print(os.getuid(), os.listdir("/proc/1/fd") if os.access("/proc/1/fd", os.R_OK) else "closed")
''' ])
box = host.spawn(program, "run")
os.set_blocking(box.stdout_fd, True)
os.set_blocking(box.stderr_fd, True)
sys.stderr.write(os.read(box.stderr_fd, 65536).decode())
print(b"".join(iter(lambda: os.read(box.stdout_fd, 65536), b"")).decode())
print(box.finish().exit_code, box.isolation["host_uid"], box.isolation["uid"])
host.close()
"""


@pytest.fixture
def package() -> Iterator[Path]:
    """The package where every user may read it."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    shutil.copytree(Path(sandbox.__file__).parent, folder / "sandbox")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def name() -> str:
    return f"ordinary-{os.getpid()}"


@pytest.fixture
def delegated(name: str) -> Iterator[Path | None]:
    """What the remedy says, done. Answers with the group to start the runner in, None: any."""
    found = mounts.find_own()
    made = delegated_v1(name, found.v1) if "memory" in found.v1 else delegated_v2(name, found.v2)
    with made as group:
        yield group
        assert group_directories(name) == []


@contextmanager
def delegated_v1(name: str, own: Mapping[str, Path]) -> Iterator[None]:
    """As an administrator makes them: the runner's directories, chowned."""
    directories = {own[controller] / f"sequence-{name}" for controller in v1.CONTROLLERS}
    for directory in directories:
        directory.mkdir()
        hand_over(directory)
    yield
    for directory in directories:
        directory.rmdir()


@contextmanager
def delegated_v2(name: str, own: Path | None) -> Iterator[Path]:
    """As systemd makes it for `Delegate=yes`: a user.s group that may pass controllers on."""
    assert own is not None
    tree = v2.TreeV2(f"above-{name}", own)
    assert tree.prepare() == []
    group = tree.lock_directory() / "delegated"
    group.mkdir()
    hand_over(group)
    yield group
    assert [directory.name for directory in groups.subdirectories(group)] == [v2.LEAF]
    for directory in (group / v2.LEAF, group, tree.lock_directory()):
        directory.rmdir()


def hand_over(directory: Path) -> None:
    for path in (directory, *directory.iterdir()):
        os.chown(path, UID, UID)


def run_as_user(
    name: str, package: Path, group: Path | None = None
) -> subprocess.CompletedProcess[str]:
    join = "" if group is None else f"echo $$ >{group}/cgroup.procs && "
    drop = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"]
    runner = ["/usr/bin/python3", "-c", RUNNER, name, str(package)]
    return subprocess.run(
        ["/bin/sh", "-c", f'{join}exec "$@"', "sh", *drop, *runner],
        cwd="/",
        env={},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_without_delegation_nothing_runs(package: Path) -> None:
    run = run_as_user("undelegated", package)
    is_v1 = "memory" in mounts.find_own().v1
    complaint = "may not make control groups (v1)" if is_v1 else "cannot use control groups (v2)"
    assert run.returncode == 1
    assert f"uid {UID} {complaint}" in run.stderr
    assert (f"chown -R {UID}" if is_v1 else "Delegate=yes") in run.stderr


def test_with_delegation_all_of_it_works(name: str, delegated: Path | None, package: Path) -> None:
    run = run_as_user(name, package, delegated)
    assert run.returncode == 0, run.stderr
    unreachable, relayed, inside, *_, outcome = run.stdout.strip().split("\n")
    assert (unreachable, relayed) == (str(errno.ECONNREFUSED), "relayed")
    assert inside.startswith("1000 ")
    assert outcome == f"0 {UID} the runner's"
