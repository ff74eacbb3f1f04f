"""A field of one of the kernel's files of `Name: value` lines: /proc/PID/status, fdinfo."""

from __future__ import annotations

from pathlib import Path


def read(file: Path, name: str) -> str:
    """Its value. Raises FileNotFoundError or ProcessLookupError when the process, or this field of
    it, is gone."""
    # Among the lines is the program's name, by its own choice any bytes but a line feed.
    for line in file.read_bytes().split(b"\n"):
        if line.startswith(f"{name}:".encode()):
            return line.partition(b":")[2].strip().decode("ascii")
    raise ProcessLookupError(f"{file} has no {name}")
