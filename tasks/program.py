"""From a claim to the program that the sandbox runs: files, environment, limits."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from app.artifacts.archive import Archive, ArchiveError, read_archive
from app.artifacts.intake import MANIFEST_FILE
from app.secrets import layers
from app.secrets.envelope import Opener
from sandbox import (
    API_ADDRESS,
    ApiRelay,
    Limits,
    NetworkPolicy,
    Program,
    WorkspaceFile,
    with_stacks,
)
from tasks.claims import Claim

MANIFEST_PATH = f"/workspace/{MANIFEST_FILE}"

_MIB = 1 << 20
_PAGE_BYTES = 4096
_ROOM_BYTES = 4 * _MIB
_API_PORT = 8000
_DEFAULT_PORTS = {"http": 80, "https": 443}


class CorruptArtifactError(Exception):
    """What the database holds is not what was uploaded."""


def open_secrets(claim: Claim, opener: Opener) -> dict[str, str]:
    """The strategy's secrets by variable name, its API key among them.

    Raises:
        EnvelopeError: one of them does not open.
    """
    id, sealed_key = claim.strategy_id, claim.sequence_api_key
    secrets = layers.open_secrets(opener, claim.secrets, claim.secrets_changes, strategy_id=id)
    if sealed_key is None:
        return secrets
    api_key = opener.open(sealed_key, strategy_id=id, column="sequence_api_key")
    return {**secrets, "SEQUENCE_API_KEY": api_key}


@dataclass(frozen=True)
class Terms:
    """What a runner gives to every program, whatever its owner asked for."""

    api_url: str
    max_unpacked_bytes: int
    start_cpu_millis: int
    network_mode: str = "none"


def build_program(claim: Claim, secrets: dict[str, str], terms: Terms) -> Program:
    """The program of a claim.

    Raises:
        CorruptArtifactError: its bytes have another sum than at the upload, or do not unpack.
    """
    if hashlib.sha256(claim.artifact).hexdigest() != claim.artifact_sha256:
        raise CorruptArtifactError("the stored artifact has another SHA-256 than the uploaded one")
    try:
        archive = read_archive(claim.artifact, max_unpacked_bytes=terms.max_unpacked_bytes)
    except ArchiveError as error:
        raise CorruptArtifactError(str(error)) from None
    files = [*_files(archive), _manifest(claim)]
    program = Program(
        argv=(claim.entrypoint,),
        env=_environment(claim, secrets, terms.api_url),
        files=files,
        directories=[*archive.directories],
        limits=_limits(claim, terms, files),
        network=_network(claim, terms),
    )
    return with_stacks(program) if claim.watchdog.get("silence_secs", 0) > 0 else program


def api_relay(api_url: str) -> tuple[ApiRelay, str]:
    """How a sandbox reaches the API at `api_url`, and the URL under which it does.

    A host name stays, and resolves to the relay inside, so that TLS sees the right one; an
    address or `localhost` becomes the relay's own address.
    """
    parts = urlsplit(api_url)
    host = str(parts.hostname)
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    if host == "localhost" or not any(char.isalpha() for char in host) or ":" in host:
        relay = ApiRelay(host, port, (_API_PORT,))
        return relay, f"{parts.scheme}://{API_ADDRESS}:{_API_PORT}"
    return ApiRelay(host, port, (port,), (host,)), api_url


def _environment(claim: Claim, secrets: dict[str, str], api_url: str) -> dict[str, str]:
    return {
        "PYTHONUNBUFFERED": "1",
        # An entrypoint in a folder finds the client that deploy put beside that folder.
        "PYTHONPATH": "/workspace",
        **claim.env,
        **secrets,
        "SEQUENCE_API_URL": api_url,
        "SEQUENCE_STRATEGY_ID": claim.strategy_id,
        "SEQUENCE_RUN_ID": claim.run_id,
        "SEQUENCE_RUN_EPOCH": str(claim.epoch),
        "SEQUENCE_CLIENT_ID": claim.client_code,
        "SEQUENCE_IS_SANDBOX": "true" if claim.is_sandbox else "false",
        "SEQUENCE_STRATEGY_MANIFEST": MANIFEST_PATH,
    }


def _files(archive: Archive) -> list[WorkspaceFile]:
    return [
        WorkspaceFile(file.path, file.content, file.is_executable)
        for file in archive.files
        if file.path != MANIFEST_FILE
    ]


def _manifest(claim: Claim) -> WorkspaceFile:
    content = json.dumps(claim.manifest, ensure_ascii=False, indent=1).encode()
    return WorkspaceFile(MANIFEST_FILE, content)


def _network(claim: Claim, terms: Terms) -> NetworkPolicy:
    policy = claim.network
    return NetworkPolicy(policy.get("mode", terms.network_mode), tuple(policy.get("allow", ())))


def _limits(claim: Claim, terms: Terms, files: Sequence[WorkspaceFile]) -> Limits:
    memory_bytes = claim.resources["memory_mb"] * _MIB
    pages = sum(-(-len(file.content) // _PAGE_BYTES) for file in files)
    return Limits(
        cpu_millis=claim.resources["cpu_millis"],
        start_cpu_millis=terms.start_cpu_millis,
        memory_bytes=memory_bytes,
        # Files are memory: a larger workspace would end in OOM instead of "no space left". Only an
        # artifact that takes more than half gets it.
        workspace_bytes=max(memory_bytes // 2, pages * _PAGE_BYTES + _ROOM_BYTES),
        tmp_bytes=memory_bytes // 4,
        shm_bytes=memory_bytes // 4,
    )
