"""What a user names as input, of every format: the one place where jobs open events."""

from __future__ import annotations

import os
from collections.abc import Sequence

from trkx.algorithms.job_config import JobConfig
from trkx.algorithms.job_pipelines import pipeline_files
from trkx.algorithms.trackml_input import EventNumbers, TrackMLInput
from trkx.io.errors import ConfigError, InputFileError
from trkx.io.event_files import EventFiles
from trkx.io.event_sources import EventInput, open_events
from trkx.io.input_files import PathLike
from trkx.io.lrt_files import LrtFiles, is_lrt
from trkx.io.trackml_files import is_trackml

__all__ = ["check_fits", "open_inputs"]


def open_inputs(
    inputs: PathLike | Sequence[PathLike], events: EventNumbers = (None, None)
) -> EventInput:
    """Open events of any format; those of the TrackML challenge are put on their modules.

    Args:
        inputs: folders, archives, files, glob patterns, or a list of these, of one format.
        events: which events to take where event numbers may leave gaps, as in the TrackML
            challenge; other formats have all their events.

    Raises:
        InputFileError: formats are mixed.
        InputError: a subclass says what is wrong; see `trkx.io.errors`.
    """
    listed = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    trackml = [is_trackml(item) for item in listed]
    plain = [is_lrt(item) for item in listed]
    for name, found in (("of the TrackML challenge", trackml), ("of exatrkx-service", plain)):
        if any(found) and not all(found):
            raise InputFileError(
                f"{listed[found.index(True)]} is {name}, {listed[found.index(False)]} is not; "
                "give files of one format at a time"
            )
    if any(trackml):
        return TrackMLInput.open(listed, events)
    return LrtFiles.open(listed) if any(plain) else open_events(listed)


def check_fits(files: EventInput, config: JobConfig) -> None:
    """Raise unless the fits of a job can be done on what is known of the modules of its input.

    Raises:
        ConfigError: a fit on ACTS' surfaces where there are none, or a CKF on strips, which makes
            its seeds of space points with one measurement.
    """
    ckf = [f for f in config.finders if "ckf" in f]
    fits = [f for f in config.fitters if f in ("kf", "gx2f")] + ckf
    inputs = ", ".join(map(str, config.input))
    own = isinstance(files, EventFiles)
    if files.has_strips and (ckf or (fits and not own)):
        raise ConfigError(
            f"'{(ckf or fits)[0]}' fits on ACTS' surfaces, which have no double-sided strip "
            f"modules, but space points of {inputs} are of strips with two clusters; fit helices "
            "(--fitter helix), find tracks without fits (--fitter none), or simulate with "
            "--strips 2d"
        )
    if isinstance(files, LrtFiles):
        _check_modules_not_needed(config, inputs)
    if fits and isinstance(files, LrtFiles):
        raise ConfigError(
            f"'{fits[0]}' fits on modules, but {inputs} has r, φ and z only; fit helices "
            "(--fitter helix), or find tracks without fits (--fitter none)"
        )
    if fits and not files.acts_modules and config.geometry is None:
        raise ConfigError(
            f"'{fits[0]}' fits on ACTS' surfaces, but the modules of {inputs} are of a detector "
            "that is not known; pass --geometry FILE.json, fit helices (--fitter helix), or find "
            "tracks without fits (--fitter none)"
        )
    if ckf and config.geometry is not None:
        raise ConfigError(
            f"'{ckf[0]}' makes its seeds on the GenericDetector's layers; with --geometry, choose "
            "a finder of proto tracks"
        )


def _check_modules_not_needed(config: JobConfig, inputs: str) -> None:
    """Raise ConfigError if a finder knows hits by their modules."""
    pipelines = pipeline_files(config.finders, config.pipeline_files)
    for finder in config.finders:
        if finder not in pipelines or pipelines[finder].reads_model:
            raise ConfigError(
                f"finder '{finder}' needs module ids, but {inputs} has r, φ and z only; choose a "
                "pipeline that does without, such as --finder exatrkx"
            )
