"""What stands on the visible command line, and what does not."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import (
    ApiRelay,
    Limits,
    Problem,
    Program,
    ProgramInvalidError,
    SandboxUnavailableError,
    WorkspaceFile,
    bwrap,
    chain,
)
from sandbox.payload import Payload
from sandbox.runtime import Runtime

RUNTIME = Runtime("host", "/usr/bin/python3", (("/host/lib", "/usr/lib"),), (("python3.11", "/x"),))
TOOLS = chain.Tools(nsenter="/usr/bin/nsenter", bwrap="/usr/bin/bwrap")


@pytest.fixture
def payload() -> Iterator[Payload]:
    with Payload(lowest_fd=100) as payload:
        yield payload


def words(program: Program, payload: Payload, api: ApiRelay | None = None) -> list[str]:
    packed = bwrap.arguments(program, RUNTIME, api, payload, b"filter")
    assert packed.endswith(b"\0")
    return packed.decode().split("\0")[:-1]


def content(fd: int) -> bytes:
    return os.pread(fd, 1 << 20, 0)


def test_order_of_the_set_up(payload: Payload) -> None:
    program = Program(argv=["m"], files=[WorkspaceFile("a/b", b"B", executable=True)])
    given = words(program, payload)
    steps = ["--unshare-user", "--clearenv", "--ro-bind", "--proc", "--tmpfs", "--dev", "--dir"]
    assert [given.index(step) for step in steps] == sorted(given.index(step) for step in steps)
    assert given[given.index("--dir") :][:7] == [
        "--dir",
        "/workspace/a",
        "--perms",
        "0755",
        "--file",
        given[given.index("--dir") + 5],
        "/workspace/a/b",
    ]
    places = ("/dev/pts", "/dev", "/proc/fs", "/proc", "/")
    sealed = [word for place in places for word in ("--remount-ro", place)]
    assert given[-14:-2] == [*sealed, "--chdir", "/workspace"]
    assert content(int(given[-1])) == b"filter"


def test_each_wall_is_asked_for(payload: Payload) -> None:
    """Also those behind which another one stands."""
    given = words(Program(argv=["m"]), payload)
    for wall in ("user", "pid", "ipc", "uts", "cgroup"):
        assert f"--unshare-{wall}" in given
    assert {"--disable-userns", "--new-session", "--die-with-parent", "--clearenv"} <= {*given}
    assert given[given.index("--cap-drop") + 1] == "ALL"
    assert given[given.index("--hostname") + 1] == "sandbox"


def test_limits_of_the_memory_file_systems(payload: Payload) -> None:
    limits = Limits(workspace_bytes=1 << 20, tmp_bytes=2 << 20, shm_bytes=3 << 20)
    given = words(Program(argv=["m"], limits=limits), payload)
    sizes = {given[n + 3]: given[n + 1] for n, word in enumerate(given) if word == "--size"}
    assert sizes.pop("/dev/pts") == sizes.pop("/proc/fs") == "4096"  # empty, read-only in the end
    assert sizes == {"/workspace": "1048576", "/tmp": "2097152", "/dev/shm": "3145728"}


def test_names_of_the_api_in_hosts(payload: Payload) -> None:
    api = ApiRelay("10.1.2.3", 443, names=("api.example.test",))
    given = words(Program(argv=["m"]), payload, api)
    hosts = content(int(given[given.index("/etc/hosts") - 1])).decode()
    assert "198.18.0.1 api.example.test\n" in hosts
    assert "10.1.2.3" not in hosts


def test_descriptors_leave_the_programs_own_numbers_free(payload: Payload) -> None:
    words(Program(argv=["m"], files=[WorkspaceFile("a", b"x")]), payload)
    assert min(payload.fds) >= 100


def test_too_many_arguments(payload: Payload) -> None:
    many = {f"V{n}": "x" for n in range(3000)}
    with pytest.raises(ProgramInvalidError, match="bubblewrap at most 9000"):
        words(Program(argv=["m"], env=many), payload)


def entry(**changes: object) -> chain.Entry:
    values = {"join_files": [Path("/a/cgroup.procs")], "open_files": 64, "network_fd": 7}
    return chain.Entry(**{**values, "user_fd": None, "uid": None, **changes})  # type: ignore[arg-type]


def test_a_limit_that_cannot_be_set_ends_the_chain(tmp_path: Path) -> None:
    """A runner's own limit of open files may be lower than a strategy's."""
    begun = tmp_path / "begun"
    tools = chain.Tools(nsenter="/usr/bin/touch", bwrap=str(begun))
    given = chain.command(tools, entry(join_files=[], open_files=65), [])
    shim = [*given[: given.index("--") + 1], "/usr/bin/touch", str(begun)]

    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        if os.geteuid() == 0:  # root may go beyond
            os.setresuid(65_534, 65_534, 65_534)

    done = subprocess.run(shim, preexec_fn=lower, stderr=subprocess.PIPE, check=False)
    assert done.returncode == chain.SHIM_FAILED
    assert not begun.exists()


def test_a_root_runner_drops_to_the_slots_uid() -> None:
    given = chain.command(TOOLS, entry(uid=200_003), ["--", "python"])
    assert "--setuid=200003" in given
    assert "--setgid=200003" in given
    assert given[-3:] == ["/usr/bin/bwrap", "--", "python"]


def test_an_ordinary_user_enters_netds_user_namespace() -> None:
    given = chain.command(TOOLS, entry(user_fd=8), [])
    assert f"--user=/proc/{os.getpid()}/fd/8" in given
    assert "--preserve-credentials" in given
    assert not any(word.startswith("--setuid") for word in given)


def test_a_problem_reads_as_what_and_remedy() -> None:
    error = SandboxUnavailableError([Problem("a is missing", "get a"), Problem("b", "c")])
    assert str(error) == (
        "this host cannot run sandboxes:\n  - a is missing\n    remedy: get a\n  - b\n    remedy: c"
    )
