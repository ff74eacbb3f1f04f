"""The settings of access: keys, and whoever tries without one."""

from dataclasses import dataclass

from app import settings_parsers as parse
from app.log_settings import LogSettings
from app.settings_variable import variable


@dataclass(frozen=True)
class AccessSettings(LogSettings):
    """What of the environment is about who may come in."""

    api_key_grace_s: float = variable(
        "API_KEY_GRACE_SECS",
        "How long a key that was rotated is still valid beside the new one.",
        parser=parse.number(0, 31_536_000),
        unit="seconds",
        default="86400",
    )
    auth_failures_per_minute: int = variable(
        "AUTH_FAILURES_PER_MINUTE",
        "Wrong keys that one address may try; valid ones pass all the same.",
        parser=parse.integer(1, 1_000_000),
        unit="attempts",
        default="30",
    )
    proxy_hops: int = variable(
        "PROXY_HOPS",
        "Proxies in front of the web process whose X-Forwarded-For is believed.",
        parser=parse.integer(0, 10),
        unit="proxies",
        default="0",
    )
    rate_limit_qps: float = variable(
        "RATE_LIMIT_QPS",
        "Requests that each key may make in the long run, twice as many at once; 0: no limit.",
        parser=parse.number(0, 1_000_000),
        unit="requests a second",
        default="100",
    )
    quota_strategies: int = variable(
        "QUOTA_STRATEGIES",
        "Strategies that each client may have; 0: no limit.",
        parser=parse.integer(0, 1 << 50),
        unit="strategies",
        default="0",
    )
    quota_running: int = variable(
        "QUOTA_RUNNING",
        "Strategies of each client that may run at once; 0: no limit.",
        parser=parse.integer(0, 1 << 50),
        unit="strategies",
        default="0",
    )
    quota_cpu_millis: int = variable(
        "QUOTA_CPU_MILLIS",
        "CPU that each client's running strategies may be given in all; 0: no limit.",
        parser=parse.integer(0, 1 << 50),
        unit="thousandths of a core",
        default="0",
    )
    quota_memory_mb: int = variable(
        "QUOTA_MEMORY_MB",
        "Memory that each client's running strategies may be given in all; 0: no limit.",
        parser=parse.integer(0, 1 << 50),
        unit="MB",
        default="0",
    )
    quota_artifact_bytes: int = variable(
        "QUOTA_ARTIFACT_BYTES",
        "Artifacts of each client, those of kept versions included; 0: no limit.",
        parser=parse.integer(0, 1 << 50),
        unit="bytes",
        default="0",
    )
    quota_env_bytes: int = variable(
        "QUOTA_ENV_BYTES",
        "Names and values of the variables of each client's strategies in all; 0: no limit.",
        parser=parse.integer(0, 1 << 50),
        unit="bytes",
        default="0",
    )
    quota_secret_bytes: int = variable(
        "QUOTA_SECRET_BYTES",
        "Secrets of each client's strategies in all, as they are sealed; 0: no limit.",
        parser=parse.integer(0, 1 << 50),
        unit="bytes",
        default="0",
    )
