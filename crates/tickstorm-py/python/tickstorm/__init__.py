"""Storms a trading system with realistic exchange traffic, and says with evidence whether it held.

Start from :class:`LoadGenerator`, which calls your code or storms a server, from :class:`MockExchange`, which clients of
the venues connect to, or from :class:`WebSocketMessageGenerator`, which hands out messages without a target.
"""

from ._check import CheckReport, check
from ._errors import AlreadyRunning, CheckError, RunError, SettingError, TickstormError
from ._exchange import MockExchange
from ._generator import LoadGenerator
from ._messages import WebSocketMessageGenerator
from ._profile import LoadProfile
from ._report import Report
from ._tickstorm import VERSION as __version__
from ._tickstorm import Metrics

__all__ = [
    "AlreadyRunning",
    "CheckError",
    "CheckReport",
    "LoadGenerator",
    "LoadProfile",
    "Metrics",
    "MockExchange",
    "Report",
    "RunError",
    "SettingError",
    "TickstormError",
    "WebSocketMessageGenerator",
    "__version__",
    "check",
]
