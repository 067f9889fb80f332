"""The program ``tickstorm``: ``python -m tickstorm --duration 60 --multiplier 10``."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

from . import _tickstorm


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program with these arguments, by default those of the process, and returns its exit code."""
    # Python's own handler would only act once the program has ended.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    words = sys.argv[1:] if arguments is None else arguments
    code = _tickstorm.run_program(["tickstorm", *words])
    sys.stdout.flush()
    return code


if __name__ == "__main__":
    sys.exit(main())
