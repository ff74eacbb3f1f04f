"""The same programs under a runner that is not root: a process of its own that runs them.

Started as a script it is that runner: one JSON request a line on stdin, one answer a line.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

if __name__ == "__main__":
    sys.path.insert(0, sys.argv[2])

from sealed import HOSTILE_UID, Box, Result

from sandbox import ApiRelay, Host, HostConfig, Outcome, Usage
from sandbox.cgroups import mounts, v1, v2

ORDINARY_UID = HOSTILE_UID + 99


class AnyBox(Protocol):
    """Runs a program to its end, whoever the runner is."""

    def run(self, source: str, **options: Any) -> Result: ...


class OrdinaryBox:
    """A runner with another uid, without a capability."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, source: str, **options: Any) -> Result:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"source": source, **options}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the ordinary user's runner ended"
        answer = json.loads(line)
        assert "failed" not in answer, answer["failed"]
        outcome = answer["outcome"]
        usage = Usage(**outcome.pop("usage"))
        full = tuple(outcome.pop("full"))
        answer["outcome"] = Outcome(**outcome, usage=usage, full=full)
        return Result(**answer)


@contextmanager
def ordinary_box() -> Iterator[OrdinaryBox]:
    """Delegate control groups as the remedy says, start the runner, clear both away."""
    name = f"hostile-user-{os.getpid()}"
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    root = Path(__file__).resolve().parents[2]
    shutil.copytree(root / "sandbox", folder / "sandbox")
    for script in ("ordinary.py", "sealed.py"):
        shutil.copy(Path(__file__).parent / script, folder)
    try:
        with delegated(name, ORDINARY_UID) as group, _process(name, folder, group) as process:
            yield OrdinaryBox(process)
    finally:
        shutil.rmtree(folder)


@contextmanager
def _process(name: str, folder: Path, group: Path | None) -> Iterator[subprocess.Popen[str]]:
    join = "" if group is None else f"echo $$ >{group}/cgroup.procs && "
    drop = ["setpriv", f"--reuid={ORDINARY_UID}", f"--regid={ORDINARY_UID}", "--clear-groups"]
    runner = ["/usr/bin/python3", "-B", str(folder / "ordinary.py"), name, str(folder)]
    with subprocess.Popen(
        ["/bin/sh", "-c", f'{join}exec "$@"', "sh", *drop, *runner],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd="/",
        env={},
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == '"ready"\n', "the ordinary user's runner did not start"
        yield process
        process.stdin.close()
        assert process.wait(timeout=20) == 0


@contextmanager
def delegated(name: str, uid: int) -> Iterator[Path | None]:
    """What the remedy says, done. Answers with the group to start the runner in, None: any."""
    found = mounts.find_own()
    if "memory" in found.v1:
        directories = {found.v1[controller] / f"sequence-{name}" for controller in v1.CONTROLLERS}
        for directory in directories:
            _hand_over(directory, uid)
        yield None
        for directory in directories:
            directory.rmdir()
        return
    assert found.v2 is not None
    tree = v2.TreeV2(f"above-{name}", found.v2)
    assert tree.prepare() == []
    group = tree.lock_directory() / "delegated"
    _hand_over(group, uid)
    yield group
    for directory in (group / v2.LEAF, group, tree.lock_directory()):
        directory.rmdir()


def _hand_over(directory: Path, uid: int) -> None:
    directory.mkdir()
    for path in (directory, *directory.iterdir()):
        os.chown(path, uid, uid)


def serve(name: str) -> None:
    """Be the runner until stdin ends."""
    host = Host.open(HostConfig(name=name, api=ApiRelay("127.0.0.1", 9), slots=4, ready_slots=2))
    box = Box(host)
    _answer("ready")
    for line in sys.stdin:
        try:
            _answer(dataclasses.asdict(box.run(**json.loads(line))))
        except AssertionError as error:
            _answer({"failed": str(error)})
    host.close()


def _answer(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve(sys.argv[1])
