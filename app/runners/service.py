"""What may be asked about runners."""

from typing import Any

from app.api.context import Services
from app.runners import repository


def list_all(services: Services) -> list[dict[str, Any]]:
    """Every runner by name: its columns, and `is_live` for one that was heard of lately."""
    with services.database.reading() as session:
        return [
            {**vars(runner), "is_live": is_alive}
            for runner, is_alive in repository.list_all(session)
        ]
