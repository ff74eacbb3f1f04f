"""Which files of a project stay out of its artifact, with the meaning that git gives them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pathspec.patterns.gitignore.base import GitIgnorePatternError
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from sequence_cli.errors import CliError

GIT_FILE = ".gitignore"
OWN_FILE = ".sequenceignore"

# No rule re-includes these: repositories, environments, caches, and files with secrets.
NEVER_PACKED = frozenset(
    {
        ".git",
        ".venv",
        "venv",
        "__pycache__",
        ".mypy_cache",
        ".ruff_cache",
        ".pytest_cache",
        ".hypothesis",
        "node_modules",
        ".DS_Store",
        ".env",
    }
)
NEVER_PACKED_SUFFIX = ".pyc"

# pathspec's expressions also match what lies below a matching folder. A walk that does not
# enter ignored folders wants the path itself and nothing else, as git reads a rule.
_FOLDER_END = "(?P<ps_d>/)"
_EXACT_ENDS = (
    (f"(?:{_FOLDER_END}|$)", "/?$"),  # `name`: a file or a folder
    (_FOLDER_END, "/$"),  # `name/`: a folder
    ("/", "/."),  # `name/**`: whatever is inside, not the folder itself
    (".", "."),  # `*`: everything
)


@dataclass(frozen=True)
class Rule:
    """One line of an ignore file. ``base`` is its folder, ``""`` or with a trailing slash."""

    base: str
    expression: re.Pattern[str]
    excludes: bool
    source: str

    def matches(self, path: str) -> bool:
        return path.startswith(self.base) and bool(self.expression.search(path[len(self.base) :]))


def read_rules(path: Path, base: str) -> list[Rule]:
    """The rules of one ignore file, in its order; none when there is no such file."""
    if not path.is_file():
        return []
    text = path.read_bytes().decode("utf-8-sig", "surrogateescape")
    return list(_parse(text.split("\n"), base, base + path.name))


def _parse(lines: Sequence[str], base: str, name: str) -> Iterator[Rule]:
    for number, line in enumerate(lines, start=1):
        try:
            expression, excludes = GitIgnoreSpecPattern.pattern_to_regex(line.rstrip("\r"))
            if expression is None or excludes is None:
                continue
            compiled = re.compile(_exact(expression, line.strip()))
        except (GitIgnorePatternError, re.error):
            raise CliError(f"{name}:{number}: {line!r} is not a valid ignore rule") from None
        yield Rule(base, compiled, excludes, f"{name}:{number} ({line.strip()})")


def _exact(expression: str, line: str) -> str:
    if line.endswith("/**/") and expression != _FOLDER_END:  # the folders inside, at any depth
        return expression.removesuffix(_FOLDER_END) + "/.*/$"
    for end, replacement in _EXACT_ENDS:
        if expression.endswith(end):
            return expression[: -len(end)] + replacement
    raise ValueError(f"unfamiliar ignore expression {expression!r}: pathspec has changed")


def never_packed(name: str) -> bool:
    """True for names that no artifact contains, whatever the ignore files say."""
    return name in NEVER_PACKED or name.endswith(NEVER_PACKED_SUFFIX)


def deciding_rule(path: str, git_rules: Sequence[Rule], own_rules: Sequence[Rule]) -> Rule | None:
    """The rule that has the last word on ``path``, None when no rule speaks of it.

    ``path`` is relative to the project, with a trailing slash for a folder. ``git_rules`` come
    outermost folder first; the project's own rules win over all of git's.
    """
    for rules in (own_rules, git_rules):
        for rule in reversed(rules):
            if rule.matches(path):
                return rule
    return None
