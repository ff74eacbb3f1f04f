"""Runs the doctor as a process and reads what it found."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]


def run(
    *arguments: str, before: Sequence[str] = (), cwd: Path = ROOT, **options: Any
) -> subprocess.CompletedProcess[str]:
    python = "/usr/bin/python3" if options else sys.executable
    return subprocess.run(
        [*before, python, "-B", "-m", "sandbox.doctor", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


def findings(text: str, level: str) -> Mapping[str, Any]:
    """What was found on this level, with its remedies."""
    report = json.loads(text)
    assert report["fit"] == all(entry["level"] != "FAIL" for entry in report["findings"])
    return {
        entry["what"]: entry["remedy"] for entry in report["findings"] if entry["level"] == level
    }
