"""Entry point of the `flower` process: `celery -A tasks.flower_app flower`."""

import os
import sys

from app.settings import Role, SettingsError, load
from tasks.celery_app import create_celery

try:
    app = create_celery(load(Role.FLOWER, os.environ))
except SettingsError as error:
    sys.exit(str(error))
