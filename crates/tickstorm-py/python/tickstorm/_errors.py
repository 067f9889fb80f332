"""What can go wrong. Wrong types are plain ``TypeError``; everything else of ours is a :class:`TickstormError`."""


class TickstormError(Exception):
    """Something that tickstorm itself reports."""


class SettingError(TickstormError, ValueError):
    """A value that is not allowed: the text names the argument, the value and what is allowed."""


class AlreadyRunning(TickstormError, RuntimeError):
    """A generator runs one load test at a time."""


class RunError(TickstormError, RuntimeError):
    """A run that did not start or ended without a report, such as one whose target cannot be reached."""


class CheckError(TickstormError, ValueError):
    """Something that is no stream which could be checked."""
