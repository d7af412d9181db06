"""gunicorn's own command with the settings of queueing:

    gunicorn -c etc/gunicorn.conf.py queueing.wsgi:app

What `queueing serve` does beyond this: it opens the store before it starts, it says where it
listens, and Ctrl-C ends it as gracefully as SIGTERM. Do not preload the app: an open store does not
survive a fork.
"""

import sys

from queueing import logs
from queueing.cli.master import options
from queueing.config import load
from queueing.core.errors import SetupError

try:
    _settings = load().settings
    logs.configure(_settings)
    bind = _settings.bind
    globals().update(options(_settings))
except SetupError as error:
    sys.exit(f"queueing: {error}")
