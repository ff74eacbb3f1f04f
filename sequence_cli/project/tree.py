"""Read a project's folder into memory: what is packed, what is not, and why."""

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sequence_cli.errors import CliError
from sequence_cli.project.ignore_rules import (
    GIT_FILE,
    OWN_FILE,
    Rule,
    deciding_rule,
    never_packed,
    read_rules,
)

MAX_PROJECT_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True)
class SourceFile:
    """``path`` is relative to the project, with forward slashes."""

    path: str
    content: bytes
    executable: bool


@dataclass(frozen=True)
class ProjectTree:
    """``ignored`` maps what was left out (folders end in a slash) to the reason;
    ``withheld`` are the paths that would have been packed but hold secrets."""

    files: Mapping[str, SourceFile]
    ignored: Mapping[str, str]
    withheld: tuple[str, ...]


def read_tree(directory: Path, secret_files: Iterable[Path]) -> ProjectTree:
    """Walk ``directory`` by the ignore rules; files in ``secret_files`` are withheld.

    They are recognised by device and inode, so neither a link nor another spelling of the
    path lets one slip in. Raises CliError for symbolic links that lead anywhere but to a
    file of the tree, for sockets, pipes and devices, for unreadable files, for names that
    are not UTF-8, and for more than ``MAX_PROJECT_BYTES``.
    """
    secret = {(status.st_dev, status.st_ino) for status in map(os.stat, secret_files)}
    return _Walk(directory, secret).run()


class _Walk:
    def __init__(self, directory: Path, secret: set[tuple[int, int]]) -> None:
        self._root = directory.resolve()
        self._secret = secret
        self._own_rules = read_rules(self._root / OWN_FILE, "")
        self._files: dict[str, SourceFile] = {}
        self._ignored: dict[str, str] = {}
        self._withheld: list[str] = []
        self._total_bytes = 0

    def run(self) -> ProjectTree:
        self._folder("", [])
        return ProjectTree(self._files, self._ignored, tuple(self._withheld))

    def _folder(self, base: str, outer_rules: list[Rule]) -> None:
        git_rules = outer_rules + read_rules(self._root / base / GIT_FILE, base)
        try:
            with os.scandir(self._root / base) as entries:
                ordered = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise CliError(f"{base or self._root}: cannot be read: {error.strerror}") from error
        for entry in ordered:
            is_folder = entry.is_dir(follow_symlinks=False)
            path = f"{base}{entry.name}/" if is_folder else base + entry.name
            reason = self._exclusion(entry.name, path, git_rules)
            if reason:
                self._ignored[path] = reason
            elif is_folder:
                self._folder(path, git_rules)
            else:
                self._file(path)

    def _exclusion(self, name: str, path: str, git_rules: list[Rule]) -> str:
        if never_packed(name):
            return f"{name} is never packed"
        rule = deciding_rule(path, git_rules, self._own_rules)
        return f"ignored by {rule.source}" if rule is not None and rule.excludes else ""

    def _file(self, path: str) -> None:
        try:
            path.encode()
        except UnicodeEncodeError:
            raise CliError(
                f"{path!r}: the file's name is not UTF-8: rename it or ignore it in {OWN_FILE}"
            ) from None
        place = self._root / path
        if place.is_symlink():
            place = self._link_target(path)
        status = place.stat()
        if not stat.S_ISREG(status.st_mode):
            raise CliError(
                f"{path} is a pipe, socket or device and cannot be packed: "
                f"remove it or ignore it in {OWN_FILE}"
            )
        if (status.st_dev, status.st_ino) in self._secret:
            self._withheld.append(path)
            return
        self._count(status.st_size)
        try:
            content = place.read_bytes()
        except OSError as error:
            raise CliError(f"{path}: cannot be read: {error.strerror}") from error
        # The owner's bit alone, as git does: the others depend on the umask of a checkout.
        self._files[path] = SourceFile(path, content, bool(status.st_mode & stat.S_IXUSR))

    def _link_target(self, path: str) -> Path:
        try:
            target = (self._root / path).resolve(strict=True)
        except (OSError, RuntimeError) as error:
            looped = isinstance(error, RuntimeError) or not isinstance(error, FileNotFoundError)
            why = "leads in a circle" if looped else "points to nothing"
            raise self._bad_link(path, why) from error
        if not target.is_relative_to(self._root):
            raise self._bad_link(path, "points outside the project")
        if target.is_dir():
            raise self._bad_link(path, "points to a folder")
        if any(never_packed(part) for part in target.relative_to(self._root).parts):
            raise self._bad_link(path, "points to something that is never packed")
        return target

    def _bad_link(self, path: str, why: str) -> CliError:
        return CliError(
            f"the symbolic link {path} {why}: replace it by a file or ignore it in {OWN_FILE}"
        )

    def _count(self, size_bytes: int) -> None:
        self._total_bytes += size_bytes
        if self._total_bytes > MAX_PROJECT_BYTES:
            largest = sorted(self._files.values(), key=lambda file: -len(file.content))[:3]
            raise CliError(
                f"the project holds more than {MAX_PROJECT_BYTES // 2**20} MiB: "
                f"ignore what the strategy does not need in {OWN_FILE}",
                [f"{file.path}: {len(file.content)} bytes" for file in largest],
            )
