"""Entry point of the `web` process: gunicorn loads `app.wsgi:app` in each of its workers."""

import os
import sys

from app.factory import create_app
from app.settings import Role, SettingsError, load

try:
    app = create_app(load(Role.WEB, os.environ))
except SettingsError as error:
    sys.exit(str(error))
