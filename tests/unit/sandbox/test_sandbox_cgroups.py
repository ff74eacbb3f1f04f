"""Where control groups are found, and what is written into which file."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import pytest

from sandbox import Limits, SandboxUnavailableError
from sandbox.cgroups import detect, groups, mounts, v1, v2

LIMITS = Limits(cpu_millis=250, memory_bytes=64 << 20, pids_max=77)

V1_MOUNTS = """\
25 20 0:22 / /sys/fs/cgroup ro - tmpfs tmpfs ro
30 25 0:26 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory
31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
32 25 0:28 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
33 25 0:29 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer
34 25 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""
V1_MEMBER = """\
12:memory:/jobs/a
11:cpu,cpuacct:/
10:pids:/user.slice
9:freezer:/
1:name=systemd:/user.slice
0::/user.slice
"""
V2_MOUNTS = "29 22 0:25 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"


def test_hybrid_host_with_shared_mounts() -> None:
    found = mounts.find(V1_MOUNTS, V1_MEMBER)
    assert found.v1 == {
        "memory": Path("/sys/fs/cgroup/memory/jobs/a"),
        "cpu": Path("/sys/fs/cgroup/cpu,cpuacct"),
        "cpuacct": Path("/sys/fs/cgroup/cpu,cpuacct"),
        "pids": Path("/sys/fs/cgroup/pids/user.slice"),
        "freezer": Path("/sys/fs/cgroup/freezer"),
    }
    assert found.v2 == Path("/sys/fs/cgroup/unified/user.slice")
    assert detect("r", found).version == "v1"


def test_unified_host() -> None:
    found = mounts.find(V2_MOUNTS, "0::/user.slice/app.scope\n")
    assert found == mounts.Hierarchies({}, Path("/sys/fs/cgroup/user.slice/app.scope"))


def test_container_that_sees_its_own_part_of_a_mount() -> None:
    line = "30 25 0:26 /docker/abc /sys/fs/cgroup/mem\\040ory ro - cgroup cgroup rw,memory\n"
    found = mounts.find(line, "4:memory:/docker/abc/inner\n")
    assert found.v1 == {"memory": Path("/sys/fs/cgroup/mem ory/inner")}
    assert mounts.find(line, "4:memory:/docker/abcdef\n").v1 == {}


def test_missing_hierarchies_are_named() -> None:
    part = "\n".join(line for line in V1_MOUNTS.splitlines() if "freezer" not in line)
    with pytest.raises(SandboxUnavailableError, match=r"no visible hierarchy for freezer"):
        detect("r", mounts.find(part, V1_MEMBER))
    with pytest.raises(SandboxUnavailableError, match="no control group file system"):
        detect("r", mounts.Hierarchies({}, None))


def files(directory: Path, *names: str) -> None:
    """Stand-ins for what the kernel puts into a new directory."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        (directory / name).touch()


def contents(root: Path) -> dict[str, str]:
    return {
        str(file.relative_to(root)): file.read_text()
        for file in root.rglob("*")
        if file.is_file() and file.read_text()
    }


@pytest.mark.parametrize("swap_is_counted", [True, False])
def test_limits_v1(tmp_path: Path, swap_is_counted: bool) -> None:
    tree = v1.TreeV1("r", {name: tmp_path / name for name in v1.CONTROLLERS})
    swap = ["memory.memsw.limit_in_bytes"] if swap_is_counted else []
    run = "sequence-r/run"
    tcp = "memory.kmem.tcp.limit_in_bytes"
    files(tmp_path / "memory" / run, "memory.limit_in_bytes", "memory.swappiness", tcp, *swap)
    files(tmp_path / "pids" / run, "pids.max")
    files(tmp_path / "cpu" / run, "cpu.cfs_period_us", "cpu.cfs_quota_us")
    files(tmp_path / "cpuacct" / run)
    files(tmp_path / "freezer" / run)
    group = tree.create("run", LIMITS)
    expected = {
        f"memory/{run}/memory.limit_in_bytes": "67108864",
        f"memory/{run}/memory.swappiness": "0",
        f"memory/{run}/{tcp}": str(LIMITS.memory_bytes // 64),
        f"pids/{run}/pids.max": "77",
    }
    if swap_is_counted:
        expected[f"memory/{run}/memory.memsw.limit_in_bytes"] = "67108864"
    assert contents(tmp_path) == expected
    group.limit_cpu(LIMITS.cpu_millis)
    expected[f"cpu/{run}/cpu.cfs_period_us"] = "100000"
    expected[f"cpu/{run}/cpu.cfs_quota_us"] = "25000"
    assert contents(tmp_path) == expected
    assert len(group.join_files) == 5


def test_limits_v2(tmp_path: Path) -> None:
    tree = v2.TreeV2("r", tmp_path)
    run = tmp_path / "sequence-r" / "run"
    files(run, "memory.max", "memory.swap.max", "memory.oom.group", "pids.max", "cpu.max")
    group = tree.create("run", LIMITS)
    group.limit_cpu(LIMITS.cpu_millis)
    assert contents(run) == {
        "memory.max": "67108864",
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "pids.max": "77",
        "cpu.max": "25000 100000",
    }
    assert group.join_files == (run / "cgroup.procs",)


def test_a_limit_that_cannot_be_set_is_an_error(tmp_path: Path) -> None:
    files(tmp_path / "sequence-r" / "run", "memory.max")
    with pytest.raises(FileNotFoundError, match=r"memory\.oom\.group"):
        v2.TreeV2("r", tmp_path).create("run", LIMITS)


def test_usage_v2(tmp_path: Path) -> None:
    for name, text in {
        "memory.current": "4096\n",
        "cpu.stat": "usage_usec 1500000\nuser_usec 1\nthrottled_usec 250000\n",
        "memory.events": "low 0\noom 2\noom_kill 1\noom_group_kill 1\n",
        "pids.current": "3\n",
    }.items():
        (tmp_path / name).write_text(text)
    group = v2.RunGroupV2(tmp_path)
    assert astuple(group.usage()) == (4096, None, 1.5, 0.25, 1, 3)
    (tmp_path / "memory.peak").write_text("8192\n")
    assert group.usage().memory_peak_bytes == 8192


def test_v2_moves_the_runner_to_a_leaf_only_when_it_must(tmp_path: Path) -> None:
    files(tmp_path, "cgroup.procs")
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids io\n")
    (tmp_path / "cgroup.subtree_control").write_text("cpu memory pids\n")
    files(tmp_path / "sequence-r")
    (tmp_path / "sequence-r" / "cgroup.subtree_control").write_text("cpu memory pids\n")
    assert v2.TreeV2("r", tmp_path).prepare() == []
    assert not (tmp_path / v2.LEAF).exists()
    (tmp_path / v2.LEAF).mkdir()
    from_leaf = v2.TreeV2("r", tmp_path / v2.LEAF)
    assert from_leaf.lock_directory() == tmp_path / "sequence-r"
    assert from_leaf.idle_file() == tmp_path / v2.LEAF / "cgroup.procs"


def test_v2_without_delegation_names_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("pids\n")
    (problem,) = v2.TreeV2("r", tmp_path).prepare()
    assert "lacks the controllers ['memory', 'cpu']" in problem.what
    assert "Delegate=yes" in problem.remedy


def test_v1_without_permission_names_every_directory(tmp_path: Path) -> None:
    # A file where the parent should be: refused to root as well.
    (tmp_path / "memory").touch()
    parents = {name: tmp_path / name for name in v1.CONTROLLERS}
    for name in v1.CONTROLLERS[1:]:
        parents[name].mkdir()
    (problem,) = v1.TreeV1("r", parents).prepare()
    assert str(tmp_path / "memory/sequence-r") in problem.what
    assert f"mkdir -p {tmp_path}/memory/sequence-r && chown" in problem.remedy


def test_a_file_that_is_not_there_is_never_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        groups.write(tmp_path / "memory.max", 1)
