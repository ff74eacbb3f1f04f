"""The forms in which a secret may stand in a log: as it is, escaped, or encoded."""

import base64
import json
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

from app.logs.masking import MIN_CHARS

_MIME_CHARS = 76
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def parts_of(value: str) -> set[str]:
    """What is masked of a value: all of it, and each of its lines, as they arrive one by one."""
    parts = {value, value.strip(), *map(str.strip, value.splitlines())}
    return {part for part in parts if len(part) >= MIN_CHARS}


def forms_of(part: str) -> set[bytes]:
    """Every form of a part of a value, each without a line break."""
    found = {*_escaped(part), *_coded(part)}
    return {form for form in found if len(form) >= MIN_CHARS and b"\n" not in form}


def _escaped(value: str) -> Iterator[bytes]:
    """As it is, in JSON (also inside JSON), in a Python repr, in a URL."""
    texts = {value, repr(value)[1:-1], quote(value, safe=""), quote(value), quote_plus(value)}
    for ensure_ascii in (True, False):
        once = json.dumps(value, ensure_ascii=ensure_ascii)[1:-1]
        texts |= {once, once.replace("/", "\\/"), json.dumps(once, ensure_ascii=False)[1:-1]}
    texts |= {_lower_percent(text) for text in texts if "%" in text}
    for text in texts:
        yield text.encode(errors="replace")


def _coded(value: str) -> Iterator[bytes]:
    """In base64, wherever it begins in what was encoded, and in hexadecimal digits."""
    raw = value.encode(errors="replace")
    for offset in range(3):
        coded = base64.b64encode(bytes(offset) + raw)
        # Characters that depend on what stands before or behind it are left out.
        core = coded[-(-offset * 4 // 3) : (offset + len(raw)) * 4 // 3]
        yield core
        yield core.translate(_URL_SAFE)
    whole = base64.b64encode(raw)
    if len(whole) > _MIME_CHARS:
        for start in range(0, len(whole), _MIME_CHARS):
            yield whole[start : start + _MIME_CHARS].rstrip(b"=")
    yield raw.hex().encode()
    yield raw.hex().upper().encode()


def _lower_percent(text: str) -> str:
    head, *rest = text.split("%")
    return "%".join([head, *(part[:2].lower() + part[2:] for part in rest)])
