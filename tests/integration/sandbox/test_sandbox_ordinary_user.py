"""A runner that is not root: what it needs is named, and with it the whole chain works."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sealed import group_directories

import sandbox
from sandbox.cgroups import mounts, v1

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
def delegated() -> Iterator[str]:
    """The directories of the remedy, made as it says."""
    name = f"ordinary-{os.getpid()}"
    found = mounts.find_own().v1
    directories = {found[controller] / f"sequence-{name}" for controller in v1.CONTROLLERS}
    for directory in directories:
        directory.mkdir()
        for path in (directory, *directory.iterdir()):
            os.chown(path, UID, UID)
    yield name
    assert group_directories(name) == []
    for directory in directories:
        directory.rmdir()


def run_as_user(name: str, package: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/usr/bin/python3", "-c", RUNNER, name, str(package)],
        user=UID,
        group=UID,
        extra_groups=[],
        cwd="/",
        env={},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_without_delegation_nothing_runs(package: Path) -> None:
    run = run_as_user("undelegated", package)
    assert run.returncode == 1
    assert f"uid {UID} may not make control groups (v1)" in run.stderr
    assert f"chown -R {UID}" in run.stderr


def test_with_delegation_all_of_it_works(delegated: str, package: Path) -> None:
    run = run_as_user(delegated, package)
    assert run.returncode == 0, run.stderr
    unreachable, relayed, inside, *_, outcome = run.stdout.strip().split("\n")
    assert (unreachable, relayed) == (str(errno.ECONNREFUSED), "relayed")
    assert inside.startswith("1000 ")
    assert outcome == f"0 {UID} the runner's"
