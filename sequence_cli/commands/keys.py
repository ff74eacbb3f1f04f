"""The group ``sequence keys``."""

import click

from sequence_cli.lazy_group import LazyGroup

MEMBERS = {
    "list": "sequence_cli.commands.keys_list:list_keys",
    "create": "sequence_cli.commands.keys_create:create",
    "rotate": "sequence_cli.commands.keys_rotate:rotate",
    "revoke": "sequence_cli.commands.keys_revoke:revoke",
}


@click.group(cls=LazyGroup, members=MEMBERS)
def keys() -> None:
    """Make, rotate and revoke API keys; yours needs the scope admin.

    KEY is a key's id, its label, or how it begins, as `sequence keys list` shows them.
    """
