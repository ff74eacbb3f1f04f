"""Control groups of the host, looked for while others come and go."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from pathlib import Path

_TOP = Path("/sys/fs/cgroup")


def control_groups(pattern: str) -> list[Path]:
    """Groups in every hierarchy whose path below it ends like `pattern`, such as `sequence-a/*`.

    Unlike `Path.glob`, `os.walk` does not mind a folder that goes away while it looks.
    """
    found = (Path(folder) for folder, _, _ in os.walk(_TOP))
    return [path for path in found if fnmatchcase(str(path), f"*/{pattern}")]


def pids_of(run_id: str) -> list[str]:
    """The processes of a run, as the kernel counts them."""
    groups = control_groups(run_id)
    return sorted({pid for group in groups for pid in _read(group / "cgroup.procs").split()})


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""  # the run was cleared away meanwhile
