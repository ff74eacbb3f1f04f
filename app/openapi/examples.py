"""Examples for the specification: one for each body and each answer, by operation."""

from typing import Any

_ID = "5dfbea6f-3698-4cf4-b493-3a48a69797d4"
_RUN_ID = "492cc175-53a1-4c0e-9d0e-3d0a54b0c1f7"
_KEY_ID = "0b8f6a0e-6f0d-4c87-a3a5-0c4b9d3c3d11"
_SHA256 = "8d4c06fd9322df3e280847c8a34dc884e31a6c900f86ec94189d7758bc8233fb"
_TIME = 1777414125

_SETTINGS: dict[str, Any] = {
    "env": {"LOG_LEVEL": "info"},
    "manifest": {},
    "placement": {"latency_target": ["coinbase"]},
    "resources": {"cpu_millis": 250, "memory_mb": 512, "timeout_secs": 0},
    "risk": {"max_notional": 1000},
    "network": {"mode": "allow", "allow": ["*.coinbase.com:443"]},
    "restart": {"policy": "on-failure"},
    "stop": {"grace_secs": 30},
    "hooks": {},
    "watchdog": {"silence_secs": 120},
    "schedule": {},
    "deploy": {"auto_rollback_secs": 300},
}
_CONTENT = {
    "runtime": "python",
    "entrypoint": "main.py",
    "artifact_sha256": _SHA256,
    "size_bytes": 20334,
}
STRATEGY: dict[str, Any] = {
    "strategy_id": _ID,
    "name": "btc-dip-buyer",
    "version": 2,
    **_CONTENT,
    "desired_state": "running",
    "status": "running",
    "status_reason": "started",
    "is_sandbox": False,
    "latency_target": "coinbase",
    "run_id": _RUN_ID,
    "restart_count": 0,
    "exit_code": None,
    "next_restart_at": None,
    "next_run_at": None,
    **_SETTINGS,
    "created_at": _TIME,
    "updated_at": _TIME,
}
_RUN: dict[str, Any] = {
    "run_id": _RUN_ID,
    "epoch": 3,
    "version": 2,
    "started_at": _TIME,
    "ended_at": None,
    "reason": None,
    "exit_code": None,
    "usage": {"memory_bytes": 31457280, "cpu_s": 1.5},
    "isolation": {"cgroup": "v2"},
}
_PAST_RUN = {**_RUN, "runner_id": "runner-1", "artifact_sha256": _SHA256, "evidence": None}
_EVENT = {
    "event_id": 17,
    "at": _TIME,
    "ts_ms": _TIME * 1000,
    "event": "claim",
    "from_status": "queued",
    "to_status": "running",
    "reason": "started",
    "actor": "runner:runner-1",
    "run_id": _RUN_ID,
    "epoch": 3,
}
_VERSION = {
    "version": 2,
    "origin": "create",
    "source_version": None,
    "actor": f"key:{_KEY_ID}",
    "created_at": _TIME,
    **_CONTENT,
    **_SETTINGS,
}
_KEY = {
    "key_id": _KEY_ID,
    "label": "bot",
    "prefix": "seq_live_1f0c9a3e",
    "is_sandbox": False,
    "scopes": ["read", "deploy"],
    "created_at": _TIME,
    "last_used_at": None,
    "expires_at": None,
}
_NEW_KEY = {"api_key": {**_KEY, "key": "seq_live_1f0c9a3e" + "0" * 56}}
_ONE = {"strategy": STRATEGY}

_ARTIFACT = (
    "H4sIAAAAAAACA8tNzMzTK6hkoCUwAAIzExMwDQTotIGBoTmCDRY3NzIxZFAwYKADKC0uSSwCWskwMkFB"
    "UWZeiYZ6RmpOTr66JhfDKBgFo2AUjIKRAQAM/TzCAAgAAA=="
)
"""A tar.gz with a main.py that says hello."""

BODIES: dict[str, Any] = {
    "create_strategy": {
        "name": "btc-dip-buyer",
        "runtime": "python",
        "entrypoint": "main.py",
        "artifact_base64": _ARTIFACT,
        "start_immediately": True,
        "env": {"LOG_LEVEL": "info"},
        "secrets": {"SLACK_WEBHOOK": "https://hooks.slack.example/..."},
        "placement": {"latency_target": ["coinbase"]},
        "resources": {"cpu_millis": 250, "memory_mb": 512},
    },
    "update_strategy": {
        "env": {"LOG_LEVEL": "debug", "OLD": None},
        "resources": {"memory_mb": 256},
    },
    "roll_back": {"version": 1},
    "create_key": {"label": "bot", "sandbox": False, "scopes": ["read", "deploy"]},
    "rotate_key": {"grace_secs": 3600},
}
"""By operation."""

ANSWERS: dict[str, Any] = {
    "create_strategy": _ONE,
    "list_strategies": {"strategies": [STRATEGY]},
    "get_strategy": {"strategy": {**STRATEGY, "waiting": None, "run": _RUN}},
    "update_strategy": _ONE,
    "start_strategy": _ONE,
    "stop_strategy": _ONE,
    "delete_strategy": {"strategy_id": _ID, "deleted": True},
    "list_versions": {"strategy_id": _ID, "versions": [_VERSION], "next_before": None},
    "roll_back": _ONE,
    "list_runs": {"strategy_id": _ID, "runs": [_PAST_RUN], "next_before": None},
    "get_run": {"run": _PAST_RUN},
    "list_events": {"strategy_id": _ID, "events": [_EVENT], "next_before": None},
    "create_key": _NEW_KEY,
    "list_keys": {"api_keys": [_KEY]},
    "rotate_key": _NEW_KEY,
    "revoke_key": {"key_id": _KEY_ID, "revoked": True},
    "read_logs": {
        "strategy_id": _ID,
        "run_id": _RUN_ID,
        "logs": [
            {
                "id": "3-17",
                "run_id": _RUN_ID,
                "ts_ms": _TIME * 1000,
                "stream": "stdout",
                "line": '{"event": "filled", "size": 1}',
            }
        ],
        "next_after": "3-17",
    },
    "list_runners": {
        "runners": [
            {
                "runner_id": "runner-1",
                "name": "runner",
                "host": "fra-1",
                "version": "1.0",
                "queues": ["default", "coinbase"],
                "is_live": True,
                "is_stopping": False,
                "running": 3,
                "max_strategies": 50,
                "cpu_millis": None,
                "memory_mb": 8192,
                "used_cpu_millis": 750,
                "used_memory_mb": 1536,
                "started_at": _TIME,
                "last_heartbeat_at": _TIME,
            }
        ]
    },
    "get_account": {
        "account": {
            "client": "acme",
            "is_sandbox": False,
            "scopes": ["admin", "deploy", "read"],
            "quotas": {"running": {"limit": 5, "used": 2}},
            "limits": {"artifact_max_bytes": 10485760, "requests_per_second": 100.0},
        }
    },
}
"""By operation: what a success answers."""
