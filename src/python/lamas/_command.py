"""The command ``lamas``."""

import signal
import sys

from . import _native
from ._commands import settle_threads


def main() -> int:
    """Runs the command line of this process and returns its exit code."""
    # Python would only take note of Ctrl-C, and the native part would go on.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    settle_threads()
    return _native.run(["lamas", *sys.argv[1:]])
