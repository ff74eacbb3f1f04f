"""Archives as nobody packs them by mistake."""

from __future__ import annotations

import gzip
import io
import json
import random
import struct
import zipfile

from proof.nasty import usable_body
from support.archives import base64_of, member, tar_of, tar_of_members, zip_of

_FILES = {"main.py": b"print(1)\n", "a/b.py": b"x = 1\n" * 50}
_PATHS = (
    *("", ".", "..", "../x", "/etc/passwd", "a/../../x", "main.py/x", "a" * 300, "a/" * 600 + "x"),
    *("\u202e.py", "é.py", "A.PY", "a\nb", "con", "a\\b", ".sequence", ".sequence/manifest.json"),
)
_KINDS = b"0123456789LKxgSDV"
_GZIP_MAGIC = b"\x1f\x8b\x08\x00"


def body(chance: random.Random) -> bytes:
    """A create body with such an archive, or with something that is no base64."""
    made = usable_body(chance)
    content = chance.choice([_named, _kinds, _flipped, _flipped, _bomb, _zip_fields])(chance)
    text = base64_of(content)
    if chance.random() < 0.1:
        at = chance.randrange(len(text) + 1)
        text = text[:at] + chance.choice(["=", "\n", "-", "é", "\0"]) + text[at:]
    made["artifact_base64"] = text
    return json.dumps(made).encode()


def _named(chance: random.Random) -> bytes:
    names = chance.sample(_PATHS, 2)
    files = {**_FILES, **{name: b"" for name in names if "\0" not in name}}
    return chance.choice([lambda: tar_of(files), lambda: zip_of(files)])()


def _kinds(chance: random.Random) -> bytes:
    """Headers of every type, with sizes and fields that do not fit."""
    made = [member("main.py")]
    for _ in range(chance.choice([1, 3])):
        kind = bytes([chance.choice(_KINDS)])
        one = member(chance.choice(["x", "main.py", "a" * 120]), kind)
        one.linkname, one.mode = (
            chance.choice(["", "/etc/passwd", ".."]),
            chance.choice([0, 0o7777]),
        )
        one.pax_headers = chance.choice([{}, {"size": "9" * 30}, {"path": "\0"}, {"mtime": "x"}])
        made.append(one)
    return tar_of_members(*made, mode=chance.choice(["w", "w:gz", "w:bz2", "w:xz"]))


def _flipped(chance: random.Random) -> bytes:
    make = chance.choice([lambda: tar_of(_FILES, "w"), lambda: tar_of(_FILES), _zip])
    data = bytearray(make())
    for _ in range(chance.choice([1, 3, 20])):
        at = chance.randrange(len(data))
        data[at : at + chance.choice([0, 1, 4])] = chance.randbytes(chance.choice([0, 1, 4]))
    return bytes(data[: chance.choice([len(data), len(data), chance.randrange(len(data)) + 1])])


def _bomb(chance: random.Random) -> bytes:
    """Small outside, large inside."""
    zeros = bytes(chance.choice([1, 4, 16]) << 20)
    if chance.random() < 0.3:
        return zip_of({"main.py": zeros})
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, compresslevel=1) as packed:
        packed.write(chance.choice([zeros, tar_of({"main.py": zeros}, "w")]))
    return buffer.getvalue() + chance.choice([b"", _GZIP_MAGIC * 200, b"\0" * 1000])


def _zip_fields(chance: random.Random) -> bytes:
    """A zip whose directory says something else than its members."""
    data = bytearray(_zip())
    at = data.rindex(b"PK\x01\x02")
    offset, size = chance.choice([(8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (42, 4)])
    number = chance.choice([0, 1, 0x7FFF, (1 << 8 * size) - 1])
    struct.pack_into("<H" if size == 2 else "<I", data, at + offset, number)
    return bytes(data)


def _zip() -> bytes:
    return zip_of(_FILES, zipfile.ZIP_DEFLATED)
