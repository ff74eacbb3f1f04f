"""The strategy endpoints. Rows are the JSON objects of the wire contract, unchanged."""

import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from sequence_cli.api.client import ApiClient, Query
from sequence_cli.errors import CliError
from sequence_cli.nearest import nearest

Row = dict[str, Any]

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ROOT = "/v1/strategies"
_DEFAULT_PAGE = 1000


class StrategiesApi:
    """All methods raise CliError (see ApiClient) and take the strategy's id, not its name."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def rows(self) -> list[Row]:
        rows = self._client.call("GET", _ROOT).get("strategies")
        if not isinstance(rows, list):
            raise _unexpected("strategies")
        return rows

    def create(self, body: Mapping[str, Any]) -> Row:
        """Create or replace; safe to arrive twice, so it is repeated when the network fails."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        return _row(self._client.call_repeatedly("POST", _ROOT, body=body, headers=headers))

    def get(self, strategy_id: str) -> Row:
        return _row(self._client.call("GET", f"{_ROOT}/{strategy_id}"))

    def start(self, strategy_id: str) -> Row:
        return _row(self._client.call("POST", f"{_ROOT}/{strategy_id}/start"))

    def stop(self, strategy_id: str) -> Row:
        """Ask for a stop; the row may still say ``running`` until the runner has carried it out."""
        return _row(self._client.call("POST", f"{_ROOT}/{strategy_id}/stop"))

    def update(self, strategy_id: str, patch: Mapping[str, Any]) -> Row:
        """Change settings in place; in a table null removes a key, instead of one all of it."""
        return _row(self._client.call("PATCH", f"{_ROOT}/{strategy_id}", body=patch))

    def roll_back(self, strategy_id: str, version: int) -> Row:
        body = {"version": version}
        return _row(self._client.call("POST", f"{_ROOT}/{strategy_id}/rollback", body=body))

    def delete(self, strategy_id: str) -> None:
        self._client.call("DELETE", f"{_ROOT}/{strategy_id}")

    def resolve_id(self, name_or_id: str) -> str:
        """A UUID is taken as it is; a name is looked up. CliError names the nearest known."""
        if _UUID.fullmatch(name_or_id):
            return name_or_id.lower()
        ids = {row["name"]: row["strategy_id"] for row in self.rows()}
        if name_or_id in ids:
            return str(ids[name_or_id])
        close = nearest(name_or_id, ids)
        if close:
            hint = f"did you mean {' or '.join(close)}?"
        elif ids:
            hint = "`sequence strategy list` shows those you have"
        else:
            hint = "you have none yet: `sequence strategy deploy DIR` creates one"
        raise CliError(f"there is no strategy {name_or_id!r}: {hint}")

    def log_records(self, strategy_id: str, wanted: Query) -> Iterator[dict[str, Any]]:
        """Stored records, oldest first.

        Without conditions in ``wanted``: the last 1000 of a run and all that came since.
        """
        query = dict(wanted)
        while True:
            page = self._client.call("GET", log_path(strategy_id), query=query)
            records = page.get("logs")
            if not isinstance(records, list):
                raise _unexpected("logs")
            yield from records
            # A page may be empty and still have a cursor: it looked through its share.
            following = page.get("next_after")
            if following is None or following == query.get("after"):
                return
            query = {**query, "after": following, "limit": str(_DEFAULT_PAGE)}


def log_path(strategy_id: str) -> str:
    """Path of a strategy's log endpoint."""
    return f"{_ROOT}/{strategy_id}/logs"


def _row(answer: dict[str, Any]) -> Row:
    row = answer.get("strategy")
    if not isinstance(row, dict):
        raise _unexpected("strategy")
    return row


def _unexpected(key: str) -> CliError:
    return CliError(
        f"the API's answer has no `{key}`: is this the address of a Sequence API? "
        "Check --api-url or SEQUENCE_API_URL"
    )
