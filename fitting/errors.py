"""What is wrong with the input of a fit."""

from __future__ import annotations


class FittingError(Exception):
    """Base of all errors that fits raise on purpose."""


class UnknownSurfaceError(FittingError, LookupError):
    """A measurement is on a surface that the tracking geometry does not have."""


class UnknownStartError(FittingError, ValueError):
    """There is no such way to get start parameters."""
