"""The one fatal error of the command line; ``sequence_cli.main`` is its only handler."""

from collections.abc import Iterable


class CliError(Exception):
    """Ends the command with exit status 1.

    ``message`` is one sentence that says what is wrong and what to do next; ``details``
    are further lines, shown indented below it, in this order.
    """

    def __init__(self, message: str, details: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.details = tuple(details)
