"""A program runs, is limited and ends: what its caller learns of it."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest
from sealed import Box, group_directories, processes_of_uids

from sandbox import (
    Host,
    HostConfig,
    NoFreeSlotError,
    Program,
    ProgramInvalidError,
    SandboxError,
    WorkspaceFile,
)
from sandbox.cgroups import RunGroup

MIB = 1 << 20


def test_streams_arguments_environment_and_exit_code(box: Box) -> None:
    result = box.run(
        """
        import json, os, sys
        print(json.dumps([sys.argv, os.environ["KEY"], os.getcwd()]))
        print("problem", file=sys.stderr)
        sys.exit(3)
        """,
        arguments=["--fast", "zwei drei"],
        env={"KEY": "värde\nline"},
    )
    assert result.seen == [["main.py", "--fast", "zwei drei"], "värde\nline", "/workspace"]
    assert result.stderr == "problem\n"
    assert (result.outcome.exit_code, result.outcome.signal) == (3, None)
    assert not result.outcome.oom


def test_workspace_holds_the_files_and_can_be_written(box: Box) -> None:
    tree = [
        WorkspaceFile("pkg/__init__.py", b"WORD = 'from the package'\n"),
        WorkspaceFile("data/empty", b""),
        WorkspaceFile("bin/tool", b"#!/usr/bin/python3\nprint('tool ran')\n", executable=True),
        WorkspaceFile("big.bin", bytes(range(256)) * 4096),
    ]
    result = box.run(
        """
        import hashlib, json, os, subprocess, pathlib, pkg
        pathlib.Path("pkg/new.txt").write_text("mine")
        os.rename("data/empty", "data/moved")
        print(json.dumps({
            "word": pkg.WORD,
            "tool": subprocess.run(["/workspace/bin/tool"], capture_output=True, text=True).stdout,
            "sha": hashlib.sha256(pathlib.Path("big.bin").read_bytes()).hexdigest(),
            "owner": os.stat("pkg").st_uid == os.getuid() == os.stat("main.py").st_uid,
        }))
        """,
        files=tree,
    )
    assert result.seen["word"] == "from the package"
    assert result.seen["tool"] == "tool ran\n"
    assert result.seen["sha"] == hashlib.sha256(tree[3].content).hexdigest()
    assert result.seen["owner"]


def test_fifteen_hundred_files_with_a_low_limit_of_open_files(box: Box) -> None:
    many = [WorkspaceFile(f"d{i % 7}/f{i}", b"x%d" % i) for i in range(1499)]
    result = box.run(
        """
        import json, os, resource
        found = sum(len(names) for _, _, names in os.walk("/workspace"))
        print(json.dumps([found, resource.getrlimit(resource.RLIMIT_NOFILE)]))
        """,
        files=many,
        open_files=64,
    )
    assert result.seen == [1500, [64, 64]]


def test_a_program_may_open_its_standard_output_again(box: Box) -> None:
    result = box.run("open('/dev/stdout', 'w').write('[1]\\n')")
    assert result.seen == [1]


def test_standard_library_that_strategies_need(box: Box) -> None:
    result = box.run(
        """
        import asyncio, json, multiprocessing, sqlite3, ssl, subprocess, sys, threading, zoneinfo
        from multiprocessing import shared_memory
        def square(n): return n * n
        if __name__ == "__main__":
            sqlite3.connect("/workspace/t.db").execute("create table t (x)")
            context = ssl.create_default_context()
            block = shared_memory.SharedMemory(create=True, size=4096)
            block.close(); block.unlink()
            with multiprocessing.Pool(2) as pool:
                squares = pool.map(square, [1, 2, 3])
            out = subprocess.run([sys.executable, "-c", "print(7)"], capture_output=True, text=True)
            print(json.dumps({
                "squares": squares,
                "loop": asyncio.run(asyncio.sleep(0, 5)),
                "zone": str(zoneinfo.ZoneInfo("America/New_York")),
                "child": out.stdout,
                "verifies": context.verify_mode == ssl.CERT_REQUIRED,
                "authorities": bool(ssl.get_default_verify_paths().capath),
            }))
        """
    )
    assert result.seen["squares"] == [1, 4, 9]
    assert (result.seen["loop"], result.seen["child"]) == (5, "7\n")
    assert result.seen["zone"] == "America/New_York"
    assert result.seen["verifies"] and result.seen["authorities"]


def test_no_site_packages_of_the_host(box: Box) -> None:
    result = box.run(
        """
        import json, sys
        print(json.dumps([p for p in sys.path if "packages" in p]))
        """
    )
    assert result.seen == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_death_by_signal(box: Box, number: signal.Signals) -> None:
    result = box.run(f"import os; os.kill(os.getpid(), {int(number)})")
    assert result.outcome.signal == number
    assert result.outcome.exit_code == 128 + number
    assert not result.outcome.oom


def _touch(megabytes: int) -> str:
    return f"block = bytearray({megabytes} << 20)\nprint('alive')"


def test_memory_within_the_limit(box: Box) -> None:
    result = box.run(_touch(40), memory_bytes=96 * MIB)
    assert result.outcome.exit_code == 0
    peak = result.outcome.usage.memory_peak_bytes
    assert peak is not None and 40 * MIB < peak < 96 * MIB


def test_out_of_memory_is_told_from_evidence(box: Box) -> None:
    result = box.run(_touch(400), memory_bytes=64 * MIB)
    assert result.outcome.oom
    assert result.outcome.signal == signal.SIGKILL
    assert result.outcome.usage.oom_kills >= 1
    assert "alive" not in result.stdout


def test_workspace_above_the_memory_limit_is_an_outcome(box: Box) -> None:
    heavy = [WorkspaceFile(f"f{i}", bytes(8 * MIB)) for i in range(8)]
    result = box.run("print('never')", files=heavy, memory_bytes=32 * MIB)
    assert result.outcome.oom
    assert result.stdout == ""


def test_pids_limit(box: Box) -> None:
    result = box.run(
        """
        import json, os, signal
        count = 0
        try:
            while True:
                if os.fork() == 0:
                    signal.pause()
                count += 1
        except OSError as error:
            print(json.dumps([count, error.errno]))
        """,
        pids_max=20,
    )
    count, number = result.seen
    assert 10 <= count < 20
    assert number == 11  # EAGAIN
    assert result.outcome.exit_code == 0


def test_cpu_quota(box: Box) -> None:
    live = box.start(
        """
        import json, time
        wall, used = time.monotonic(), time.process_time()
        while time.process_time() - used < 0.05:
            pass
        print(json.dumps([time.process_time() - used, time.monotonic() - wall]))
        """,
        cpu_millis=50,
    )
    # Python alone takes half a minute to start with a twentieth of an emulated core.
    live.read_until(lambda: False, 120)
    result = live.finish()
    used_s, taken_s = result.seen
    # A busy host makes it slower, never faster. Begin and end cut a period of 0.1 s each, and the
    # kernel may notice a tick late that one's share is used up.
    assert used_s <= 0.05 * (taken_s + 2 * 0.1) + 0.01
    assert result.outcome.usage.throttled_s > 0


@pytest.mark.parametrize(
    ("folder", "limit"),
    [("/workspace", "workspace_bytes"), ("/tmp", "tmp_bytes"), ("/dev/shm", "shm_bytes")],
)
def test_full_file_system_is_enospc(box: Box, folder: str, limit: str) -> None:
    result = box.run(
        f"""
        import json
        written = 0
        try:
            with open("{folder}/fill", "wb", buffering=0) as file:
                while True:
                    written += file.write(bytes(65536))
        except OSError as error:
            print(json.dumps([written, error.errno]))
        """,
        **{limit: 2 * MIB},
    )
    written, number = result.seen
    assert number == 28  # ENOSPC
    assert MIB <= written <= 2 * MIB


def test_finish_clears_away_and_may_be_repeated(box: Box, host_config: HostConfig) -> None:
    live = box.start("print('here')")
    result = live.finish()
    assert live.sandbox.finish() is result.outcome
    assert live.sandbox.usage() == result.outcome.usage
    live.sandbox.interrupt()
    live.sandbox.kill()
    names = [directory.name for directory in group_directories(host_config.name)]
    assert result.run_name not in names


def test_live_usage_and_exit_descriptor(box: Box) -> None:
    live = box.start("import time\nblock = bytearray(30 << 20)\nprint('up')\ntime.sleep(60)")
    live.wait_for("up")
    usage = live.sandbox.usage()
    assert usage.memory_bytes > 30 * MIB
    assert usage.pids >= 2
    assert usage.cpu_s > 0
    live.sandbox.kill()
    assert live.finish().outcome.signal == signal.SIGKILL


def test_what_isolation_says_is_what_the_kernel_says(box: Box) -> None:
    live = box.start("import signal\nprint('up')\nsignal.pause()")
    live.wait_for("up")
    isolation = live.sandbox.isolation
    uid = int(str(isolation["host_uid"]))
    pid = next(p for p in processes_of_uids(uid, uid) if _text(p, "comm") == "python3\n")
    own, its = _namespaces("self", isolation), _namespaces(pid, isolation)
    status = dict(line.split(":\t", 1) for line in _text(pid, "status").splitlines())
    live.sandbox.kill()
    live.finish()
    assert len(own) == 7
    assert not own & its
    assert status["Uid"].split() == [str(isolation["host_uid"])] * 4
    assert status["Gid"].split() == [str(isolation["host_uid"])] * 4
    groups = {int(group) for group in status["Groups"].split()}
    assert sorted(groups - {os.getgid()}) == isolation["host_groups"]
    assert os.geteuid() != 0 or groups == set()
    assert status["NoNewPrivs"] == "1"
    for powers in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[powers], 16) == 0
    assert (status["Seccomp"] == "2") == (isolation["seccomp"] != "none")


def _namespaces(process: object, isolation: Mapping[str, object]) -> set[Path]:
    kinds = [{"mount": "mnt"}.get(kind, kind) for kind in isolation["namespaces"]]
    return {Path(f"/proc/{process}/ns/{kind}").readlink() for kind in kinds}


def _text(pid: int, file: str) -> str:
    return Path(f"/proc/{pid}/{file}").read_text()


def test_faults_of_the_caller(host: Host) -> None:
    with pytest.raises(ProgramInvalidError, match="plain relative path"):
        host.spawn(Program(argv=["x"], files=[WorkspaceFile("../x", b"")]), "bad")
    with pytest.raises(ValueError, match="run name"):
        host.spawn(Program(argv=["x"]), "../bad")


def test_slots_and_names_are_exclusive(box: Box, host: Host, host_config: HostConfig) -> None:
    lives = [box.start("import signal; signal.pause()") for _ in range(host_config.slots)]
    uids = {live.sandbox.isolation["host_uid"] for live in lives}
    with pytest.raises(NoFreeSlotError, match=f"all {host_config.slots} slots"):
        host.spawn(Program(argv=["-c", "pass"]), "one-more")
    for live in lives[1:]:
        live.sandbox.kill()
        live.finish()
    with pytest.raises(SandboxError, match="is running already"):
        host.spawn(Program(argv=["-c", "pass"]), lives[0].sandbox.run_name)
    lives[0].sandbox.kill()
    lives[0].finish()
    assert len(uids) == (host_config.slots if os.geteuid() == 0 else 1)


def test_set_up_takes_nothing_from_the_quota(
    box: Box, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    group_type = type(host._tree.group("any"))
    limit_cpu, seen = group_type.limit_cpu, []

    def limit_and_note(group: RunGroup, cpu_millis: int) -> None:
        seen.append((group.usage(), cpu_millis))
        limit_cpu(group, cpu_millis)  # type: ignore[arg-type]

    monkeypatch.setattr(group_type, "limit_cpu", limit_and_note)
    assert box.run("print(1)", cpu_millis=50).seen == 1
    usage, cpu_millis = seen[0]  # a second one may be for its last process, which dies unhindered
    assert cpu_millis == 50
    assert (usage.cpu_s > 0, usage.throttled_s) == (True, 0)
