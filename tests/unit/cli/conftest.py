"""Fixtures of the command line's tests: a clean home, a local API, a project folder."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cli_api_server import LocalApi, local_api
from cli_samples import KEY, MINIMAL_TOML

from sequence_cli.main import main


@dataclass(frozen=True)
class Result:
    status: int
    out: str
    err: str


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder without configuration, and no SEQUENCE_ variable."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for name in ("SEQUENCE_API_KEY", "SEQUENCE_API_URL", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def api(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalApi]:  # noqa: ARG001
    """A local API that the environment points at, with a key."""
    with local_api() as server:
        monkeypatch.setenv("SEQUENCE_API_URL", server.url)
        monkeypatch.setenv("SEQUENCE_API_KEY", KEY)
        yield server


@pytest.fixture
def run(home: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:  # noqa: ARG001
    """Run one command line in this process."""

    def run_command(*arguments: object) -> Result:
        capfd.readouterr()
        status = main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err
        return Result(status, captured.out, captured.err)

    return run_command


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A minimal project that deploys."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Sequence.toml").write_text(MINIMAL_TOML)
    (folder / "main.py").write_text("print('hello')\n")
    return folder
