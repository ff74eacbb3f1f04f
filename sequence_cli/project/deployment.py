"""Turn a folder and the command line's overrides into the body of a deploy request."""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sequence_cli.documents import read_json_object
from sequence_cli.errors import CliError
from sequence_cli.project.archive import pack
from sequence_cli.project.entrypoint import checked_entrypoint
from sequence_cli.project.json_values import json_safe
from sequence_cli.project.project_file import FILE_NAME, load_project_file
from sequence_cli.project.tree import read_tree
from sequence_cli.project.variables import variable_problems
from sequence_cli.project.vendored_client import (
    PACKAGE,
    brings_own_client,
    client_files,
    client_version,
)

_POLICIES = ("network", "restart", "stop", "hooks", "watchdog", "schedule")
_LISTS = ("allow", "on")  # one string will do
_MASKED_CHARS = 6
_RESOURCES = ("cpu_millis", "memory_mb", "timeout_secs")


@dataclass(frozen=True)
class Overrides:
    """Options of one deploy; they win over Sequence.toml. None or empty: not given."""

    env: Mapping[str, str]
    secrets_file: Path | None = None
    manifest_file: Path | None = None
    memory_mb: int | None = None
    cpu_millis: int | None = None
    timeout_secs: int | None = None
    latency_targets: tuple[str, ...] = ()
    name: str | None = None
    entrypoint: str | None = None


@dataclass(frozen=True)
class Deployment:
    """``body`` lacks only ``sequence_api_key`` and ``start_immediately``."""

    body: Mapping[str, Any]
    artifact_sha256: str
    artifact_bytes: int
    file_count: int
    notes: tuple[str, ...]


def prepare_deployment(directory: Path, overrides: Overrides) -> Deployment:
    """Read, check and pack the project. Raises CliError for everything that is wrong with it."""
    if not directory.is_dir():
        raise CliError(f"{directory} is not a folder: give the folder that holds {FILE_NAME}")
    document = load_project_file(directory)
    body = _settings(directory, document, overrides)
    tree = read_tree(directory, _secret_files(directory, document, overrides))
    if not tree.files.keys() - {FILE_NAME}:
        raise CliError(
            f"{directory} has no file to deploy: everything in it but {FILE_NAME} is missing "
            "or ignored",
            [f"{path} {reason}" for path, reason in sorted(tree.ignored.items())][:8],
        )
    body["entrypoint"] = checked_entrypoint(body["entrypoint"], tree)
    files = list(tree.files.values())
    notes = [_withheld_note(path) for path in tree.withheld]
    notes += [_short_note(name) for name in _short_secrets(body.get("secrets", {}))]
    if not brings_own_client(tree.files):
        files += client_files()
        notes.append(f"added the client library ({PACKAGE} {client_version()})")
    artifact = pack(files)
    body["artifact_base64"] = base64.b64encode(artifact).decode("ascii")
    digest = hashlib.sha256(artifact).hexdigest()
    return Deployment(body, digest, len(artifact), len(files), tuple(notes))


def _short_secrets(secrets: Mapping[str, str]) -> list[str]:
    return sorted(name for name, value in secrets.items() if len(value.strip()) < _MASKED_CHARS)


def _short_note(name: str) -> str:
    return f"secret {name} has fewer than {_MASKED_CHARS} characters: it is not masked in the log"


def _withheld_note(path: str) -> str:
    return f"{path} holds secrets and stays out of the artifact"


def _secret_files(
    directory: Path, document: Mapping[str, Any], overrides: Overrides
) -> Iterable[Path]:
    if _hosted(document).get("secrets"):
        yield directory / FILE_NAME
    if overrides.secrets_file is not None:
        yield overrides.secrets_file


def _settings(directory: Path, document: Mapping[str, Any], overrides: Overrides) -> dict[str, Any]:
    strategy, hosted = document.get("strategy", {}), _hosted(document)
    source = str(directory / FILE_NAME)
    body = {
        "name": _required(
            overrides.name or strategy.get("name"), source, "strategy.name", "--name"
        ),
        "runtime": strategy.get("runtime", "python"),
        "entrypoint": _required(
            overrides.entrypoint or hosted.get("entrypoint"),
            source,
            "hosted.entrypoint",
            "--entrypoint",
        ),
        "manifest": _manifest(source, document, overrides),
    }
    optional = {
        "env": {**hosted.get("env", {}), **_checked(overrides.env, "--env ")},
        "secrets": {**hosted.get("secrets", {}), **_secrets(overrides.secrets_file)},
        "placement": _placement(hosted, overrides),
        **{name: _policy(hosted, name) for name in _POLICIES},
        "resources": _resources(hosted, overrides),
        "risk": json_safe(document.get("risk", {}), source, "risk"),
    }
    return body | {key: value for key, value in optional.items() if value}


def _hosted(document: Mapping[str, Any]) -> Mapping[str, Any]:
    hosted: Mapping[str, Any] = document.get("hosted", {})
    return hosted


def _required(value: str | None, source: str, key: str, option: str) -> str:
    if not value:
        raise CliError(f"{source}: {key} is missing: add it, or pass {option}")
    return value


def _manifest(source: str, document: Mapping[str, Any], overrides: Overrides) -> Any:
    if overrides.manifest_file is not None:
        return json_safe(read_json_object(overrides.manifest_file), str(overrides.manifest_file))
    public = dict(document)
    if "hosted" in public:
        public["hosted"] = {k: v for k, v in public["hosted"].items() if k != "secrets"}
    return json_safe(public, source)


def _secrets(path: Path | None) -> Mapping[str, str]:
    return {} if path is None else _checked(read_json_object(path), f"{path}: ")


def _checked(variables: Mapping[str, Any], prefix: str) -> Mapping[str, str]:
    problems = list(variable_problems(variables, prefix))
    if problems:
        raise CliError(problems[0], problems[1:])
    return variables


def _policy(hosted: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The table ``[hosted.NAME]`` as the API takes it."""
    return {
        key: [value] if key in _LISTS and isinstance(value, str) else value
        for key, value in hosted.get(name, {}).items()
    }


def _placement(hosted: Mapping[str, Any], overrides: Overrides) -> dict[str, Any]:
    placement = dict(hosted.get("placement", {}))
    targets = list(overrides.latency_targets) or placement.get("latency_target")
    if targets is not None:
        placement["latency_target"] = [targets] if isinstance(targets, str) else targets
    return placement


def _resources(hosted: Mapping[str, Any], overrides: Overrides) -> dict[str, int]:
    given = {key: getattr(overrides, key) for key in _RESOURCES}
    return {
        **hosted.get("resources", {}),
        **{key: value for key, value in given.items() if value is not None},
    }
