"""The group ``sequence strategy``."""

import click

from sequence_cli.lazy_group import LazyGroup

MEMBERS = {
    "deploy": "sequence_cli.commands.strategy_deploy:deploy",
    "push": "sequence_cli.commands.strategy_deploy:push",
    "list": "sequence_cli.commands.strategy_list:list_strategies",
    "status": "sequence_cli.commands.strategy_status:status",
    "start": "sequence_cli.commands.strategy_start:start",
    "stop": "sequence_cli.commands.strategy_stop:stop",
    "set": "sequence_cli.commands.strategy_set:set_settings",
    "restart": "sequence_cli.commands.strategy_restart:restart",
    "delete": "sequence_cli.commands.strategy_delete:delete",
    "logs": "sequence_cli.commands.strategy_logs:logs",
    "why": "sequence_cli.commands.strategy_why:why",
    "runs": "sequence_cli.commands.strategy_runs:runs",
    "events": "sequence_cli.commands.strategy_events:events",
    "versions": "sequence_cli.commands.strategy_versions:versions",
    "rollback": "sequence_cli.commands.strategy_rollback:rollback",
}


@click.group(cls=LazyGroup, members=MEMBERS)
def strategy() -> None:
    """Deploy, start, stop and watch hosted strategies.

    NAME is a strategy's name or its id.
    """
