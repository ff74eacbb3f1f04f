"""Entry point of the `web` process: gunicorn loads `app.wsgi:app` in each of its workers."""

import os
import sys

from app.factory import create_app
from app.settings import Role, SettingsError, load
from market.web import market_part

try:
    app = create_app(load(Role.WEB, os.environ), [market_part()])
except SettingsError as error:
    sys.exit(str(error))
