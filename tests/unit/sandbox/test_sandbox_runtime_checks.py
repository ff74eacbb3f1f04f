"""Root file systems that cannot be taken, each named with what to do; links never lead out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import SandboxUnavailableError
from sandbox.rootfs import DIRECTORIES, FILES, find_rootfs_runtime, resolve_inside


@pytest.fixture
def root() -> Iterator[Path]:
    """A tree in which nothing is missing, in a folder that every user may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        tree = Path(folder, "tree")
        for name in (*DIRECTORIES, "usr/bin"):
            (tree / name).mkdir(parents=True)
        for name in FILES:
            (tree / name).touch()
        (tree / "usr/bin/python3.11").touch(mode=0o755)
        (tree / "usr/bin/python3").symlink_to("python3.11")
        yield tree


def complaints(root: Path) -> str:
    with pytest.raises(SandboxUnavailableError) as caught:
        find_rootfs_runtime(root)
    return str(caught.value)


def test_a_whole_tree_is_one_bind(root: Path) -> None:
    found = find_rootfs_runtime(root)
    assert found.binds == ((str(root), "/"),)
    assert (found.kind, found.python, found.whole) == ("rootfs", "/usr/bin/python3", True)


def test_the_locally_installed_python_comes_first(root: Path) -> None:
    (root / "usr/local/bin").mkdir(parents=True)
    (root / "usr/local/bin/python3").touch(mode=0o755)
    assert find_rootfs_runtime(root).python == "/usr/local/bin/python3"


def test_a_folder_that_is_not_there() -> None:
    told = complaints(Path("/nonexistent/tree"))
    assert "/nonexistent/tree is not a directory" in told
    assert "make runtime" in told


@pytest.mark.parametrize("leads_to", ["/opt/none", "../../../../../usr/bin/python3.12", "python3"])
def test_a_python_that_is_not_in_the_tree(root: Path, leads_to: str) -> None:
    (root / "usr/bin/python3").unlink()
    (root / "usr/bin/python3").symlink_to(leads_to)
    assert "has no python3: neither /usr/local/bin/python3 nor" in complaints(root)


def test_a_python_that_only_its_owner_may_run(root: Path) -> None:
    (root / "usr/bin/python3.11").chmod(0o700)
    assert "has no python3" in complaints(root)


def test_what_is_missing_is_listed_with_the_commands(root: Path) -> None:
    (root / "workspace").rmdir()
    (root / "tmp").rmdir()
    (root / "etc/hosts").unlink()
    (root / "etc/resolv.conf").unlink()
    (root / "etc/resolv.conf").symlink_to("/run/resolv.conf")
    told = complaints(root)
    assert f"mkdir -p {root}/tmp {root}/workspace" in told
    assert f"touch {root}/etc/hosts {root}/etc/resolv.conf" in told


def test_a_folder_above_that_keeps_sandboxes_out(root: Path) -> None:
    root.parent.chmod(0o600)
    told = complaints(root)
    root.parent.chmod(0o755)
    assert f"chmod a+x {root.parent}" in told


def test_links_are_followed_inside_the_tree_alone(root: Path) -> None:
    (root / "usr/bin/absolute").symlink_to("/usr/bin/python3")
    (root / "bin").symlink_to("usr/bin")
    (root / "out").symlink_to("../../../../../../etc/hostname")
    (root / "round").symlink_to("round")
    python = root / "usr/bin/python3.11"
    assert resolve_inside(root, "/usr/bin/absolute") == python
    assert resolve_inside(root, "/bin/python3") == python
    assert resolve_inside(root, "/../../bin/../bin/python3") == python
    assert resolve_inside(root, "/out") is None
    assert resolve_inside(root, "/round") is None
