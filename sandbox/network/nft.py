"""nftables by its library (libnftables, of Debian's package nftables): no process per change.

A command takes about 0.2 ms so; starting the `nft` tool for it takes 5.
"""

from __future__ import annotations

import ctypes
import json
from typing import Any

_LIBRARY = "libnftables.so.1"
_JSON_OUTPUT = 1 << 4


class NftError(OSError):
    """The kernel or the library refused a command; the message is theirs."""


class Nft:
    """Commands to the network namespace of the thread that made it, from whatever thread later.

    Not thread-safe. Raises OSError when the library is missing.
    """

    def __init__(self) -> None:
        self._library = _load()
        self._context = ctypes.c_void_p(self._library.nft_ctx_new(0))
        if not self._context:
            raise NftError("no access to nftables in this network namespace")
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)
        self._library.nft_ctx_output_set_flags(self._context, _JSON_OUTPUT)

    def run(self, *commands: str) -> None:
        """All of the commands or none of them: one transaction. Raises `NftError`."""
        self._run("\n".join(commands))

    def elements(self, table: str, name: str) -> list[Any]:
        """The elements of a set, as `nft -j` shows them. Raises `NftError`."""
        for entry in json.loads(self._run(f"list set {table} {name}"))["nftables"]:
            if "set" in entry:
                return list(entry["set"].get("elem", ()))
        return []

    def has_table(self, table: str) -> bool:
        try:
            self._run(f"list table {table}")
        except NftError:
            return False
        return True

    def close(self) -> None:
        if self._context:
            self._library.nft_ctx_free(self._context)
            self._context = ctypes.c_void_p()

    def _run(self, commands: str) -> str:
        status = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
        output: bytes = self._library.nft_ctx_get_output_buffer(self._context)
        if status != 0:
            said: bytes = self._library.nft_ctx_get_error_buffer(self._context)
            raise NftError(f"nftables: {' '.join(said.decode(errors='replace').split())}")
        return output.decode()


def is_available() -> bool:
    """Whether the library is there."""
    try:
        _load()
    except OSError:
        return False
    return True


def _load() -> ctypes.CDLL:
    library = ctypes.CDLL(_LIBRARY)
    context, text = ctypes.c_void_p, ctypes.c_char_p
    library.nft_ctx_new.restype = context
    library.nft_run_cmd_from_buffer.argtypes = [context, text]
    library.nft_ctx_output_set_flags.argtypes = [context, ctypes.c_uint]
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).argtypes = [context]
        getattr(library, name).restype = text
    for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error", "nft_ctx_free"):
        getattr(library, name).argtypes = [context]
    return library
