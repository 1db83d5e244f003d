"""What a reconstruction job is asked to do: one validated value, from options and a TOML file."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from trkx.algorithms.job_pipelines import pipeline_finders, shipped_finders
from trkx.algorithms.job_service import BACKENDS, ServiceSettings
from trkx.io.errors import ConfigError, InputFileError, nearest_name

FINDERS = (
    "gnn",
    "ckf",
    "ckf-best",
    "ckf-balanced",
    "ckf-fast",
    "gnn+ckf",
    "classical",
    "truth",
)
FITTERS = ("kf", "gx2f", "helix", "none")
STARTS = ("auto", "circle", "helix")
TARGETS = ("pt1", "pt05")
DEVICES = ("cpu", "cuda")
PATHS = ("weights", "labels", "submission", "dump_graphs", "geometry", "tls", "token_file")
BEAM_PIPE = 19.0  # radius of the GenericDetector's, mm


def finder_key(finder: str) -> str:
    """Return `finder` as whiteboard keys and file names spell it."""
    return finder.replace("-", "_").replace("+", "_")


def fits_while_finding(finder: str) -> bool:
    """Whether `finder` ends in a combinatorial Kalman filter, so that its tracks are fitted."""
    return finder in FINDERS and "ckf" in finder


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        near = nearest_name(str(value), allowed)
        hint = f"; did you mean {near!r}?" if near else "."
        raise ConfigError(f"unknown {name} {value!r}{hint} Known: {', '.join(allowed)}")
    return value


def _several(name: str, value: Any, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Names as a tuple, from a comma-separated string or a sequence; repeated ones once."""
    if not isinstance(value, (str, list, tuple)):
        raise ConfigError(f"{name}: {value!r} is not a name. Known: {', '.join(allowed)}")
    parts = value.split(",") if isinstance(value, str) else value
    names = [_one_of(name, str(part).strip(), allowed) for part in parts if str(part).strip()]
    if not names:
        raise ConfigError(f"{name}: none given. Known: {', '.join(allowed)}")
    return tuple(dict.fromkeys(names))


def _sources(value: Any) -> tuple[str, ...]:
    """Pipeline files as text, from a comma-separated string or a sequence."""
    parts = value.split(",") if isinstance(value, str) else value
    if isinstance(parts, Path):
        parts = [parts]
    if not isinstance(parts, (list, tuple)) or not all(isinstance(p, (str, Path)) for p in parts):
        raise ConfigError(f"pipeline: {value!r} is not a file or a list of files")
    return tuple(str(part).strip() for part in parts if str(part).strip())


def _path(name: str, value: Any) -> Path:
    if not isinstance(value, (str, Path)) or not str(value):
        raise ConfigError(f"{name}: {value!r} is not a path")
    return Path(value)


def parse_beam_spot(value: Any) -> tuple[float, float]:
    """Read `X,Y` or a pair of numbers.

    Returns:
        x and y of the beam line, mm.

    Raises:
        ConfigError: not two finite numbers, or outside the beam pipe.
    """
    parts = value.split(",") if isinstance(value, str) else value
    try:
        x, y = (float(part) for part in parts)
    except (TypeError, ValueError):
        x = y = math.nan
    if not math.hypot(x, y) < BEAM_PIPE:
        raise ConfigError(
            f"beam_spot: {value!r} is no position of the beam line. Write X,Y in mm, such as "
            f"0.5,-0.2, within {BEAM_PIPE:g} mm of the origin."
        )
    return x, y


def parse_event_range(text: str) -> tuple[int | None, int | None]:
    """Read `A:B`, `A:`, `:B` or one number into a half-open range of event numbers.

    Returns:
        `(first, stop)`; None: from the first event, up to the last one.

    Raises:
        ConfigError: not of that form, negative, or empty.
    """
    first_text, colon, stop_text = (part.strip() for part in str(text).partition(":"))
    try:
        first = int(first_text) if first_text else None
        stop = int(stop_text) if stop_text else None
        bad = not (first_text or colon)
    except ValueError:
        first, stop, bad = None, None, True
    if first is not None and not colon:
        stop = first + 1
    if bad or (first or 0) < 0 or (stop is not None and stop <= (first or 0)):
        raise ConfigError(
            f"events: {text!r} is no range of events. Write A:B for events A up to B-1, A: for "
            "all from A on, or one number."
        )
    return first, stop


@dataclass(frozen=True)
class JobConfig:
    """Settings of `trkx run` and `trkx compare`, checked once on construction."""

    input: tuple[Path, ...]  # folders or spacepoints files written by `trkx simulate`
    out: Path  # folder for the results; made if it is not there
    finders: tuple[str, ...] = ("gnn",)  # of FINDERS, or names of shipped pipelines
    pipelines: tuple[str, ...] = ()  # pipeline files of your own, added to the finders
    fitters: tuple[str, ...] = ("kf",)  # of FITTERS; for CKF tracks: refits
    events: tuple[int | None, int | None] = (None, None)  # numbers, half open; None: to the end
    threads: int = 1  # events in flight
    device: str = "cpu"  # of DEVICES, where the networks run
    target: str = "pt1"  # of TARGETS: lowest pT the finders aim at, 1 or 0.5 GeV
    weights: Path | None = None  # maps and networks of your own instead of the shipped ones
    labels: Path | None = None  # folder for one .npy of track labels per event; None: not written
    submission: Path | None = None  # file for the tracks as TrackML wants them; None: not written
    dump_graphs: Path | None = None  # folder for graphs after every stage; None: not written
    force: bool = False  # replace results that are there
    track_states: bool = False  # also write every state of every track
    report: bool = True  # write report.html, where matplotlib and hist are installed
    field: float | str = 2.0  # along z, tesla; or the name of a field, see `magnetic_field`
    geometry: Path | None = None  # tracking geometry as ACTS JSON; None: the GenericDetector
    start: str = "auto"  # of STARTS: where fits get their start parameters from
    beam_spot: tuple[float, float] = (0.0, 0.0)  # x and y of the beam line, mm
    verbose: bool = False  # let ACTS log
    backend: str = "local"  # of BACKENDS: pipelines in this process, or by Triton servers
    url: str = ""  # servers, for backend triton: grpc://host:8001,host2:8001
    timeout: float = 30.0  # s, of one attempt to get an answer from a server
    attempts: int = 3  # to get one, before falling back
    fallback: str = "endpoint,http,in-process"  # what to do when servers fail, in this order
    compression: str = "none"  # of what is exchanged with servers: none, gzip or deflate
    shared_memory: bool = True  # give events to servers on this machine by shared memory
    model_version: str = ""  # of the servers' model; empty: the newest
    any_model: bool = False  # also use servers whose model is another than this job's
    tls: Path | None = None  # folder of certificates: talk to servers encrypted
    token_file: Path | None = None  # file with the token that servers ask for

    def __post_init__(self) -> None:
        paths = self.input if isinstance(self.input, (list, tuple)) else (self.input,)
        convert = object.__setattr__  # the dataclass is frozen
        convert(self, "input", tuple(_path("input", path) for path in paths))
        convert(self, "out", _path("out", self.out))
        convert(self, "pipelines", _sources(self.pipelines))
        own = self.pipeline_files
        if self.finders or not own:
            known = (*FINDERS, *shipped_finders(), *own)
            convert(self, "finders", _several("finder", self.finders, known))
        convert(self, "finders", tuple(dict.fromkeys((*self.finders, *own))))
        convert(self, "fitters", _several("fitter", self.fitters, FITTERS))
        if not isinstance(self.events, tuple):
            convert(self, "events", parse_event_range(self.events))
        convert(self, "beam_spot", parse_beam_spot(self.beam_spot))
        for name in PATHS:
            if getattr(self, name) is not None:
                convert(self, name, _path(name, getattr(self, name)))
        _one_of("device", self.device, DEVICES)
        _one_of("target", self.target, TARGETS)
        _one_of("backend", self.backend, BACKENDS)
        _one_of("start", self.start, STARTS)
        if not self.input:
            raise ConfigError("input: no folder given")
        for name in ("force", "track_states", "report", "verbose", "any_model", "shared_memory"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name}: {getattr(self, name)!r} is not true or false")
        if isinstance(self.threads, bool) or not isinstance(self.threads, int) or self.threads < 1:
            raise ConfigError(f"threads: {self.threads!r} is not a positive whole number")
        convert(self, "field", _field(self.field))
        if "none" in self.fitters and len(self.fitters) > 1:
            raise ConfigError(f"fitter: 'none' excludes {', '.join(self.fitters)}")

    @property
    def pipeline_files(self) -> dict[str, Path]:
        """Finder → file, for the files in `pipelines`.

        Raises:
            StageError: a file that is not there or not good.
            ConfigError: two pipelines of one name, or one with the name of another finder.
        """
        return pipeline_finders(self.pipelines, {finder_key(f): f for f in FINDERS})

    @property
    def service(self) -> ServiceSettings | None:
        """How servers are used; None: they are not."""
        if self.backend == "local":
            return None
        return ServiceSettings(**{f.name: getattr(self, f.name) for f in fields(ServiceSettings)})

    def as_json(self) -> dict[str, Any]:
        """Return the settings as plain values for job.json."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}


def _field(value: Any) -> float | str:
    """A number in tesla, or a name that `trkx.algorithms.magnetic_field.namedField` takes."""
    number = value
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            if value.partition(":")[0] == "solenoid" or Path(value).is_file():
                return value
            raise ConfigError(
                f"field: {value!r} is neither tesla, nor solenoid or solenoid:TESLA, nor a file "
                "with a field map"
            ) from None
    if isinstance(value, bool) or not isinstance(number, int | float) or not 0 < abs(number) < 20:
        raise ConfigError(f"field: {value!r} is not a field in tesla, 0 < |B| < 20")
    return number


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


# The command line says `--finder gnn`, the comparison `--finders gnn,ckf`; both are one setting.
_ALIASES = {"finder": "finders", "fitter": "fitters", "pipeline": "pipelines"}


def config_keys() -> list[str]:
    """Keys that a TOML file may hold: the option names, dashes or underscores alike."""
    return sorted({f.name for f in fields(JobConfig)} | set(_ALIASES))


def read_config_file(path: Path) -> dict[str, Any]:
    """Read settings from a TOML file whose keys are the option names.

    Raises:
        InputFileError: no such file.
        ConfigError: not TOML, or a key that is no option; the nearest one is named.
    """
    try:
        with open(path, "rb") as file:
            content = tomllib.load(file)
    except FileNotFoundError:
        raise InputFileError(f"config: no such file {path}") from None
    except OSError as error:
        raise InputFileError(f"config: cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"config: {path} is not TOML: {error}") from error
    settings: dict[str, Any] = {}
    for key, value in content.items():
        name = key.replace("-", "_")
        if name not in config_keys():
            near = nearest_name(name, config_keys())
            hint = f"; did you mean {near!r}?" if near else "."
            raise ConfigError(
                f"unknown key {key!r} in {path}{hint} Known: {', '.join(config_keys())}"
            )
        settings[_ALIASES.get(name, name)] = value
    return settings


def make_config(
    options: Mapping[str, Any],
    config_file: Path | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> JobConfig:
    """Combine the options given with a TOML file; the options win.

    Args:
        options: settings by name; absent where the command line is silent.
        config_file: TOML file, None: no file.
        defaults: settings that neither of the two names.

    Raises:
        ConfigError: an unknown key, a bad value, or input or out missing.
    """
    given = dict(read_config_file(config_file) if config_file is not None else {})
    given.update({_ALIASES.get(name, name): value for name, value in options.items()})
    settings = {**(defaults or {}), **given}
    if given.get("pipelines") and "finders" not in given:
        settings["finders"] = ()  # a pipeline alone is run alone
    for name in ("input", "out"):
        if name not in settings:
            raise ConfigError(f"{name}: not given. Pass --{name} DIR, or set it in --config FILE.")
    if "fitters" not in settings:
        # A CKF fits while it finds; a refit of its tracks is for those who ask for it.
        config = JobConfig(**{**settings, "fitters": "kf"})
        fitted = all(fits_while_finding(finder) for finder in config.finders)
        return config if not fitted else replace(config, fitters=("none",))
    return JobConfig(**settings)
