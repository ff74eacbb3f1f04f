"""From the base64 of a request to an artifact that is known to be usable."""

import base64
import binascii
import difflib
import hashlib
from dataclasses import dataclass, field

from app.artifacts.archive import Archive, ArchiveError, normalise, read_archive
from app.errors import Detail, TooLargeError, ValidationFailedError

MANIFEST_FILE = ".sequence/manifest.json"
"""Where a strategy finds its manifest, below its workspace; a file of that name is replaced."""

_FIELD = "artifact_base64"
# Comparing costs the square of a name's length, and more with names that are made for it.
_COMPARED_CHARS, _COMPARED_NAMES = 64, 100


@dataclass(frozen=True)
class Upload:
    """A checked artifact: its bytes, their hash, the normalised paths of its entrypoint and of all
    of its files."""

    content: bytes = field(repr=False)
    sha256: str
    entrypoint: str
    files: frozenset[str]

    @property
    def size_bytes(self) -> int:
        """Size of the decoded bytes."""
        return len(self.content)


def accept(
    artifact_base64: str, entrypoint: str, *, max_bytes: int, max_unpacked_bytes: int
) -> Upload:
    """Decode and check an uploaded artifact.

    Raises:
        TooLargeError: more than `max_bytes`, decoded.
        ValidationFailedError: not base64, not an archive, unusable members, no such entrypoint.
    """
    content = _decode(artifact_base64, max_bytes)
    try:
        archive = read_archive(content, max_unpacked_bytes=max_unpacked_bytes)
    except ArchiveError as error:
        raise _invalid(_FIELD, str(error)) from None
    _keep_manifest_free(archive)
    try:
        path = normalise(entrypoint)
    except ArchiveError as error:
        raise _invalid("entrypoint", str(error)) from None
    if archive.file(path) is None:
        raise _invalid("entrypoint", _missing(path, archive))
    files = frozenset(file.path for file in archive.files)
    return Upload(content, hashlib.sha256(content).hexdigest(), path, files)


def _decode(artifact_base64: str, max_bytes: int) -> bytes:
    compact = "".join(artifact_base64.split())
    if len(compact) * 3 // 4 > max_bytes + 2:
        raise _too_large(len(compact) * 3 // 4, max_bytes)
    try:
        content = base64.b64decode(compact, validate=True)
    except (binascii.Error, ValueError):
        raise _invalid(_FIELD, "is not valid base64 (RFC 4648, with padding)") from None
    if not content:
        raise _invalid(_FIELD, "the artifact is empty; send a tar, tar.gz or zip")
    if len(content) > max_bytes:
        raise _too_large(len(content), max_bytes)
    return content


def _keep_manifest_free(archive: Archive) -> None:
    folder = MANIFEST_FILE.partition("/")[0]
    if archive.file(folder) or MANIFEST_FILE in archive.directories:
        message = f"{MANIFEST_FILE} is where the platform puts the manifest; rename your {folder}"
        raise _invalid(_FIELD, message)


def _missing(path: str, archive: Archive) -> str:
    names = [file.path for file in archive.files]
    short = [name for name in names if len(name) <= _COMPARED_CHARS][:_COMPARED_NAMES]
    is_short = len(path) <= _COMPARED_CHARS
    close = difflib.get_close_matches(path, short, n=1) if is_short else []
    programs = [name for name in names if name.endswith(".py") and "/" not in name][:5]
    if close:
        return f"the entrypoint {path!r} is not in the artifact; did you mean {close[0]!r}?"
    found = f"; it holds {', '.join(programs)}" if programs else "; it holds no Python file"
    return f"the entrypoint {path!r} is not in the artifact{found}"


def _too_large(size: int, limit: int) -> TooLargeError:
    return TooLargeError(f"the artifact has {size} bytes; the limit is {limit} bytes")


def _invalid(field_name: str, message: str) -> ValidationFailedError:
    return ValidationFailedError([Detail(field_name, message)])
