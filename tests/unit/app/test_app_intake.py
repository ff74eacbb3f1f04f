"""From base64 to a checked upload, with a message for everything that can be wrong."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.archives import base64_of, tar_of, zip_of

from app.artifacts.intake import Upload, accept
from app.errors import AppError, TooLargeError, ValidationFailedError

LIMIT = 10_000
ARTIFACT = tar_of({"main.py": b"pass", "other.py": b"", "pkg/deep.py": b"", "README": b""})


def take(text: str, entrypoint: str = "main.py", max_bytes: int = LIMIT) -> Upload:
    return accept(text, entrypoint, max_bytes=max_bytes, max_unpacked_bytes=1 << 20)


def refused(text: str, entrypoint: str = "main.py") -> ValidationFailedError:
    with pytest.raises(ValidationFailedError) as caught:
        take(text, entrypoint)
    return caught.value


def test_sum_and_size_are_those_of_the_decoded_bytes() -> None:
    upload = take(base64_of(ARTIFACT))
    assert upload.content == ARTIFACT
    assert upload.sha256 == hashlib.sha256(ARTIFACT).hexdigest()
    assert upload.size_bytes == len(ARTIFACT)


def test_base64_may_be_wrapped() -> None:
    text = base64_of(ARTIFACT)
    wrapped = "\r\n".join(text[start : start + 76] for start in range(0, len(text), 76))
    assert take(wrapped).content == ARTIFACT


@pytest.mark.parametrize("entrypoint", ["main.py", "./main.py", "pkg//deep.py"])
def test_the_entrypoint_is_normalised(entrypoint: str) -> None:
    assert take(base64_of(ARTIFACT), entrypoint).entrypoint in ("main.py", "pkg/deep.py")


@pytest.mark.parametrize("text", ["$$$$", "abc", "a===", "é" * 8, base64_of(ARTIFACT)[:-3]])
def test_what_is_not_base64_is_refused(text: str) -> None:
    assert refused(text).message == (
        "artifact_base64: is not valid base64 (RFC 4648, with padding)"
    )


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_artifact_is_refused(text: str) -> None:
    assert "the artifact is empty; send a tar, tar.gz or zip" in refused(text).message


def test_what_is_no_archive_is_refused() -> None:
    assert "is not an archive" in refused(base64_of(b"print('hello')")).message


@pytest.mark.parametrize("excess", [1, 2, 3, 1000])
def test_one_above_the_limit_is_refused_with_the_limit(excess: int) -> None:
    with pytest.raises(TooLargeError) as caught:
        take(base64_of(bytes(LIMIT + excess)))
    assert "the limit is 10000 bytes" in caught.value.message
    assert caught.value.status == 413


def test_one_of_exactly_the_limit_is_looked_at() -> None:
    assert "not an archive" in refused(base64_of(bytes(LIMIT))).message


@pytest.mark.parametrize(
    ("entrypoint", "words"),
    [
        ("mian.py", "'mian.py' is not in the artifact; did you mean 'main.py'?"),
        ("strategy", "is not in the artifact; it holds main.py, other.py"),
        ("../main.py", "climbs out"),
        ("/main.py", "absolute"),
        ("pkg", "is not in the artifact"),
        (".", "is not in the artifact"),
    ],
)
def test_an_entrypoint_that_is_not_there(entrypoint: str, words: str) -> None:
    error = refused(base64_of(ARTIFACT), entrypoint)
    assert error.details[0].field == "entrypoint"
    assert words in error.message


def test_an_artifact_without_python_says_so() -> None:
    error = refused(base64_of(tar_of({"notes.txt": b""})))
    assert "it holds no Python file" in error.message


@pytest.mark.parametrize("path", [".sequence", ".sequence/manifest.json/x"])
def test_the_place_of_the_manifest_is_ours(path: str) -> None:
    error = refused(base64_of(zip_of({"main.py": b"", path: b""})))
    assert error.details[0].field == "artifact_base64"
    assert ".sequence/manifest.json is where the platform puts the manifest" in error.message


def test_a_manifest_in_the_artifact_is_replaced_and_no_error() -> None:
    assert take(base64_of(zip_of({"main.py": b"", ".sequence/manifest.json": b"{}"})))


@given(st.text(max_size=200))
def test_any_text_is_answered_in_words(text: str) -> None:
    with pytest.raises(AppError) as caught:
        take(text)
    assert caught.value.message


def test_names_that_are_made_for_it_are_not_compared() -> None:
    """1,400 of them took a web process 15 s, in which it answered nobody."""
    names = {f"{'aab' * 60}{number}": b"" for number in range(100)}
    found = refused(base64_of(tar_of(names)), "aab" * 60)
    assert "did you mean" not in found.details[0].message
    many = {f"main{number}.py": b"" for number in range(200)} | {"strategy.py": b""}
    assert "did you mean" not in refused(base64_of(tar_of(many)), "stategy.py").details[0].message
