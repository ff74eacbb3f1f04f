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
