"""Aligned plain text: tables and key/value lists."""

from collections.abc import Sequence

from sequence_cli.output.terminal_text import visible


def aligned_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table with two spaces between columns and no trailing spaces."""
    cells = [list(header), *([visible(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def aligned_pairs(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Lines ``key  value`` with the values in one column."""
    width = max((len(key) for key, _ in pairs), default=0)
    return [f"{key.ljust(width)}  {visible(value)}".rstrip() for key, value in pairs]
