"""Artifacts as an owner would pack them."""

from __future__ import annotations

import base64
import gzip
import io
import tarfile
import textwrap
import zipfile
from collections.abc import Mapping


def tar_of(files: Mapping[str, bytes], mode: str = "w:gz") -> bytes:
    """A tar with these files, the same bytes each time; `mode` as the standard library has it."""
    buffer = io.BytesIO()
    if mode == "w:gz":
        # tarfile would write the time of day into the header.
        with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as packed:
            packed.write(tar_of(files, "w"))
        return buffer.getvalue()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def tar_of_members(*members: tarfile.TarInfo, mode: str = "w") -> bytes:
    """A tar of headers alone: links, devices and whatever else has no content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"\0" * member.size))
    return buffer.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, **attributes: object) -> tarfile.TarInfo:
    """One header."""
    made = tarfile.TarInfo(name)
    made.type = kind
    for attribute, value in attributes.items():
        setattr(made, attribute, value)
    return made


def zip_of(files: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip with these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return buffer.getvalue()


def program(source: str, **more: bytes) -> bytes:
    """A tar.gz with this text as `main.py`."""
    return tar_of({"main.py": textwrap.dedent(source).encode(), **more})


def base64_of(content: bytes) -> str:
    """As it stands in a request."""
    return base64.b64encode(content).decode()
