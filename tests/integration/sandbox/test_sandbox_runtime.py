"""The same programs on the host's interpreter and in a root file system: one Python either way."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from runtime_trees import OS_RELEASE, make_tree
from sealed import Box

from sandbox import Host, HostConfig, SandboxUnavailableError, WorkspaceFile

TOP = {"dev", "etc", "lib", "proc", "tmp", "usr", "workspace"}
ETC = {"group", "hosts", "nsswitch.conf", "passwd", "resolv.conf", "ssl"}
LIST = """
import json, os
def listed(path):
    try:
        return sorted(os.listdir(path))
    except OSError as error:
        return error.errno
"""


@pytest.fixture(scope="module")
def tree() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        root = Path(folder, "tree")
        root.mkdir()
        make_tree(root)
        yield root


@pytest.fixture(scope="module", params=["host", "rootfs"])
def runtime_host(request: pytest.FixtureRequest, tree: Path) -> Iterator[Host]:
    rootfs = tree if request.param == "rootfs" else None
    host = Host.open(config(request.param, rootfs))
    yield host
    host.close()


@pytest.fixture
def box(runtime_host: Host) -> Iterator[Box]:
    box = Box(runtime_host)
    yield box
    box.close()


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.node.callspec.params["runtime_host"])


def config(name: str, rootfs: Path | None) -> HostConfig:
    first_uid = 380_000
    runner = f"runtime-{name}-{os.getpid()}"
    return HostConfig(name=runner, slots=4, ready_slots=1, first_uid=first_uid, rootfs=rootfs)


def test_what_isolation_says_of_the_runtime(box: Box, kind: str) -> None:
    live = box.start(
        "import json, sys\nprint(json.dumps([sys.version.split()[0], sys.executable]))"
    )
    isolation = live.sandbox.isolation
    version, executable = live.finish().seen
    assert (isolation["runtime"], isolation["python"]) == (kind, version)
    assert executable == "/usr/bin/python3"


def test_the_standard_library(box: Box) -> None:
    result = box.run(
        """
        import asyncio, bz2, ctypes, curses, decimal, hashlib, json, lzma, multiprocessing, sqlite3
        import ssl, subprocess, sys, uuid, zlib, zoneinfo
        if __name__ == "__main__":
            child = [sys.executable, "-c", "print(7)"]
            with multiprocessing.Pool(1) as pool:
                power = pool.apply(pow, (2, 10))
            print(json.dumps([
                asyncio.run(asyncio.sleep(0, 5)),
                power,
                sqlite3.connect(":memory:").execute("select 1 + 1").fetchone()[0],
                ssl.create_default_context().cert_store_stats()["x509_ca"] > 0
                    or ssl.get_default_verify_paths().capath is not None,
                str(zoneinfo.ZoneInfo("America/New_York")),
                subprocess.run(child, capture_output=True, text=True).stdout,
            ]))
        """
    )
    assert result.seen == [5, 1024, 2, True, "America/New_York", "7\n"]


def test_a_script_of_the_workspace_finds_its_interpreter(box: Box) -> None:
    tool = WorkspaceFile("tool", b"#!/usr/bin/python3\nprint('tool ran')\n", executable=True)
    result = box.run("import os; os.execv('/workspace/tool', ['tool'])", files=[tool])
    assert result.stdout == "tool ran\n"


def test_nothing_of_the_host_is_listed(box: Box, kind: str) -> None:
    places = ["/", "/etc", "/usr", "/usr/bin", "/home", "/root", "/var", "/run", "/opt", "/srv"]
    result = box.run(LIST + f"print(json.dumps([listed(place) for place in {places!r}]))")
    top, etc, usr, programs, *others = result.seen
    absent = 2  # ENOENT
    assert set(top) - {"lib64"} == TOP
    assert set(etc) - {"os-release"} == ETC
    assert set(usr) <= {"bin", "lib", "lib64", "local", "share"}
    assert [name for name in programs if not name.startswith("python3")] == []
    assert others == [absent] * 6
    assert ("os-release" in etc) == (kind == "rootfs")


def test_site_packages_are_those_of_the_tree(box: Box, kind: str) -> None:
    """The host's are nobody's business; what a root file system has was put there on purpose."""
    result = box.run(
        """
        import importlib.util, json, sys
        print(json.dumps([
            [path for path in sys.path if "packages" in path],
            importlib.util.find_spec("brought_by_the_tree") is not None,
        ]))
        """
    )
    brought = kind == "rootfs"
    assert result.seen == [["/usr/lib/python3/dist-packages"] if brought else [], brought]


def test_the_files_of_etc_are_ours(box: Box, kind: str) -> None:
    result = box.run(
        """
        import json, os, pathlib
        read = lambda name: pathlib.Path("/etc", name).read_text()
        names = ["passwd", "group", "hosts", "nsswitch.conf", "resolv.conf"]
        release = read("os-release") if os.path.exists("/etc/os-release") else None
        writable = [name for name in names if os.access("/etc/" + name, os.W_OK)]
        print(json.dumps(["".join(map(read, names)), release, writable]))
        """
    )
    ours, release, writable = result.seen
    assert ours.startswith("sandbox:x:1000:1000::/workspace:")
    assert "127.0.0.1 localhost sandbox" in ours
    assert "of the tree" not in ours
    assert release == (OS_RELEASE if kind == "rootfs" else None)
    assert writable == []


def test_it_cannot_be_written(box: Box, tree: Path) -> None:
    before = sorted(str(path) for path in tree.rglob("*"))
    result = box.run(
        """
        import json, os
        seen = []
        for path in ("/new", "/etc/new", "/etc/ssl/new", "/usr/bin/python3", "/usr/lib/new"):
            try:
                open(path, "w")
                seen.append(0)
            except OSError as error:
                seen.append(error.errno)
        print(json.dumps(seen))
        """
    )
    assert set(result.seen) <= {13, 30}  # EACCES, EROFS
    assert sorted(str(path) for path in tree.rglob("*")) == before


def test_a_tree_whose_python_does_not_run_is_refused(tree: Path) -> None:
    library = next((tree / "usr/lib").glob("*-linux-gnu/libexpat.so.1"))
    aside = library.with_name("aside")
    library.rename(aside)
    try:
        with pytest.raises(SandboxUnavailableError, match=r"trial run .*libexpat"):
            Host.open(config("broken", tree))
    finally:
        aside.rename(library)
