"""The routes of ``blocking.py``, served by a process that ends soon."""

from blocking import routes
from hypercorn.config import Config

from triows import Timeouts, Triows

# No command line sets it, and it would be three of the seconds that the end may take.
Config.graceful_timeout = 0.1

app = Triows(*routes, timeouts=Timeouts(close=0.1, teardown=0.1, shutdown_grace=0.1))
