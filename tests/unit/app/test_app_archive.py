"""Uploaded archives: what is safe comes back whole, what is hostile is refused by its name."""

from __future__ import annotations

import gzip
import io
import random
import stat
import struct
import tarfile
import time
import tracemalloc
import unicodedata
import zipfile
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.archives import member, tar_of, tar_of_members, zip_of

from app.artifacts.archive import MAX_FILES, Archive, ArchiveError, normalise, read_archive

LIMIT = 1 << 20
Maker = Callable[[dict[str, bytes]], bytes]
MAKERS: dict[str, Maker] = {
    "tar": lambda files: tar_of(files, "w"),
    "tar.gz": lambda files: tar_of(files, "w:gz"),
    "zip": zip_of,
    "zip stored": lambda files: zip_of(files, zipfile.ZIP_STORED),
}
every_format = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def are_distinct(paths: Iterable[str]) -> bool:
    """Also for systems that do not tell case or accents apart, with every directory above."""
    above = {"/".join(path.split("/")[:depth]) for path in paths for depth in range(1, 9)}
    return len({unicodedata.normalize("NFC", path).casefold() for path in above}) == len(above)


# "/" is left out: a generated file would become another's folder.
_NAME = st.text(
    st.characters(exclude_categories=("C", "Z"), exclude_characters="/\\"), min_size=1, max_size=40
).filter(lambda name: name not in (".", "..") and name.isprintable())
_FILES = st.dictionaries(
    st.lists(_NAME, min_size=1, max_size=3).map("/".join), st.binary(max_size=200), min_size=1
).filter(
    lambda files: (
        are_distinct(files)
        and not any(
            other.casefold().startswith(f"{path}/".casefold())
            for path in files
            for other in files
            if other != path
        )
    )
)


def read(content: bytes, limit: int = LIMIT) -> Archive:
    return read_archive(content, max_unpacked_bytes=limit)


def refused(content: bytes, limit: int = LIMIT) -> str:
    with pytest.raises(ArchiveError) as caught:
        read(content, limit)
    return str(caught.value)


def refused_within(content: bytes, memory_bytes: int) -> str:
    tracemalloc.start()
    try:
        words = refused(content)
        assert tracemalloc.get_traced_memory()[1] < memory_bytes
    finally:
        tracemalloc.stop()
    return words


@every_format
@settings(deadline=None, max_examples=30)
@given(files=_FILES)
def test_any_safe_files_come_back(make: Maker, files: dict[str, bytes]) -> None:
    archive = read(make(files))
    assert {file.path: file.content for file in archive.files} == files
    parents = {path.rpartition("/")[0] for path in files if "/" in path}
    assert parents <= set(archive.directories)
    assert archive.directories == tuple(sorted(archive.directories))


@every_format
def test_names_are_normalised(make: Maker) -> None:
    archive = read(make({"./a//b/./main.py": b"1"}))
    assert [file.path for file in archive.files] == ["a/b/main.py"]
    assert archive.directories == ("a", "a/b")
    found = archive.file("a/b/main.py")
    assert found is not None
    assert found.content == b"1"
    assert archive.file("main.py") is None


def test_empty_directories_are_kept() -> None:
    content = tar_of_members(
        member(".", tarfile.DIRTYPE), member("data/", tarfile.DIRTYPE), member("main.py")
    )
    assert read(content).directories == ("data",)
    assert read(zip_of({"data/": b"", "main.py": b""})).directories == ("data",)


def test_the_executable_bit_is_kept() -> None:
    content = tar_of_members(member("run", mode=0o755), member("main.py", mode=0o644))
    assert [file.is_executable for file in read(content).files] == [True, False]
    info = zipfile.ZipInfo("run")
    info.external_attr = (stat.S_IFREG | 0o755) << 16
    assert [file.is_executable for file in read(_zip_with(info)).files] == [True]


@every_format
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../evil.py", "'../evil.py' climbs out of the archive with '..'"),
        ("a/../../evil.py", "climbs out"),
        ("a/..", "climbs out"),
        ("/etc/passwd", "'/etc/passwd' is an absolute path"),
        ("\\windows", "is an absolute path"),
        ("bell\x07.py", "holds control characters"),
        ("new\nline.py", "holds control characters"),
        ("right\u202eto-left.py", "holds control characters"),
        ("n" * 256, "is too long a name"),
        ("/".join(["folder"] * 160), "is too long a name"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_a_bad_name_is_refused(make: Maker, name: str, words: str) -> None:
    if name.startswith("\\") and make in (MAKERS["zip"], MAKERS["zip stored"]):
        assert "absolute" in refused(make({name: b""}))
        return
    assert words in refused(make({name: b"x", "main.py": b""}))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (tarfile.SYMTYPE, "is a link"),
        (tarfile.LNKTYPE, "is a link"),
        (tarfile.CHRTYPE, "is not a regular file"),
        (tarfile.BLKTYPE, "is not a regular file"),
        (tarfile.FIFOTYPE, "is not a regular file"),
    ],
)
def test_tar_holds_regular_files_only(kind: bytes, words: str) -> None:
    content = tar_of_members(member("main.py"), member("odd", kind, linkname="main.py"))
    assert refused(content) == f"'odd' {words}; archives hold regular files only"


def test_a_sparse_file_is_refused() -> None:
    sparse = member("huge", pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.size": str(1 << 40)})
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        sparse.size = 1
        tar.addfile(sparse, io.BytesIO(b"x"))
    assert "'huge' is not a regular file" in refused(buffer.getvalue())


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK])
def test_zip_holds_regular_files_only(kind: int) -> None:
    info = zipfile.ZipInfo("odd")
    info.external_attr = (kind | 0o777) << 16
    assert refused(_zip_with(info)) == "'odd' is a link or device; only regular files may be"


@every_format
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_same_file_twice_is_refused(make: Maker) -> None:
    assert (
        refused(make({"main.py": b"1", "./main.py": b"2"})) == "the archive holds 'main.py' twice"
    )


@every_format
@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a"), ("a/b/c", "a/b")])
def test_a_file_is_not_a_directory_as_well(make: Maker, names: tuple[str, str]) -> None:
    words = refused(make(dict.fromkeys(names, b"")))
    assert words == f"{min(names)!r} is both a file and a directory in the archive"


@pytest.mark.parametrize("directory", ["a", "a/b"])
def test_an_explicit_directory_clashes_as_well(directory: str) -> None:
    content = tar_of_members(member(directory, tarfile.DIRTYPE), member("a"))
    assert "both a file and a directory" in refused(content)


def test_directories_above_an_empty_one_are_named_as_well() -> None:
    content = tar_of_members(member("a/b/c", tarfile.DIRTYPE), member("main.py"))
    assert read(content).directories == ("a", "a/b", "a/b/c")


@every_format
@pytest.mark.parametrize(
    "names",
    [
        ("main.py", "Main.py"),
        ("data/x", "Data/y"),
        ("strasse.py", "stra\u00dfe.py"),
        ("caf\u00e9.py", "cafe\u0301.py"),
    ],
    ids=["case", "case of a directory", "sharp s", "accents"],
)
def test_names_that_other_systems_take_for_one_are_refused(
    make: Maker, names: tuple[str, str]
) -> None:
    words = refused(make(dict.fromkeys(names, b"x")))
    assert words.endswith(
        " are one name on systems that do not tell case or accents apart; rename one"
    )


def test_an_encrypted_zip_is_refused() -> None:
    content = bytearray(zip_of({"main.py": b"secret"}))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    assert "'main.py' is encrypted; upload it without a password" in refused(bytes(content))


@every_format
def test_a_bomb_by_size_is_refused(make: Maker) -> None:
    files = {f"{number}.bin": bytes(LIMIT // 4) for number in range(5)}
    assert refused(make(files)) == f"unpacked, the archive is above the limit of {LIMIT} bytes"


@every_format
def test_exactly_the_limit_is_accepted(make: Maker) -> None:
    assert len(read(make({"main.py": bytes(LIMIT)})).files[0].content) == LIMIT


@every_format
def test_a_bomb_by_count_is_refused(make: Maker) -> None:
    files = {f"{number}.py": b"" for number in range(MAX_FILES + 1)}
    assert f"more than {MAX_FILES} files and directories" in refused(make(files))


def test_directories_count_as_well() -> None:
    names = [member(f"d{number}", tarfile.DIRTYPE) for number in range(MAX_FILES)]
    assert f"more than {MAX_FILES} files and directories" in refused(
        tar_of_members(member("main.py"), *names)
    )
    deep = {f"d{number}/main.py": b"" for number in range(MAX_FILES * 2 // 3)}
    assert f"more than {MAX_FILES} files and directories" in refused(tar_of(deep))


def test_a_name_that_is_repeated_counts_each_time() -> None:
    again = [member("data", tarfile.DIRTYPE)] * (2 * MAX_FILES + 2)
    assert f"more than {MAX_FILES} files and directories" in refused(
        tar_of_members(member("main.py"), *again)
    )


def test_as_many_files_as_are_allowed_are_accepted() -> None:
    assert len(read(tar_of({f"{n}.py": b"" for n in range(MAX_FILES)})).files) == MAX_FILES


@pytest.mark.parametrize(
    "bomb",
    [gzip.compress(bytes(60 << 20)), zip_of({"main.py": bytes(60 << 20)})],
    ids=["gzip", "zip"],
)
def test_a_bomb_costs_no_more_memory_than_the_limit(bomb: bytes) -> None:
    assert "above the limit" in refused_within(bomb, 20 << 20)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zip_members_are_deflated_or_stored(method: int) -> None:
    # Their decompressors have no bound: 4 KB of bzip2 may become gigabytes in one call.
    words = refused(zip_of({"main.py": b"pass\n"}, method))
    assert words == "'main.py' is compressed in an unusual way; use plain zip (deflate) or tar.gz"


def test_many_small_gzip_members_do_not_cost_the_square_of_their_number() -> None:
    bomb = gzip.compress(b"") * 100_000
    started_at = time.process_time()
    assert "gzip" in refused(bomb)
    assert time.process_time() - started_at < 2


def test_several_gzip_members_are_one_archive() -> None:
    whole = tar_of({"main.py": b"pass"}, "w")
    assert read(gzip.compress(whole[:600]) + gzip.compress(whole[600:])).file("main.py")


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.65])
@every_format
def test_a_truncated_archive_is_refused(make: Maker, keep: float) -> None:
    whole = make({"main.py": random.Random(1).randbytes(20_000)})
    words = refused(whole[: int(len(whole) * keep)])
    assert "damaged" in words


def test_gzip_data_without_its_end_is_refused() -> None:
    """Its checksum lies there: nobody can say whether the rest is what was sent."""
    whole = gzip.compress(tar_of({"main.py": b"pass"}, "w"))
    assert refused(whole[:-8]) == "the gzip data is damaged: it is cut short"


@pytest.mark.parametrize("content", [b"", b"x", b"PK", bytes(4096), b"print('hello')\n" * 50])
def test_what_is_no_archive_is_refused(content: bytes) -> None:
    assert refused(content) == (
        "the artifact is not an archive: tar, tar.gz and zip are understood"
    )


@every_format
def test_an_archive_without_files_is_refused(make: Maker) -> None:
    content = make({})
    words = refused(content)
    assert "empty" in words or "not an archive" in words


def test_a_zip_member_without_a_name_is_refused() -> None:
    content = zip_of({"x.py": b""}).replace(b"x.py", b"\0.py")
    assert refused(content) == "the archive has a file without a name"


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_damaged_archive_is_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    make = data.draw(st.sampled_from(list(MAKERS.values())))
    content = bytearray(make({"main.py": b"pass\n" * 40, "a/b.txt": b"text"}))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    try:
        read(bytes(content[:cut]))
    except ArchiveError as error:
        assert str(error)


@settings(deadline=None)
@given(st.text())
def test_a_normalised_name_stays_as_it_is(name: str) -> None:
    try:
        path = normalise(name)
    except ArchiveError:
        return
    assert normalise(path) == path
    assert not path.startswith("/")
    assert ".." not in path.split("/")


def test_nested_extension_headers_are_refused() -> None:
    header = member("x", tarfile.XHDTYPE).tobuf(tarfile.USTAR_FORMAT)
    assert "damaged" in refused(header * 5000)


def _zip_with(info: zipfile.ZipInfo) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, b"x")
    return buffer.getvalue()


def test_a_zip_that_is_nothing_but_directory_is_refused_before_it_is_read() -> None:
    """Ten megabytes of it took 400 MB of memory and three seconds."""
    entry = b"PK\1\2" + bytes(42)
    count = (5 << 20) // len(entry)
    size = count * len(entry)
    end = b"PK\5\6" + struct.pack("<4H2LH", 0, 0, count & 0xFFFF, count & 0xFFFF, size, 4, 0)
    assert "directory is larger" in refused(b"PK\3\4" + entry * count + end)


def test_deep_directories_are_walked_once() -> None:
    """A thousand files below four hundred folders took 11 s, in the web and at each start."""
    deep = "d/" * 400
    archive = read(tar_of({f"{deep}{number}.py": b"" for number in range(1000)}))
    assert len(archive.directories) == 400
    assert archive.directories[0] == "d"
    too_many = {f"{number}/{deep}x.py": b"" for number in range(1000)}
    assert f"more than {MAX_FILES}" in refused_within(tar_of(too_many), 20 << 20)
