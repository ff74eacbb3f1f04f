"""The endpoints of trading. Rows are the JSON objects of the wire, unchanged."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote as escaped

from sequence_cli.api.client import ApiClient
from sequence_cli.errors import CliError

Row = dict[str, Any]


class MarketApi:
    """All methods raise CliError (see ApiClient)."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def quote(self, symbol: str, depth: int) -> Row:
        """``{symbol, nbbo, venues, book, source}``."""
        return self._client.call("GET", f"/v1/quotes/{_part(symbol)}", query={"depth": str(depth)})

    def markets(self, query: Mapping[str, str]) -> Row:
        """``{markets, next_cursor, has_more, ...}``."""
        answer = self._client.call("GET", "/v1/markets", query=query)
        _rows(answer, "markets")
        return answer

    def submit(self, body: Mapping[str, Any]) -> str:
        """Send an order under the body's own ``graph_id``; repeated when the network fails."""
        answer = self._client.call_repeatedly("POST", "/v1/orders", body=body, headers={})
        graph_id = answer.get("graph_id")
        if not isinstance(graph_id, str):
            raise _unexpected("graph_id")
        return graph_id

    def graph(self, graph_id: str) -> Row:
        """``{graph_id, status, nodes, ...}``."""
        return self._client.call("GET", f"/v1/execution_graphs/{_part(graph_id)}")

    def orders(self, query: Mapping[str, str]) -> list[Row]:
        """The caller's orders, newest first."""
        return _rows(self._client.call("GET", "/v1/orders", query=query), "orders")

    def fills(self, query: Mapping[str, str]) -> list[Row]:
        """The caller's fills, newest first."""
        return _rows(self._client.call("GET", "/v1/fills", query=query), "fills")

    def positions(self, query: Mapping[str, str]) -> Row:
        """``{positions, totals, as_of_ns}``."""
        answer = self._client.call("GET", "/v1/positions/unified", query=query)
        _rows(answer, "positions")
        return answer

    def cancel_order(self, node_order_id: str) -> None:
        self._client.call("DELETE", f"/v1/orders/{_part(node_order_id)}")

    def cancel_graph(self, graph_id: str) -> None:
        self._client.call("DELETE", f"/v1/execution_graphs/{_part(graph_id)}")

    def cancel_venue(self, venue: str) -> Row:
        """Cancel everything that rests on one venue."""
        return self._client.call("POST", f"/v1/venue_cancel_all/{_part(venue)}", body={})


class CredentialsApi:
    """Keys of venues; all methods raise CliError (see ApiClient)."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def listed(self) -> Row:
        """``{credentials: [...], venues: [...]}``."""
        answer = self._client.call("GET", "/v1/credentials")
        _rows(answer, "credentials")
        return answer

    def store(self, venue: str, body: Mapping[str, Any]) -> Row:
        """The stored key without any of it."""
        row = self._client.call("PUT", f"/v1/credentials/{_part(venue)}", body=body)
        credential = row.get("credential")
        if not isinstance(credential, dict):
            raise _unexpected("credential")
        return credential

    def remove(self, venue: str) -> None:
        self._client.call("DELETE", f"/v1/credentials/{_part(venue)}")


def _part(text: str) -> str:
    return escaped(text, safe="")


def _rows(answer: Row, key: str) -> list[Row]:
    rows = answer.get(key)
    if not isinstance(rows, list):
        raise _unexpected(key)
    return rows


def _unexpected(key: str) -> CliError:
    return CliError(
        f"the API's answer has no `{key}`: is the platform older than this command, or does it "
        "run without a market?"
    )
