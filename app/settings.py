"""Every environment variable of the platform, read and validated in this one module.

A process calls `load(role)` once, at its start. All problems are reported together, each with the
name of the variable and what to do. `python -m app.settings` prints `.env.example`.
"""

import dataclasses
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from app import settings_parsers as parse
from app.market_settings import MarketSettings
from app.operations_settings import OperationsSettings
from app.settings_parsers import InvalidValueError
from app.settings_variable import Role, Variable
from app.settings_variable import variable as _variable

__all__ = ["Role", "Settings", "SettingsError", "Variable", "example_file", "load", "variables"]


class SettingsError(Exception):
    """The environment is not usable.

    Attributes:
        problems: one sentence for each problem, in the order of `.env.example`.
    """

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"the environment is not usable:\n{lines}\nSee .env.example.")


@dataclass(frozen=True)
class Settings(OperationsSettings, MarketSettings):
    """The parsed environment of one process; times in seconds, sizes in bytes."""

    database_url: str = _variable(
        "DATABASE_URL",
        "The rows that are the truth: SQLite embedded, PostgreSQL in production.",
        parser=parse.database_url,
        unit="URL",
        default="sqlite:///sequence.db",
    )
    redis_url: str = _variable(
        "REDIS_URL",
        "Log streams, wake-up channel, and the broker unless BROKER_URL names another.",
        parser=parse.redis_url,
        unit="URL",
        default="redis://127.0.0.1:6379/0",
    )
    broker_url: str = _variable(
        "BROKER_URL",
        "Celery's broker; empty: REDIS_URL. RabbitMQ works as well.",
        parser=parse.optional_url,
        unit="URL",
    )
    port: int = _variable(
        "PORT",
        "Where the web process listens.",
        parser=parse.integer(1, 65535),
        unit="TCP port",
        default="8000",
    )
    bind_host: str = _variable(
        "BIND_HOST",
        "Address that the web process listens on; every interface unless a proxy is in front.",
        parser=parse.text,
        unit="IP address",
        default="0.0.0.0",  # noqa: S104 - behind a router, as Procfile hosts expect
    )
    web_concurrency: int = _variable(
        "WEB_CONCURRENCY",
        "gunicorn workers.",
        parser=parse.integer(1, 256),
        unit="processes",
        default="2",
    )
    web_connections: int = _variable(
        "WEB_CONNECTIONS",
        "Connections that each gunicorn worker holds open, followers included.",
        parser=parse.integer(10, 100_000),
        unit="connections",
        default="2000",
    )
    credential_public_key: str = _variable(
        "CREDENTIAL_PUBLIC_KEY",
        "Seals secrets. `python -m app.admin generate-keys` makes it with its private half.",
        parser=parse.key_of_32_bytes,
        unit="32 bytes, base64",
        default=None,
        required_for=(Role.WEB,),
    )
    credential_encryption_key: tuple[str, ...] = _variable(
        "CREDENTIAL_ENCRYPTION_KEY",
        "Opens secrets; only runners may hold it. Several, newest first, separated by commas.",
        parser=parse.keys_of_32_bytes,
        unit="32 bytes, base64",
        default=None,
        required_for=(Role.RUNNER, Role.ROTATION),
    )
    api_key_hash_key: str = _variable(
        "API_KEY_HASH_KEY",
        "API keys are stored only as hashes under this key; a new one invalidates all of them.",
        parser=parse.key_of_32_bytes,
        unit="32 bytes, base64",
        default=None,
        required_for=(Role.WEB, Role.ADMIN),
    )
    latency_targets: Mapping[str, str] = _variable(
        "LATENCY_TARGETS",
        "Known latency targets, each a queue of its own, with the region that serves it.",
        parser=parse.targets,
        unit="target=region, separated by commas",
        default="default=local,coinbase=us-east-1,kalshi=eu-west-1,polymarket=eu-west-1",
    )
    artifact_max_bytes: int = _variable(
        "ARTIFACT_MAX_BYTES",
        "Largest artifact that may be uploaded, decoded.",
        parser=parse.integer(1024, 1 << 30),
        unit="bytes",
        default="10485760",
    )
    artifact_max_unpacked_bytes: int = _variable(
        "ARTIFACT_MAX_UNPACKED_BYTES",
        "Largest artifact when unpacked; it has to fit into the strategy's workspace.",
        parser=parse.integer(1024, 1 << 32),
        unit="bytes",
        default="67108864",
    )
    versions_kept: int = _variable(
        "VERSIONS_KEPT",
        "Versions of a strategy that are kept, the present one included; older ones go.",
        parser=parse.integer(2, 1000),
        unit="versions",
        default="20",
    )
    runner_name: str = _variable(
        "RUNNER_NAME",
        "Names this runner on its host; two on one host need two names.",
        parser=parse.runner_name,
        default="runner",
    )
    runner_queues: tuple[str, ...] = _variable(
        "RUNNER_QUEUES",
        "Latency targets that this runner serves; empty: all known ones.",
        parser=parse.names,
        unit="targets, separated by commas",
    )
    runner_max_strategies: int = _variable(
        "RUNNER_MAX_STRATEGIES",
        "Strategies that run at once on this runner.",
        parser=parse.integer(1, 2000),
        unit="strategies",
        default="50",
    )
    runner_cpu_millis: int = _variable(
        "RUNNER_CPU_MILLIS",
        "CPU that this runner's strategies may be given in all; 0: as much as they ask for.",
        parser=parse.integer(0, 10_000_000),
        unit="thousandths of a core",
        default="0",
    )
    runner_memory_mb: int = _variable(
        "RUNNER_MEMORY_MB",
        "Memory that this runner's strategies may be given in all; 0: as much as they ask for.",
        parser=parse.integer(0, 100_000_000),
        unit="MB",
        default="0",
    )
    runner_start_cpu_millis: int = _variable(
        "RUNNER_START_CPU_MILLIS",
        "CPU that each run may use while it starts, if that is more than its own; 0: never more.",
        parser=parse.integer(0, 64_000),
        unit="thousandths of a core",
        default="1000",
    )
    runner_start_s: float = _variable(
        "RUNNER_START_SECS",
        "How long a run counts as starting.",
        parser=parse.number(0, 60),
        unit="seconds",
        default="1",
    )
    runner_deaf_s: float = _variable(
        "RUNNER_DEAF_SECS",
        "A runner that has room but takes no message for this long although the broker answers ends"
        " with status 1, for its supervisor to start another; 0: never.",
        parser=parse.number(0, 3600),
        unit="seconds",
        default="60",
    )
    runner_first_uid: int = _variable(
        "RUNNER_FIRST_UID",
        "A root runner gives each sandbox a user id of its own, counted from here.",
        parser=parse.integer(1000, 2_000_000_000),
        unit="user id",
        default="200000",
    )
    runtime_rootfs: Path | None = _variable(  # noqa: RUF009 - as every field; only the union differs
        "RUNTIME_ROOTFS",
        "A root file system with a Python for strategies (`make runtime`); empty: the host's own.",
        parser=parse.optional_folder,
        unit="absolute path of a folder",
    )
    runner_uplink: str = _variable(
        "RUNNER_UPLINK",
        "How strategies reach the internet: user (slirp4netns), veth (root, faster), none, or auto:"
        " user where this host allows it, else none. A runner that cannot have what is named ends.",
        parser=parse.one_of("auto", "user", "veth", "none"),
        default="auto",
    )
    sequence_api_url: str = _variable(
        "SEQUENCE_API_URL",
        "The platform's API as the runner reaches it; strategies are let through to it alone.",
        parser=parse.http_url,
        unit="URL",
        default="http://127.0.0.1:8000",
    )
    lease_s: float = _variable(
        "LEASE_SECS",
        "How long a runner owns a strategy without renewing; a lost runner is noticed after it.",
        parser=parse.number(2, 300),
        unit="seconds",
        default="15",
    )
    heartbeat_s: float = _variable(
        "HEARTBEAT_SECS",
        "How often a runner renews its leases; at most a third of LEASE_SECS.",
        parser=parse.number(0.2, 100),
        unit="seconds",
        default="3",
    )
    sweep_s: float = _variable(
        "SWEEP_SECS",
        "How often the scheduler looks for what is due or lost.",
        parser=parse.number(0.05, 60),
        unit="seconds",
        default="0.5",
    )
    requeue_after_s: float = _variable(
        "REQUEUE_AFTER_SECS",
        "A queued strategy that nobody claimed for this long is announced again.",
        parser=parse.number(0.5, 3600),
        unit="seconds",
        default="2",
    )
    stop_grace_s: float = _variable(
        "STOP_GRACE_SECS",
        "Between SIGTERM and SIGKILL when a strategy is stopped.",
        parser=parse.number(0, 300),
        unit="seconds",
        default="10",
    )
    log_level: str = _variable(
        "LOG_LEVEL",
        "How much the platform's own processes say.",
        parser=parse.one_of("debug", "info", "warning", "error"),
        default="info",
    )
    flower_basic_auth: str = _variable(
        "FLOWER_BASIC_AUTH",
        "Who may see Flower; Flower reads it itself.",
        parser=parse.user_and_password,
        unit="user:password",
        default=None,
        required_for=(Role.FLOWER,),
    )
    flower_port: int = _variable(
        "FLOWER_PORT",
        "Where Flower listens; Flower reads it itself.",
        parser=parse.integer(1, 65535),
        unit="TCP port",
        default="5555",
    )

    @property
    def broker(self) -> str:
        """URL of Celery's broker."""
        return self.broker_url or self.redis_url

    @property
    def strategies_api_url(self) -> str:
        """The API that strategies are given."""
        return self.sequence_upstream_url or self.sequence_api_url

    @property
    def queues(self) -> tuple[str, ...]:
        """The queues that a runner with these settings consumes."""
        return self.runner_queues or tuple(self.latency_targets)


def variables() -> list[tuple[str, Variable]]:
    """Attribute name and variable for each setting, in the order of `.env.example`."""
    return [
        (field.name, cast(Variable, field.metadata["variable"]))
        for field in dataclasses.fields(Settings)
    ]


def load(role: Role, environ: Mapping[str, str]) -> Settings:
    """Parse and check the environment for a process of this role.

    Raises:
        SettingsError: with every problem there is, not only the first.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for attribute, variable in variables():
        text = environ.get(variable.name, "").strip() or variable.default
        if not text:
            if role in variable.required_for:
                problems.append(f"{variable.name} is not set: {variable.help}")
            values[attribute] = variable.parser("") if text is not None else ""
            continue
        try:
            values[attribute] = variable.parser(text)
        except InvalidValueError as error:
            problems.append(f"{variable.name} {error} (unit: {variable.unit})")
    problems += _contradictions(values)
    if problems:
        raise SettingsError(problems)
    return Settings(**values)


def _contradictions(values: Mapping[str, Any]) -> list[str]:
    """What contradicts what, as far as the values could be parsed."""
    problems = []
    heartbeat_s, lease_s = values.get("heartbeat_s"), values.get("lease_s")
    if heartbeat_s and lease_s and heartbeat_s * 3 > lease_s:
        problems.append(
            f"HEARTBEAT_SECS ({heartbeat_s:g}) must be at most a third of "
            f"LEASE_SECS ({lease_s:g}), or one late beat kills every strategy"
        )
    targets = values.get("latency_targets")
    if targets is None:
        return problems
    unknown = [name for name in values.get("runner_queues", ()) if name not in targets]
    if unknown:
        problems.append(
            f"RUNNER_QUEUES names {', '.join(unknown)}, which LATENCY_TARGETS does not know; "
            f"known are {', '.join(targets)}"
        )
    if "default" not in targets:
        problems.append("LATENCY_TARGETS must have a target `default`, for those who name none")
    return problems


def example_file() -> str:
    """The text of `.env.example`."""
    blocks = [
        "# Every setting of the platform, with its default and unit; `python -m app.settings`"
    ]
    blocks[0] += " prints this file.\n"
    for _, variable in variables():
        required = ", ".join(sorted(variable.required_for))
        note = f" Required for: {required}." if required else ""
        value = variable.default or ""
        assignment = f"{variable.name}={value}"
        if variable.default is None or value == "":
            assignment = f"# {variable.name}="
        blocks.append(f"# {variable.help}{note}\n# Unit: {variable.unit}\n{assignment}\n")
    return "\n".join(blocks)


if __name__ == "__main__":
    sys.stdout.write(example_file())
