"""The published client, copied from its installed package into the artifact."""

import importlib.util
from collections.abc import Collection
from pathlib import Path

from sequence_cli.errors import CliError
from sequence_cli.project.ignore_rules import never_packed
from sequence_cli.project.tree import SourceFile

PACKAGE = "sequence_markets"
DISTRIBUTION = "sequence-markets"


def brings_own_client(paths: Collection[str]) -> bool:
    """True when the project's packed files contain a client of its own."""
    return f"{PACKAGE}.py" in paths or any(path.startswith(f"{PACKAGE}/") for path in paths)


def client_files() -> list[SourceFile]:
    """The installed client's files under ``sequence_markets/``, found without importing it.

    Raises CliError when it is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise CliError(
            f"the client library is not installed beside this command: "
            f"run `pip install {DISTRIBUTION}`, or put {PACKAGE}/ into the project"
        )
    root = Path(spec.origin).parent
    return [
        SourceFile(f"{PACKAGE}/{path.relative_to(root).as_posix()}", path.read_bytes(), False)
        for path in sorted(root.rglob("*"))
        if path.is_file() and not any(map(never_packed, path.relative_to(root).parts))
    ]


def client_version() -> str:
    """The installed client's version; empty when its package says none."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return ""
