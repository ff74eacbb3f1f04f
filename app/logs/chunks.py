"""The form of archived lines, and where they lie: in their rows, or in an object store."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import fsspec  # type: ignore[import-untyped] # ships no types

from app.logs import stream
from app.logs.models import LogChunk
from app.logs.stream import Batch

_FAST = 1
_HEAD, _BODY = b"head", b"body"


def pack(batches: Sequence[Batch]) -> bytes:
    """Batches without a gap between them, compressed."""
    fields = stream.encode([block for batch in batches for block in batch.blocks])
    return zlib.compress(fields[_HEAD] + b"\n" + fields[_BODY], _FAST)


def unpack(data: bytes, last_number: int, *, is_end: bool) -> Batch:
    """What was packed, as one batch that ends with this line."""
    head, _, body = zlib.decompress(data).partition(b"\n")
    batch = stream.decode(str(last_number).encode(), {_HEAD: head, _BODY: body})
    return Batch(batch.first, batch.blocks, is_end)


@dataclass(frozen=True)
class ChunkStore:
    """Where the bytes of chunks lie; with an empty `url` they are in the rows themselves.

    Errors of the store pass through, as OSError for the most part.
    """

    url: str

    def put(self, chunk: LogChunk, data: bytes) -> None:
        """Give the chunk its data; one that is put twice lies there once."""
        if not self.url:
            chunk.data = data
            return
        files, path = self._place(chunk)
        files.makedirs(path.rpartition("/")[0], exist_ok=True)
        files.pipe_file(path, data)

    def get(self, chunk: LogChunk) -> Batch:
        """The lines of a chunk."""
        data = chunk.data
        if data is None:
            files, path = self._place(chunk)
            data = cast(bytes, files.cat_file(path))
        return unpack(data, chunk.last_number, is_end=chunk.is_end)

    def drop(self, chunks: Sequence[LogChunk]) -> None:
        """Remove what these have outside their rows; it is no error if it is gone already."""
        for chunk in chunks if self.url else ():
            files, path = self._place(chunk)
            if files.exists(path):
                files.rm_file(path)

    def drop_strategy(self, strategy_id: str) -> None:
        """Remove everything of a strategy outside the database."""
        if not self.url:
            return
        files, root = _files(self.url)
        path = f"{root}/{strategy_id}"
        if files.exists(path):
            files.rm(path, recursive=True)

    def drop_runs_but(self, strategy_id: str, known: set[str]) -> int:
        """Remove the objects of a strategy's runs that are not among these; how many runs."""
        if not self.url:
            return 0
        files, root = _files(self.url)
        path = f"{root}/{strategy_id}"
        found = files.ls(path, detail=False) if files.exists(path) else []
        strays = [name for name in found if str(name).rstrip("/").rpartition("/")[2] not in known]
        for name in strays:
            files.rm(name, recursive=True)
        return len(strays)

    def strategies(self) -> list[str]:
        """Ids of the strategies that have objects."""
        if not self.url:
            return []
        files, root = _files(self.url)
        found = files.ls(root, detail=False) if files.exists(root) else []
        return [str(name).rstrip("/").rpartition("/")[2] for name in found]

    def _place(self, chunk: LogChunk) -> tuple[Any, str]:
        files, root = _files(self.url)
        # Its end is part of the name: of two that raced, the row names the one that won.
        name = f"{chunk.after_number:012}-{chunk.last_number:012}.z"
        return files, f"{root}/{chunk.strategy_id}/{chunk.run_id}/{name}"


def _files(url: str) -> tuple[Any, str]:
    files, root = fsspec.core.url_to_fs(url)
    return files, str(root).rstrip("/")
