"""The past of a strategy. Its entries are the API's JSON objects, unchanged, newest first."""

from collections.abc import Iterator
from typing import Any

from sequence_cli.api.client import ApiClient
from sequence_cli.errors import CliError

Entry = dict[str, Any]

_PAGE = 200


class HistoryApi:
    """All methods raise CliError (see ApiClient) and take the strategy's id."""

    def __init__(self, client: ApiClient, strategy_id: str) -> None:
        self._client = client
        self._root = f"/v1/strategies/{strategy_id}"

    def runs(self, limit: int, before: int | None = None) -> list[Entry]:
        """At most ``limit`` runs of a smaller number than ``before``."""
        return list(self._entries("runs", limit, before))

    def events(self, limit: int) -> list[Entry]:
        """At most ``limit`` events."""
        return list(self._entries("events", limit, None))

    def versions(self, limit: int) -> list[Entry]:
        """At most ``limit`` versions; the first is the present one."""
        return list(self._entries("versions", limit, None))

    def run(self, wanted: str | None) -> Entry | None:
        """The run with this number or id, or the newest; None when it never ran.

        CliError when there is no such run (any more).
        """
        if wanted is not None and not wanted.isdecimal():
            run = self._client.call("GET", f"{self._root}/runs/{wanted}").get("run")
            return run if isinstance(run, dict) else None
        number = int(wanted) if wanted is not None else None
        found = self.runs(1, before=number + 1 if number is not None else None)
        if number is not None and (not found or found[0]["epoch"] != number):
            raise CliError(
                f"there is no run {number} (any more): `sequence strategy runs NAME` lists them"
            )
        return found[0] if found else None

    def events_of(self, run: Entry) -> list[Entry]:
        """What happened from the start of a run to the next one, oldest first."""
        found = []
        for event in self._entries("events", 10_000, None):
            if event["epoch"] < run["epoch"]:
                break
            if event["epoch"] == run["epoch"]:
                found.append(event)
        return found[::-1]

    def _entries(self, kind: str, limit: int, before: int | None) -> Iterator[Entry]:
        while limit > 0:
            query = {"limit": str(min(limit, _PAGE))}
            if before is not None:
                query["before"] = str(before)
            page = self._client.call("GET", f"{self._root}/{kind}", query=query)
            entries = page.get(kind)
            if not isinstance(entries, list):
                raise CliError(
                    f"the API's answer has no `{kind}`: is the platform older than this command?"
                )
            yield from entries
            limit -= len(entries)
            before = page.get("next_before")
            if before is None:
                return
