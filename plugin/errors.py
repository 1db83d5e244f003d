"""Errors of track finding.

Every class also inherits the matching built-in, so that ``except ValueError`` keeps working.
"""

from __future__ import annotations


class TrackFindingError(Exception):
    """Base class of everything that `trkx.plugin` raises on purpose."""


class MissingExtraError(TrackFindingError, ImportError):
    """An optional dependency is not installed; the message names the extra to install."""


class SpacePointError(TrackFindingError, ValueError):
    """Space points that no finder can use: wrong lengths, NaN or infinite coordinates."""


class DetectorMismatchError(TrackFindingError, ValueError):
    """The space points lie on modules that the learned map does not know."""


class WeightsError(TrackFindingError, ValueError):
    """A map or weights file is missing, corrupt, or made for something else."""


class DeviceError(TrackFindingError, RuntimeError):
    """The requested device is not there."""


class StageError(TrackFindingError, ValueError):
    """A stage was configured or fed in a way it cannot work with."""


class ServerError(TrackFindingError, RuntimeError):
    """A server could not be started, does not answer, or answered with an error."""


class ServiceError(ServerError):
    """A request to a server failed.

    Attributes:
        transient: whether the same request may succeed later, or with another server.
        status: status of the protocol, such as UNAVAILABLE; empty where there is none.
    """

    def __init__(self, message: str, transient: bool = False, status: str = "") -> None:
        super().__init__(message)
        self.transient = transient
        self.status = status


def need(module: str, extra: str, what: str):
    """Import `module`, or say which extra brings it.

    Args:
        module: name of the module to import.
        extra: the extra of trkx that installs it.
        what: what needs it, for the message.

    Raises:
        MissingExtraError: the module is not installed.
    """
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{what} needs {module}, which is not installed; "
            f"install it with: pip install 'trkx[{extra}]'"
        ) from error
