"""The settings of operations: how processes log, and who may read their metrics."""

from dataclasses import dataclass

from app import settings_parsers as parse
from app.access_settings import AccessSettings
from app.settings_variable import variable


@dataclass(frozen=True)
class OperationsSettings(AccessSettings):
    """What of the environment is about watching the platform itself."""

    log_format: str = variable(
        "LOG_FORMAT",
        "How the platform's own processes log: json, one object a line, or text for people.",
        parser=parse.one_of("json", "text"),
        default="json",
    )
    metrics_token: str = variable(
        "METRICS_TOKEN",
        "Bearer token for /metrics; without one the web tier's is closed, a runner's open to those"
        " who reach its port.",
        parser=parse.token,
    )
    runner_metrics_host: str = variable(
        "RUNNER_METRICS_HOST",
        "Address that a runner shows its metrics on.",
        parser=parse.text,
        unit="IP address",
        default="127.0.0.1",
    )
    runner_metrics_port: int = variable(
        "RUNNER_METRICS_PORT",
        "Port that a runner shows its metrics on, each its own; 0: none.",
        parser=parse.integer(0, 65535),
        unit="TCP port",
        default="0",
    )
