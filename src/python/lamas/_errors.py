"""The exceptions of the package."""

from typing import Optional


class Error(Exception):
    """Something went wrong. ``str(error)`` says what was expected, what was found and what to do."""

    @property
    def hint(self) -> Optional[str]:
        """What to do about it, if that is known."""
        _, found, hint = str(self).partition("; hint: ")
        return hint if found else None


class InputError(Error, ValueError):
    """Your input or settings are wrong, or your key."""


class OutsideError(Error, RuntimeError):
    """Something else failed, such as a network, an endpoint or a disk."""


class CapError(Error):
    """Work was stopped by a cap on dollars or tokens. A run can be resumed."""
