"""Archives that no archiver would write: refused in words, or plain files; never anything else."""

from __future__ import annotations

import contextlib
import gzip
import io
import struct
import tarfile
import time
import tracemalloc
import unicodedata
import zipfile
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.artifacts.archive import MAX_FILES, ArchiveError, read_archive

LIMIT = 64 * 1024
PEAK_BYTES = 16 << 20
LONGEST_S = 2.0
BLOCK = 512
QUIET = settings(
    deadline=None,
    max_examples=400,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

_ODD_NAMES = [
    b"../x",
    b"/etc/passwd",
    b"a/../../x",
    b"..",
    b".",
    b"",
    b"./",
    b"a//b",
    b"C:\\x",
    b"\\\\server\\x",
    b"a\0b",
    b"\xff\xfe",
    b"x" * 100,
    b"\xe2\x80\xae.py",
    b"A",
    b"a",
    b"a/b",
    b"a/b/c",
    b"main.py",
    b"MAIN.PY",
    b"caf\xc3\xa9",
    b"cafe\xcc\x81",
    b"con",
    b"~root",
    b"-rf",
]
_PLAIN_NAMES = [b"main.py", b"a/x.py", b"a/y.py", b"b/c/z", b"data/", b"README", b"run.sh"]
# Mostly right, so that what is wrong is alone and the rest is read.
rarely = st.sampled_from([False] * 7 + [True])
odd_names = st.sampled_from(_ODD_NAMES) | st.binary(max_size=120)
names = rarely.flatmap(lambda odd: odd_names if odd else st.sampled_from(_PLAIN_NAMES))
odd_kinds = st.sampled_from([bytes([kind]) for kind in b"0\0005123467LKxgSDMVA\xff"])
kinds = rarely.flatmap(lambda odd: odd_kinds if odd else st.sampled_from([b"0", b"0", b"5"]))
contents = st.binary(max_size=700) | st.just(bytes(5000))
numbers = st.integers(0, 0o777) | st.sampled_from([2**31, 2**33, 2**40, 2**62, -1])


@st.composite
def pax_records(draw: st.DrawFn) -> bytes:
    """The content of an extended header: sizes, paths, sparse maps, lies about lengths."""
    keys = [b"path", b"size", b"linkpath", b"GNU.sparse.map", b"GNU.sparse.size", b"mtime"]
    keys += [b"GNU.sparse.name", b"GNU.sparse.major", b"hdrcharset", b"uid", b"comment"]
    records = b""
    for _ in range(draw(st.integers(0, 4))):
        key = draw(st.sampled_from(keys) | st.binary(max_size=10))
        value = draw(names | st.sampled_from([b"0", b"-1", b"99999999999", b"1,2,3", b"1e400"]))
        body = b" " + key + b"=" + value + b"\n"
        length = len(body) + len(str(len(body) + 2)) + draw(st.sampled_from([0, 0, 0, 1, -3, 9999]))
        records += str(length).encode() + body
    return records


@st.composite
def tar_members(draw: st.DrawFn) -> bytes:
    """One member with a valid checksum, whatever else is wrong with it."""
    kind = draw(kinds)
    content = draw(pax_records() if kind in (b"x", b"g") else names if kind in b"LK" else contents)
    size = draw(numbers) if draw(rarely) else len(content)
    header = bytearray(BLOCK)
    fields = {
        0: draw(names)[:100],
        100: _number(draw(numbers), 8),
        108: _number(draw(numbers), 8),
        116: _number(draw(numbers), 8),
        124: _number(size, 12),
        136: _number(draw(numbers), 12),
        156: kind,
        157: draw(names)[:100],
        257: draw(st.sampled_from([b"ustar\x0000", b"ustar  \0", b"ustarXXX"])),
        345: draw(st.just(b"") | names)[:155],
    }
    for offset, value in fields.items():
        header[offset : offset + len(value)] = value
    header[148:156] = b" " * 8
    checksum = sum(header) + int(draw(rarely) and draw(rarely))
    header[148:156] = b"%06o\0 " % checksum
    return bytes(header) + content + bytes(-len(content) % BLOCK)


def _number(value: int, width: int) -> bytes:
    """Octal where it fits, else in the base-256 of GNU."""
    if 0 <= value < 8 ** (width - 1):
        return b"%0*o\0" % (width - 1, value)
    return bytes([0x80 if value >= 0 else 0xFF]) + (value & (1 << (8 * width - 8)) - 1).to_bytes(
        width - 1, "big"
    )


tars = st.lists(tar_members(), max_size=6).map(lambda members: b"".join(members) + bytes(1024))


_METHODS = st.sampled_from([0, 8])
_UNSIGNED = st.integers(0, 2**32 - 1)


@st.composite
def zips(draw: st.DrawFn) -> bytes:
    """Local and central headers that need not agree with each other or with what they describe."""
    body, directory = b"", b""
    count = draw(st.integers(0, 6))
    for _ in range(count):
        name, other = draw(names), draw(odd_names) if draw(rarely) else None
        content, extra = draw(contents), draw(st.binary(max_size=40)) if draw(rarely) else b""
        method = draw(st.sampled_from([1, 9, 12, 14, 93, 99]) if draw(rarely) else _METHODS)
        packed = zlib.compress(content)[2:-4] if method == 8 else content
        flags = draw(st.sampled_from([0x800, 0x1, 0x8, 0x20, 0x40, 0x2000])) * draw(rarely)
        size = draw(_UNSIGNED) if draw(rarely) else len(content)
        check = draw(_UNSIGNED) if draw(rarely) else zlib.crc32(content)
        common = struct.pack("<HHHHLLL", flags, method, 0, 33, check, len(packed), size)
        offset = draw(_UNSIGNED) if draw(rarely) else len(body)
        local = name if other is None else other
        lengths = struct.pack("<HH", len(local), len(extra))
        body += b"PK\x03\x04\x14\0" + common + lengths + local + extra + packed
        attributes = draw(_UNSIGNED) if draw(rarely) else 0o100755 << 16
        directory += b"PK\x01\x02\x14\x03\x14\0" + common
        directory += struct.pack("<HHHHHLL", len(name), len(extra), 0, 0, 0, attributes, offset)
        directory += name + extra
    declared = draw(st.integers(0, 2**16 - 1)) if draw(rarely) else count
    end = struct.pack("<HHHHLLH", 0, 0, declared, declared, len(directory), len(body), 0)
    return body + directory + b"PK\x05\x06" + end


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Any of them, whole, compressed, cut, flipped or with something before and behind."""
    content = bytearray(draw(tars | zips() | st.binary(max_size=2000)))
    if draw(st.booleans()) and draw(st.booleans()):
        content = bytearray(gzip.compress(bytes(content), mtime=0))
    for _ in range(draw(st.sampled_from([0, 0, 1, 3]))):
        if content:
            place = draw(st.integers(0, len(content) - 1))
            content[place] ^= 1 << draw(st.integers(0, 7))
    cut = draw(st.integers(0, len(content))) if draw(rarely) else len(content)
    return bytes(content[:cut]) + draw(st.sampled_from([b"", b"", b"\0" * 10, b"PK\x05\x06"]))


def hold_to_its_word(content: bytes) -> None:
    """Refused in words, or a set of files that can be laid down anywhere without a thought."""
    try:
        archive = read_archive(content, max_unpacked_bytes=LIMIT)
    except ArchiveError as error:
        assert str(error)
        assert str(error).isprintable()
        return
    files = [file.path for file in archive.files]
    paths = [*files, *archive.directories]
    assert files
    assert len(paths) <= MAX_FILES
    assert sum(len(file.content) for file in archive.files) <= LIMIT
    assert len({unicodedata.normalize("NFC", path).casefold() for path in paths}) == len(paths)
    for path in paths:
        parts = path.split("/")
        assert not {"", ".", ".."} & set(parts), path
        assert path.isprintable()
        assert len(path.encode()) <= 1024
        assert max(len(part.encode()) for part in parts) <= 255
        for depth in range(1, len(parts)):
            assert "/".join(parts[:depth]) in archive.directories


@QUIET
@given(damaged())
def test_any_bytes_are_refused_or_safe(content: bytes) -> None:
    begun_s = time.process_time()
    hold_to_its_word(content)
    assert time.process_time() - begun_s < LONGEST_S


@QUIET
@given(tars)
def test_any_tar_headers(content: bytes) -> None:
    hold_to_its_word(content)


@QUIET
@given(zips())
def test_any_zip_records(content: bytes) -> None:
    hold_to_its_word(content)


@settings(QUIET, max_examples=60)
@given(damaged())
def test_memory_stays_within_bounds(content: bytes) -> None:
    tracemalloc.start()
    try:
        hold_to_its_word(content)
        assert tracemalloc.get_traced_memory()[1] < PEAK_BYTES
    finally:
        tracemalloc.stop()


def tar_with(*members: tuple[str, bytes, str], content: bytes = b"x") -> bytes:
    """Members as (name, kind, link)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, kind, link in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            info.size = len(content) if kind == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


KNOWN = {
    "CVE-2007-4559 climbs": tar_with(("../../etc/cron.d/x", tarfile.REGTYPE, "")),
    "CVE-2007-4559 is absolute": tar_with(("/etc/cron.d/x", tarfile.REGTYPE, "")),
    # The path of links is longer than a real path may be, so that checking it gives up early.
    "CVE-2025-4517 too long to be resolved": tar_with(
        *((f"{'d' * 247}/" * depth, tarfile.DIRTYPE, "") for depth in range(1, 16)),
        *((f"{'d' * 247}/" * depth + "l", tarfile.SYMTYPE, "d" * 247) for depth in range(1, 16)),
        ("l/" * 16 + "escape", tarfile.SYMTYPE, "../" * 16),
        ("escape", tarfile.SYMTYPE, "l/" * 16 + "escape/../../etc"),
        ("escape/passwd", tarfile.REGTYPE, ""),
    ),
    "CVE-2025-4330 a link to a link": tar_with(
        ("a", tarfile.SYMTYPE, "."), ("a/b", tarfile.SYMTYPE, ".."), ("x", tarfile.REGTYPE, "")
    ),
    "CVE-2025-4138 a hard link out": tar_with(("x", tarfile.LNKTYPE, "/etc/passwd")),
    "CVE-2024-12718 changes its own folder": tar_with(
        ("..", tarfile.DIRTYPE, ""), ("x", tarfile.REGTYPE, "")
    ),
    "a file through a link of the same archive": tar_with(
        ("etc", tarfile.SYMTYPE, "/etc"), ("etc/passwd", tarfile.REGTYPE, "")
    ),
}


@pytest.mark.parametrize("content", KNOWN.values(), ids=KNOWN)
def test_known_faults_of_unpackers(content: bytes) -> None:
    for packed in (content, gzip.compress(content)):
        with pytest.raises(ArchiveError, match=r"climbs out|absolute path|is a link|too long"):
            read_archive(packed, max_unpacked_bytes=LIMIT)


def overlapping_zip(members: int) -> bytes:
    """Every entry of the directory points at the same compressed megabyte."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0", bytes(1 << 20))
    whole = buffer.getvalue()
    start = whole.index(b"PK\x01\x02")
    end = whole.index(b"PK\x05\x06")
    entry = bytearray(whole[start:end])
    directory = b""
    for number in range(members):
        name = b"%d" % (number % 10)
        directory += bytes(entry[:46]) + name + bytes(entry[47:])
    tail = struct.pack("<HHHHLLH", 0, 0, members, members, len(directory), start, 0)
    return whole[:start] + directory + b"PK\x05\x06" + tail


def test_a_zip_whose_members_overlap_is_no_bomb() -> None:
    begun_s = time.process_time()
    with pytest.raises(ArchiveError):
        read_archive(overlapping_zip(10_000), max_unpacked_bytes=8 << 20)
    assert time.process_time() - begun_s < LONGEST_S


def test_a_zip_that_is_a_tar_as_well_is_read_as_one_of_them() -> None:
    """What the first bytes say decides, once: no two readers may see two programs."""
    buffer = io.BytesIO(tar_with(("main.py", tarfile.REGTYPE, ""), content=b"tar"))
    buffer.seek(0, io.SEEK_END)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("main.py", b"zip")
    with contextlib.suppress(ArchiveError):
        found = read_archive(buffer.getvalue(), max_unpacked_bytes=LIMIT).file("main.py")
        assert found is not None
        assert found.content == b"tar"
