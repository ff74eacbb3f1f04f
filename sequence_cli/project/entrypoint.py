"""Is the entrypoint there, and is it Python?"""

import io
import posixpath
import sys
import tokenize
import warnings

from sequence_cli.errors import CliError
from sequence_cli.project.project_file import FILE_NAME
from sequence_cli.project.tree import ProjectTree, SourceFile

_MAX_CANDIDATES = 8


def checked_entrypoint(entrypoint: str, tree: ProjectTree) -> str:
    """The entrypoint as a clean relative path of a packed file that compiles.

    Raises CliError: outside the project, not packed (with the rule that removed it, and the
    Python files there are), or a syntax error, shown as file:line:column with its line.
    """
    path = posixpath.normpath(entrypoint)
    if not entrypoint or path.startswith(("/", "..")) or "\\" in entrypoint or path == ".":
        raise CliError(
            f"entrypoint {entrypoint!r} must be the path of a file inside the project, "
            "such as main.py"
        )
    if path not in tree.files:
        raise _missing(path, tree)
    check_syntax(tree.files[path])
    return path


def _missing(path: str, tree: ProjectTree) -> CliError:
    reason = _why_left_out(path, tree)
    candidates = [name for name in tree.files if name.endswith(".py")]
    details = [f"Python files in it: {', '.join(candidates[:_MAX_CANDIDATES])}"]
    if len(candidates) > _MAX_CANDIDATES:
        details[0] += f" and {len(candidates) - _MAX_CANDIDATES} more"
    advice = "correct that rule" if reason else f"correct hosted.entrypoint in {FILE_NAME}"
    return CliError(
        f"the entrypoint {path} is not in the artifact{reason and f': {reason}'}; "
        f"{advice} or pass --entrypoint",
        details if candidates else [],
    )


def _why_left_out(path: str, tree: ProjectTree) -> str:
    parts = path.split("/")
    folders = ["/".join(parts[:count]) + "/" for count in range(1, len(parts))]
    for candidate in [*folders, path]:
        if candidate in tree.ignored:
            return f"{candidate} {tree.ignored[candidate]}"
    if path in tree.withheld:
        return f"{path} holds secrets"
    return ""


def check_syntax(file: SourceFile) -> None:
    """Compile the file's bytes, by their own coding line, without running or writing it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(file.content, file.path, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise _syntax_error(file, error) from None
    except (ValueError, RecursionError, MemoryError) as error:
        reason = str(error) or "the code is nested too deeply"
        raise CliError(f"{file.path}:1:1: {reason}") from None


def _syntax_error(file: SourceFile, error: SyntaxError) -> CliError:
    line_number, column = error.lineno or 1, max(error.offset or 1, 1)
    details = []
    line = _source_line(file.content, line_number) if error.lineno else ""
    if line:
        caret_gap = "".join("\t" if c == "\t" else " " for c in line[: column - 1])
        details = [line, f"{caret_gap}^"]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    details.append(f"nothing was uploaded (checked as Python {version})")
    return CliError(f"{file.path}:{line_number}:{column}: {error.msg}", details)


def _source_line(content: bytes, number: int) -> str:
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    except SyntaxError:
        encoding = "utf-8"
    lines = content.decode(encoding, "replace").splitlines()
    return lines[number - 1].rstrip() if number <= len(lines) else ""
