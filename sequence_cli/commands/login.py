"""``sequence login``: check a key and keep it."""

import os
import sys

import click

from sequence_cli.api.client import ApiClient
from sequence_cli.api.strategies import StrategiesApi
from sequence_cli.config_file import (
    PROFILE_NAME,
    ConfigFile,
    Profile,
    config_path,
    load_config,
    save_config,
)
from sequence_cli.connection import (
    DEFAULT_API_URL,
    KEY_VARIABLE,
    URL_VARIABLE,
    Connection,
    checked_api_key,
    checked_api_url,
    sends_key_in_clear,
)
from sequence_cli.connection_options import api_key_option, api_url_option
from sequence_cli.errors import CliError


@click.command()
@api_url_option
@api_key_option
@click.option("--profile", metavar="NAME", help="Profile to write; default: the current one.")
def login(api_url: str | None, api_key: str | None, profile: str | None) -> int:
    """Check an API key and keep it in ~/.sequence/config.toml.

    Asks for what neither an option nor the environment gives.
    """
    if profile is not None and not PROFILE_NAME.fullmatch(profile):
        raise click.BadParameter("letters, digits, - and _ only", param_hint="--profile")
    path = config_path()
    config = load_config(path)
    name = profile or config.current
    known_url = config.profiles.get(name, Profile(None, None)).api_url
    url = api_url or os.environ.get(URL_VARIABLE)
    url = checked_api_url(url or _ask_url(known_url or DEFAULT_API_URL))
    key = checked_api_key(api_key or os.environ.get(KEY_VARIABLE) or _ask_key())
    if sends_key_in_clear(url):
        click.echo(f"warning: {url} is not encrypted: others may read the key", err=True)
    StrategiesApi(ApiClient(Connection(url, key))).rows()
    save_config(path, ConfigFile(name, {**config.profiles, name: Profile(url, key)}))
    click.echo(f"logged in to {url}; the key is kept as profile {name} in {path}")
    return 0


def _ask_url(default: str) -> str:
    if sys.stdin.isatty():
        return click.prompt("API URL", default=default, err=True)
    return _read_line("--api-url", allow_empty=True) or default


def _ask_key() -> str:
    if sys.stdin.isatty():
        return click.prompt("API key (not shown)", hide_input=True, err=True).strip()
    return _read_line("--api-key", allow_empty=False)


def _read_line(option: str, *, allow_empty: bool) -> str:
    """An answer from a pipe: ``printf '%s\\n' URL KEY | sequence login``."""
    line = sys.stdin.readline()
    if not line or (not line.strip() and not allow_empty):
        raise CliError(f"there is no terminal to ask on: pass {option} or its variable")
    return line.strip()
