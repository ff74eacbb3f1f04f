"""Reproducible tar.gz: the same files give the same bytes."""

import gzip
import io
import tarfile
from collections.abc import Iterable

from sequence_cli.project.tree import SourceFile

_COMPRESSION_LEVEL = 6


def pack(files: Iterable[SourceFile]) -> bytes:
    """A tar.gz of ``files`` sorted by path, without times, owners or folders of their own.

    Modes are 0755 for executables and 0644 for all else. Two packings differ only when a
    path, a content or an executable bit does.
    """
    buffer = io.BytesIO()
    with (
        gzip.GzipFile("", "wb", _COMPRESSION_LEVEL, buffer, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for file in sorted(files, key=lambda file: file.path):
            member = tarfile.TarInfo(file.path)
            member.size = len(file.content)
            member.mode = 0o755 if file.executable else 0o644
            archive.addfile(member, io.BytesIO(file.content))
    return buffer.getvalue()
