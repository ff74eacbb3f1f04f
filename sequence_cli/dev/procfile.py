"""The Procfile: the one place that says which command each process is."""

import re
from pathlib import Path

from sequence_cli.errors import CliError

_LINE = re.compile(r"([A-Za-z0-9_-]+):\s*(.+)")


def project_root() -> Path:
    """The folder with the Procfile.

    Raises:
        CliError: the command was installed without the project around it.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / "Procfile").is_file():
        raise CliError(
            "this command needs the platform's own folder: clone the repository and run it there"
        )
    return root


def read(root: Path) -> dict[str, str]:
    """Command line of each process type."""
    lines = (root / "Procfile").read_text().splitlines()
    return {match[1]: match[2] for line in lines if (match := _LINE.fullmatch(line.strip()))}
