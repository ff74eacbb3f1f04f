"""Reading an uploaded archive: tar, tar.gz or zip, in memory, bounded, and without trust.

Nothing is ever written from here: members come back as values, and only regular files and
directories with plain relative names do.
"""

import io
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

MAX_FILES = 1499
"""Files and directories: with the manifest, more do not fit into the sandbox's argument list."""

_MAX_NAME_BYTES = 255
_MAX_PATH_BYTES = 1024
_TAR_BYTES_PER_MEMBER = 3 * 512
_GZIP_MAGIC = b"\x1f\x8b"
_MAX_GZIP_MEMBERS = 100
_ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
_TAR_MAGIC = (257, b"ustar")
# The others' decompressors are unbounded: 4 KB of bzip2 may become gigabytes in one call.
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# Twice as many members as are allowed, each with a long name.
_MAX_ZIP_DIRECTORY_BYTES = 4 << 20
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    ValueError,
)


class ArchiveError(Exception):
    """The archive cannot be used; the message says which member and why."""


@dataclass(frozen=True)
class ArchiveFile:
    """One regular file of an archive; `path` is relative, with `/`, and normalised."""

    path: str
    content: bytes = field(repr=False)
    is_executable: bool = False


@dataclass(frozen=True)
class Archive:
    """What an artifact unpacks to."""

    files: tuple[ArchiveFile, ...]
    directories: tuple[str, ...]

    def file(self, path: str) -> ArchiveFile | None:
        """The file at this path, or None."""
        return next((file for file in self.files if file.path == path), None)


@dataclass
class _Collector:
    """Gathers members and holds the limits that go over all of them."""

    max_bytes: int
    files: dict[str, ArchiveFile] = field(default_factory=dict)
    directories: set[str] = field(default_factory=set)
    total_bytes: int = 0
    members: int = 0

    def count_member(self) -> None:
        self.members += 1
        self.hold_count(self.members // 2)

    @staticmethod
    def hold_count(count: int) -> None:
        if count > MAX_FILES:
            raise ArchiveError(f"the archive has more than {MAX_FILES} files and directories")

    def add_file(self, path: str, content: bytes, *, is_executable: bool) -> None:
        if not path:
            raise ArchiveError("the archive has a file without a name")
        if path in self.files:
            raise ArchiveError(f"the archive holds {path!r} twice")
        self.total_bytes += len(content)
        if self.total_bytes > self.max_bytes:
            raise ArchiveError(
                f"unpacked, the archive is above the limit of {self.max_bytes} bytes"
            )
        self.files[path] = ArchiveFile(path, content, is_executable)
        self.hold_count(len(self.files))

    def result(self) -> Archive:
        for path in (*self.files, *self.directories):
            self._add_parents(path)
        clash = self.directories.intersection(self.files)
        if clash:
            raise ArchiveError(f"{clash.pop()!r} is both a file and a directory in the archive")
        self.hold_count(len(self.files) + len(self.directories))
        _hold_distinct((*self.files, *self.directories))
        return Archive(tuple(self.files.values()), tuple(sorted(self.directories)))

    def _add_parents(self, path: str) -> None:
        """Up to the first that is known: a deep one is walked once, whatever lies in it."""
        parent = path.rpartition("/")[0]
        while parent and parent not in self.directories:
            if parent in self.files:
                raise ArchiveError(f"{parent!r} is both a file and a directory in the archive")
            self.directories.add(parent)
            self.hold_count(len(self.files) + len(self.directories))
            parent = parent.rpartition("/")[0]


def _hold_distinct(paths: Iterable[str]) -> None:
    """Names that Linux tells apart and other systems do not: whoever packs there, or looks at the
    project there, sees one of two files and not the one that runs."""
    seen: dict[str, str] = {}
    for path in paths:
        other = seen.setdefault(unicodedata.normalize("NFC", path).casefold(), path)
        if other != path:
            raise ArchiveError(
                f"{other!r} and {path!r} are one name on systems that do not tell case or accents"
                " apart; rename one"
            )


def read_archive(content: bytes, *, max_unpacked_bytes: int) -> Archive:
    """Read a tar, tar.gz or zip.

    Raises:
        ArchiveError: not such an archive, damaged, too large, or with a member that is neither a
            regular file nor a directory below the root.
    """
    collector = _Collector(max_unpacked_bytes)
    if content.startswith(_ZIP_MAGICS):
        _read_zip(content, collector)
    elif content.startswith(_GZIP_MAGIC):
        _read_tar(_gunzip(content, max_unpacked_bytes), collector)
    elif content[_TAR_MAGIC[0] :].startswith(_TAR_MAGIC[1]):
        _read_tar(content, collector)
    else:
        raise ArchiveError("the artifact is not an archive: tar, tar.gz and zip are understood")
    if not collector.files:
        raise ArchiveError("the archive is empty: it holds no file")
    return collector.result()


def normalise(name: str) -> str:
    """The plain relative path that a member's name stands for; empty for the root itself.

    Raises:
        ArchiveError: absolute, climbing out, too long, or with characters no file name needs.
    """
    if name.startswith(("/", "\\")):
        raise ArchiveError(f"{name!r} is an absolute path; archives hold relative ones")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ArchiveError(f"{name!r} climbs out of the archive with '..'")
    path = "/".join(parts)
    try:
        encoded = [part.encode() for part in parts]
    except UnicodeEncodeError:
        raise ArchiveError(f"{name!r} is not a UTF-8 name") from None
    if not path.isprintable():
        raise ArchiveError(f"{name!r} holds control characters")
    too_long = any(len(part) > _MAX_NAME_BYTES for part in encoded)
    if too_long or len(path.encode()) > _MAX_PATH_BYTES:
        raise ArchiveError(f"{name[:60]!r}... is too long a name")
    return path


def _read_tar(content: bytes, collector: _Collector) -> None:
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
            for member in tar:
                collector.count_member()
                _take_tar_member(tar, member, collector)
    except (tarfile.TarError, EOFError, OverflowError, ValueError, RecursionError) as error:
        raise ArchiveError(f"the tar archive is damaged: {error}") from None


def _take_tar_member(tar: tarfile.TarFile, member: tarfile.TarInfo, collector: _Collector) -> None:
    path = normalise(member.name)
    if member.isdir():
        if path:
            collector.directories.add(path)
        return
    if not member.isreg() or member.issparse():
        kind = "a link" if member.issym() or member.islnk() else "not a regular file"
        raise ArchiveError(f"{member.name!r} is {kind}; archives hold regular files only")
    reader = tar.extractfile(member)
    data = reader.read() if reader else b""
    collector.add_file(path, data, is_executable=bool(member.mode & 0o100))


class _ZipBytes(io.BytesIO):
    """`zipfile` reads the directory in one go and keeps all of its entries, 46 bytes each: 10 MB
    of them would take 400 MB and seconds before the first could be counted."""

    is_directory_read = False

    def read(self, size: int | None = -1, /) -> bytes:
        if not self.is_directory_read and size is not None and size > _MAX_ZIP_DIRECTORY_BYTES:
            raise zipfile.BadZipFile(
                f"its directory is larger than {_MAX_ZIP_DIRECTORY_BYTES} bytes"
            )
        return super().read(size)


def _read_zip(content: bytes, collector: _Collector) -> None:
    try:
        source = _ZipBytes(content)
        with zipfile.ZipFile(source) as archive:
            source.is_directory_read = True
            for member in archive.infolist():
                collector.count_member()
                _take_zip_member(archive, member, collector)
    except _ZIP_ERRORS as error:
        raise ArchiveError(f"the zip archive is damaged: {error}") from None


def _take_zip_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, collector: _Collector
) -> None:
    path = normalise(member.filename)
    # `is_dir` looks at the name's last character.
    if member.filename and member.is_dir():
        if path:
            collector.directories.add(path)
        return
    if member.flag_bits & 0x1:
        raise ArchiveError(f"{member.filename!r} is encrypted; upload it without a password")
    if member.compress_type not in _ZIP_METHODS:
        raise ArchiveError(
            f"{member.filename!r} is compressed in an unusual way; "
            "use plain zip (deflate) or tar.gz"
        )
    mode = member.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise ArchiveError(f"{member.filename!r} is a link or device; only regular files may be")
    room = collector.max_bytes - collector.total_bytes
    with archive.open(member) as reader:
        data = reader.read(room + 1)
    collector.add_file(path, data, is_executable=bool(mode & 0o100))


def _gunzip(content: bytes, max_unpacked_bytes: int) -> bytes:
    # Every member costs a header and padding beyond its own bytes.
    room = max_unpacked_bytes + 2 * MAX_FILES * _TAR_BYTES_PER_MEMBER
    chunks = list(_decompressed(content, room + 1))
    if sum(map(len, chunks)) > room:
        raise ArchiveError(
            f"unpacked, the archive is above the limit of {max_unpacked_bytes} bytes"
        )
    return b"".join(chunks)


def _decompressed(content: bytes, room: int) -> Iterator[bytes]:
    """The bytes of every gzip member in turn, `room` at the most."""
    members = 0
    while content and room > 0:
        members += 1
        if members > _MAX_GZIP_MEMBERS:
            # Each costs a copy of all that follow.
            raise ArchiveError(
                f"the gzip data has more than {_MAX_GZIP_MEMBERS} members; compress it in one go"
            )
        inflater = zlib.decompressobj(wbits=31)
        try:
            chunk = inflater.decompress(content, room)
        except zlib.error as error:
            raise ArchiveError(f"the gzip data is damaged: {error}") from None
        yield chunk
        room -= len(chunk)
        if room > 0 and not inflater.eof:
            raise ArchiveError("the gzip data is damaged: it is cut short")
        content = inflater.unused_data.lstrip(b"\0")
