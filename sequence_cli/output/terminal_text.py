"""Text from outside, made safe for a terminal."""

import re

# C0 and C1 controls, DEL, line and paragraph separators, the invisible direction marks that
# can make a line read backwards, and lone surrogates.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible(text: str, keep: str = "") -> str:
    r"""``text`` with every control character spelled out (``\x1b``, ``\u202e``).

    Characters in ``keep`` stay as they are. A strategy writes its log lines freely; its
    escape sequences must not move the cursor, retitle the window or forge other lines.
    """

    def spell(match: re.Match[str]) -> str:
        character = match[0]
        if character in keep:
            return character
        code = ord(character)
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"

    return _UNSAFE.sub(spell, text)
