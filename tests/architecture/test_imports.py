"""Imports point one way, and importing does nothing."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("app", "market", "tasks", "sandbox", "sequence_cli")
FORBIDDEN = {
    "app": {"market", "tasks", "sandbox", "sequence_cli"},
    "market": {"tasks", "sandbox", "sequence_cli"},
    "tasks": {"market", "sequence_cli"},
    "sandbox": {"app", "market", "tasks", "sequence_cli"},
    "sequence_cli": {"app", "market", "tasks", "sandbox"},
}
# Where the parts are put together: nothing else of the app knows the market.
COMPOSITION = {"app.wsgi", "app.migrations.env", "app.openapi.__main__"}
# What of the market may build on the app; symbols, engine, sources and orders stand alone.
ON_THE_APP = {f"market.{name}" for name in ("calls", "feed", "service", "store", "stream", "web")}
# The composition roots: importing one of them starts a process's life.
ENTRY_POINTS = {"app.wsgi", "app.migrations.env", "tasks.worker", "tasks.flower_app"}
MAX_LINES = 400


def modules() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield str(node.module)


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_imports_point_one_way(path: Path) -> None:
    package = dotted(path).partition(".")[0]
    roots = {name.partition(".")[0] for name in imported(path)}
    forbidden = FORBIDDEN[package]
    if dotted(path) in COMPOSITION:
        forbidden = forbidden - {"market"}
    if package == "market" and ".".join(dotted(path).split(".")[:2]) not in ON_THE_APP:
        forbidden = forbidden | {"app"}
    assert not roots & forbidden
    if package == "sandbox":
        assert roots <= {*sys.stdlib_module_names, "sandbox"}


def test_no_module_is_longer_than_a_person_can_hold() -> None:
    lengths = {dotted(path): len(path.read_text().splitlines()) for path in modules()}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_every_public_name_says_what_it_is() -> None:
    mute = []
    for path in modules():
        if "versions" in path.parts:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if tree.body and ast.get_docstring(tree) is None:
            mute.append(dotted(path))
        kinds = (ast.FunctionDef, ast.ClassDef)
        mute += [
            f"{dotted(path)}.{node.name}"
            for node in tree.body
            if isinstance(node, kinds)
            and not node.name.startswith("_")
            and ast.get_docstring(node) is None
        ]
    assert mute == []


def test_importing_does_no_io() -> None:
    """Every module, in one fresh interpreter that refuses sockets, processes and written files."""
    names = [dotted(path) for path in modules() if dotted(path) not in ENTRY_POINTS]
    names = [name for name in names if ".versions." not in name]
    program = f"""
import sys
watched = ("socket.connect", "socket.bind", "subprocess.Popen", "os.fork", "os.exec", "os.mkdir")
def refuse(event, arguments):
    if event in watched:
        raise RuntimeError(f"an import did {{event}} {{arguments}}")
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        raise RuntimeError(f"an import wrote {{arguments[0]}}")
import importlib
importlib.import_module("gevent")
sys.dont_write_bytecode = True
sys.addaudithook(refuse)
for name in {names!r}:
    importlib.import_module(name)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
