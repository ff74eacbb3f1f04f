"""What reading an artifact of the usual size costs the runner before every start."""

from __future__ import annotations

import io
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from app.artifacts.archive import read_archive
from benchmarks.report import Row

TARGET_MS = 10.0
RUNS = 200
ARTIFACT_BYTES = 20_000
LIMIT_BYTES = 64 << 20
_ROOT = Path(__file__).resolve().parents[1]


def rows(runs: int = RUNS) -> list[Row]:
    """One row for each format, of an artifact of real Python files."""
    makers = {"tar.gz": _tar, "zip": _zip}
    return [_row(name, _artifact(make), runs) for name, make in makers.items()]


def _row(name: str, artifact: bytes, runs: int) -> Row:
    samples = []
    for _ in range(runs):
        begun_s = time.perf_counter()
        files = read_archive(artifact, max_unpacked_bytes=LIMIT_BYTES).files
        samples.append((time.perf_counter() - begun_s) * 1000)
    note = f"{len(artifact) / 1000:.0f} KB, {len(files)} files"
    return Row(f"unpack an artifact, {name}", samples, "ms", TARGET_MS, note)


def _artifact(make: Callable[[list[Path]], bytes]) -> bytes:
    """As many of the platform's own modules as make up the usual size."""
    sources = sorted(_ROOT.glob("app/**/*.py"))
    for count in range(1, len(sources) + 1):
        packed = make(sources[:count])
        if len(packed) >= ARTIFACT_BYTES:
            return packed
    raise SystemExit("the platform's own sources are too few for this measurement")


def _tar(sources: list[Path]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for path in sources:
            tar.add(path, path.relative_to(_ROOT))
    return buffer.getvalue()


def _zip(sources: list[Path]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sources:
            archive.write(path, path.relative_to(_ROOT))
    return buffer.getvalue()
