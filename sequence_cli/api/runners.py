"""The runners endpoint."""

from typing import Any

from sequence_cli.api.client import ApiClient
from sequence_cli.errors import CliError


def runner_rows(client: ApiClient) -> list[dict[str, Any]]:
    """Every runner that the platform heard of within the hour; CliError (see ApiClient)."""
    rows = client.call("GET", "/v1/runners").get("runners")
    if not isinstance(rows, list):
        raise CliError(
            "the API's answer has no `runners`: is the platform older than this command?"
        )
    return rows
