"""The endpoints of API keys and of the account. Keys are the API's JSON objects, unchanged."""

from collections.abc import Mapping
from typing import Any

from sequence_cli.api.client import ApiClient
from sequence_cli.errors import CliError

Key = dict[str, Any]

_ROOT = "/v1/api_keys"


class KeysApi:
    """All methods raise CliError (see ApiClient)."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def keys(self) -> list[Key]:
        """Valid ones, newest first."""
        rows = self._client.call("GET", _ROOT).get("api_keys")
        if not isinstance(rows, list):
            raise _unexpected("api_keys")
        return rows

    def create(self, body: Mapping[str, Any]) -> Key:
        """The new key, with ``key`` itself: for this one time."""
        return _one(self._client.call("POST", _ROOT, body=body))

    def rotate(self, key_id: str, grace_s: float | None) -> Key:
        """A key like this one, which ends after ``grace_s``; None leaves that to the platform."""
        body = {} if grace_s is None else {"grace_secs": grace_s}
        return _one(self._client.call("POST", f"{_ROOT}/{key_id}/rotate", body=body))

    def revoke(self, key_id: str) -> None:
        """End it at once."""
        self._client.call("DELETE", f"{_ROOT}/{key_id}")

    def resolve(self, wanted: str) -> Key:
        """The key with this id or label, or that begins so; CliError unless there is one."""
        rows = self.keys()
        exact = [row for row in rows if row["key_id"] == wanted]
        found = exact or [row for row in rows if wanted in (row["label"], row["prefix"])]
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(row["key_id"] for row in found)
            raise CliError(f"{len(found)} keys are called {wanted!r}: name one by its id: {ids}")
        raise CliError(f"there is no key {wanted!r}: `sequence keys list` shows those you have")


def account(client: ApiClient) -> dict[str, Any]:
    """The caller's account; CliError (see ApiClient)."""
    found = client.call("GET", "/v1/account").get("account")
    if not isinstance(found, dict):
        raise _unexpected("account")
    return found


def _one(answer: dict[str, Any]) -> Key:
    row = answer.get("api_key")
    if not isinstance(row, dict):
        raise _unexpected("api_key")
    return row


def _unexpected(key: str) -> CliError:
    return CliError(f"the API's answer has no `{key}`: is the platform older than this command?")
