"""Which detector a job fits on: the GenericDetector, one from a JSON file, strips, or none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trkx.algorithms.detector import buildGenericDetector
from trkx.algorithms.job_config import JobConfig
from trkx.io.event_files import EventFiles
from trkx.io.event_sources import EventInput

__all__ = ["JobDetector", "job_detector"]


@dataclass(frozen=True)
class JobDetector:
    """Where measurements are, and how fits start.

    Attributes:
        trackingGeometry: of the modules of the input; None: they are of a detector that ACTS does
            not know, on which helices are fitted only.
        source: events for the reader, with measurements on the surfaces of the geometry.
        start: where fits get start parameters from, of `trkx.fitting.start_parameters.STARTS`.
    """

    trackingGeometry: Any
    source: Any
    start: str


def job_detector(config: JobConfig, files: EventInput, source: Any) -> JobDetector:
    """Choose the detector of a job.

    Args:
        config: of the job.
        files: its input.
        source: what the reader reads otherwise.

    Raises:
        InputError: the geometry file cannot be used.
    """
    wanted = None if config.start == "auto" else config.start
    if config.geometry is not None:
        from trkx.io.geometry_files import readTrackingGeometry

        # Its space points may be made of the measurements of several surfaces.
        return JobDetector(readTrackingGeometry(config.geometry), source, wanted or "helix")
    own = isinstance(files, EventFiles)  # its strips are on the sensors that trkx simulates
    if not files.acts_modules or (files.has_strips and not own):
        return JobDetector(None, source, wanted or "helix")
    if files.has_strips and needs_surfaces(config):
        from trkx.algorithms.strip_geometry import StripEvents, buildStripGeometry

        geometry = buildStripGeometry()
        events = StripEvents(EventFiles.open(config.input), geometry)
        # ACTS' estimate takes space points of one measurement only.
        return JobDetector(geometry.trackingGeometry, events, "helix")
    return JobDetector(buildGenericDetector()[1], source, wanted or "circle")


def needs_surfaces(config: JobConfig) -> bool:
    """Whether a job fits."""
    return any(fitter != "none" for fitter in config.fitters)


def needs_measurement_table(config: JobConfig, detector: JobDetector) -> bool:
    """Whether helices are fitted to measurements, as a fit of its own or to start others."""
    fitted = [fitter for fitter in config.fitters if fitter != "none"]
    return bool(fitted) and ("helix" in fitted or detector.start == "helix")
