"""Seconds per event of the stages of a finder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

# Standard error of the median over that of the mean, for Gaussian values.
_MEDIAN_ERROR = 1.2533


class TimedStage(Protocol):
    """What a stage timer reports; `trkx.algorithms.job_timing.StageTime` is one."""

    @property
    def seconds(self) -> float: ...
    @property
    def clock(self) -> str: ...
    @property
    def per_event(self) -> Sequence[float]: ...


@dataclass(frozen=True)
class StageSeconds:
    """Time of one stage over the events of a job, in seconds.

    seconds: median over events; the mean where only that is known.
    error: statistical uncertainty of `seconds` from the scatter of events; None if not known.
    minimum, maximum: of single events; None if not known.
    n_events: events behind `per_event`; 0 if not known.
    clock: `cpu` (of the process, one event in flight) or `wall`.
    per_event: seconds of each event; empty if not known.
    """

    seconds: float
    error: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    n_events: int = 0
    clock: str = "cpu"
    per_event: tuple[float, ...] = ()

    @classmethod
    def from_events(cls, seconds: Sequence[float], clock: str = "cpu") -> StageSeconds:
        """Summarise the times of single events; none at all give 0 s."""
        values = np.asarray(seconds, dtype=np.float64)
        if len(values) == 0:
            return cls(0.0, clock=clock)
        error = None
        if len(values) > 1:
            error = float(_MEDIAN_ERROR * values.std(ddof=1) / np.sqrt(len(values)))
        return cls(
            seconds=float(np.median(values)),
            error=error,
            minimum=float(values.min()),
            maximum=float(values.max()),
            n_events=len(values),
            clock=clock,
            per_event=tuple(values.tolist()),
        )

    @classmethod
    def of(cls, stage: TimedStage) -> StageSeconds:
        """Take over what a stage timer reports."""
        if len(stage.per_event):
            return cls.from_events(stage.per_event, stage.clock)
        return cls(float(stage.seconds), clock=stage.clock)

    def __add__(self, other: StageSeconds) -> StageSeconds:
        """Both stages in sequence, event by event where both are known so."""
        if len(self.per_event) == len(other.per_event) > 0:
            sums = np.add(self.per_event, other.per_event)
            return StageSeconds.from_events(sums.tolist(), self.clock)
        error = None
        if self.error is not None and other.error is not None:
            error = float(np.hypot(self.error, other.error))
        return StageSeconds(self.seconds + other.seconds, error=error, clock=self.clock)

    def to_dict(self) -> dict[str, Any]:
        """Values for performance.json."""
        return {
            "median": self.seconds,
            "error": self.error,
            "min": self.minimum,
            "max": self.maximum,
            "n_events": self.n_events,
            "clock": self.clock,
        }


@dataclass(frozen=True)
class FinderTimes:
    """Where the time of one finder goes.

    finding: from space points (for the CKF: measurements) to found tracks.
    fitting: fitter → its time.
    parts: named parts of `finding`, in their order; they need not add up to it.
    fits_while_finding: the found tracks are fitted ones, so `total` is `finding` alone.
    """

    finding: StageSeconds
    fitting: Mapping[str, StageSeconds] = field(default_factory=dict)
    parts: Mapping[str, StageSeconds] = field(default_factory=dict)
    fits_while_finding: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The `seconds_per_event` object of performance.json."""
        fitter = next(iter(self.fitting), None)
        if self.fits_while_finding:
            fitter, fitting, total = "ckf", StageSeconds(0.0, 0.0), self.finding
        elif fitter is not None:
            fitting = self.fitting[fitter]
            total = self.finding + fitting
        else:
            fitting, total = None, self.finding
        stages = {"finding": self.finding.to_dict()}
        stages |= {f"finding: {name}": part.to_dict() for name, part in self.parts.items()}
        stages |= {f"fitting: {name}": fit.to_dict() for name, fit in self.fitting.items()}
        return {
            "finding": self.finding.seconds,
            "finding_error": self.finding.error,
            "fitting": None if fitting is None else fitting.seconds,
            "fitting_error": None if fitting is None else fitting.error,
            "fitter": fitter,
            "total": total.seconds,
            "total_error": total.error,
            "clock": self.finding.clock,
            "stages": stages,
        }
