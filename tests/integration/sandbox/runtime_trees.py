"""A root file system for the tests: this host's Python, copied with just what it needs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from sandbox.rootfs import DIRECTORIES, FILES

PYTHON = Path("/usr/bin/python3").resolve()
LIBRARY = Path("/usr/lib") / PYTHON.name
OS_RELEASE = 'PRETTY_NAME="A tree of the tests"\n'
DATA = ("/etc/ssl/certs", "/usr/share/ca-certificates", "/usr/share/zoneinfo")


def make_tree(root: Path) -> None:
    """Fill the empty directory `root`. Merged as Debian's: /lib is a link to /usr/lib."""
    for name in ("lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in DIRECTORIES:
        (root / name).mkdir()
    for name in FILES:
        (root / name).write_text("of the tree\n")
    (root / "etc/os-release").write_text(OS_RELEASE)
    for file in (PYTHON, *_shared_libraries()):
        _copy(file, root)
    (root / "usr/bin/python3").symlink_to(PYTHON.name)
    _copy_tree(LIBRARY, root)
    for data in DATA:
        _copy_tree(Path(data), root)
    (root / "usr/lib/ssl").mkdir()
    (root / "usr/lib/ssl/certs").symlink_to("/etc/ssl/certs")
    packages = root / "usr/lib/python3/dist-packages"
    packages.mkdir(parents=True)
    (packages / "brought_by_the_tree.py").touch()


def _shared_libraries() -> list[Path]:
    """Of the interpreter and its extension modules, and the loader itself."""
    modules = sorted((LIBRARY / "lib-dynload").glob("*.so"))
    listed = subprocess.run(
        ["ldd", PYTHON, *modules], capture_output=True, text=True, check=True
    ).stdout
    return sorted({Path(found) for found in re.findall(r"(/lib\S+|/usr/lib\S+) \(0x", listed)})


def _copy(file: Path, root: Path) -> None:
    target = root / file.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, target)


def _copy_tree(directory: Path, root: Path) -> None:
    if directory.is_dir():
        shutil.copytree(directory, root / directory.relative_to("/"), symlinks=True)
