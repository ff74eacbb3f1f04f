"""The second disk of `make test-v2`: the sandbox, its tests, and pytest as it is installed here.

`stage.py FOLDER MACHINE [PYTEST_ARGUMENT ...]` fills FOLDER for a machine (x86_64, aarch64). Run it
with the Python of the project's .venv.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PARTS = (
    "pyproject.toml",
    "sandbox",
    "deploy/v2",
    "tests/unit/sandbox",
    "tests/integration/sandbox",
    "tests/hostile",
    "tests/support/__init__.py",
    "tests/support/groups.py",
)
TEST_TOOLS = ("pytest", "hypothesis")


def copy_project(folder: Path) -> None:
    for part in PARTS:
        source, target = ROOT / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)


def with_dependencies(names: tuple[str, ...]) -> dict[str, Distribution]:
    """The installed distributions of these names and of all that they need."""
    found: dict[str, Distribution] = {}
    wanted = list(names)
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        found[name] = distribution(name)
        for line in found[name].requires or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                wanted.append(requirement.name)
    return found


def copy_packages(folder: Path) -> None:
    for found in with_dependencies(TEST_TOOLS).values():
        for file in found.files or ():
            source = Path(str(found.locate_file(file)))
            # Scripts lie outside, and byte code is the other interpreter's to make.
            if ".." not in file.parts and source.suffix != ".pyc":
                target = folder / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)


def locked(name: str) -> str:
    """The version of a distribution and its hashes, as in requirements-dev.txt."""
    requirements = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8")
    pinned = re.search(rf"^{name}==[^\\\n]*(?:\\\n[^\\\n]*)*", requirements, re.MULTILINE)
    if pinned is None:
        raise SystemExit(f"stage.py: no {name} in requirements-dev.txt; `make lock` writes it")
    return pinned[0]


def add_native_modules(folder: Path, machine: str) -> None:
    """Put those of another machine beside this one's: their names hold the machine's."""
    with tempfile.TemporaryDirectory() as scratch:
        wheels, requirements = Path(scratch, "wheels"), Path(scratch, "requirements.txt")
        pins = (locked(name) for name in with_dependencies(TEST_TOOLS))
        requirements.write_text("\n".join(pins), encoding="utf-8")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        pip += ["--require-hashes", "--no-deps", "--only-binary=:all:", "--no-compile"]
        pip += [f"--platform=manylinux2014_{machine}", f"--target={wheels}", "-r", requirements]
        subprocess.run(pip, check=True)
        for module in wheels.rglob("*.so"):
            shutil.copy(module, folder / module.relative_to(wheels))


def main(folder: Path, machine: str, pytest_arguments: list[str]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    copy_project(folder)
    copy_packages(folder / "packages")
    if machine != os.uname().machine:
        add_native_modules(folder / "packages", machine)
    (folder / "chosen").write_text(" ".join(pytest_arguments), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
