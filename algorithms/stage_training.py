"""Training of one stage as its configuration asks: from events to weights with a card."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from trkx.algorithms.labelled_events import LabelledEvent
from trkx.algorithms.track_counts import TrackCounts
from trkx.algorithms.training_events import open_events
from trkx.algorithms.training_file import StageSpec, TrainingFile
from trkx.algorithms.training_folder import make_folder
from trkx.io.errors import ConfigError, OutputExistsError
from trkx.io.provenance import package_versions
from trkx.plugin.errors import need
from trkx.plugin.pipeline import Pipeline
from trkx.plugin.registry import find_stage
from trkx.plugin.stage_settings import StageContext
from trkx.plugin.training.stages import Events, Prefix, TrainingRequest, find_trainer

__all__ = ["train_stage"]


def train_stage(
    file: TrainingFile,
    folder: Path,
    force: bool = False,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> Path:
    """Train one stage, or go on with it, and write its weights.

    Args:
        file: its configuration.
        folder: all files that the configuration names are in there; so are, in a folder
            `training-<name>`, checkpoints, logs, and what is kept of the events.
        force: train anew what is finished.
        progress: show progress bars.
        say: takes a line for people.

    Returns:
        the weights.

    Raises:
        ConfigError: the configuration does not go together.
        OutputExistsError: the weights are there, and finished.
        TrkxError, TrackFindingError: input, output or device cannot be used.
    """
    for module, extra in (("torch", "local"), ("safetensors", "local"), ("lightning", "train")):
        need(module, extra, "training")
    request = make_request(file, folder)
    first = _is_first_process()
    if not first:
        say = _nothing
    if first:
        if request.out.with_suffix(".json").exists() and not force and _is_finished(request):
            raise OutputExistsError(
                f"{request.out} is finished already. Pass --force to train it anew, or another "
                "--out."
            )
        make_folder(folder)
        if force:
            shutil.rmtree(request.work, ignore_errors=True)
        make_folder(request.work)
    assert file.events is not None
    events = open_events(file.events, request.work / "events", file.fit.threads or 2)
    about = {**request.about, "training_input": events.provenance}
    request = replace(request, about=about)
    trainer = find_trainer(file.stage)
    if hasattr(trainer, "learn"):
        path = Path(trainer.learn(request, events))
        say(f"{file.stage}: learned from {len(events)} events → {path}")
        if file.stage == "module_map":
            from trkx.algorithms.module_map_files import save_module_map
            from trkx.plugin.module_map import ModuleMap

            written = save_module_map(ModuleMap.load(path), path.with_suffix(""), force=True)
            say(f"{file.stage}: as ROOT files → {', '.join(str(p) for p in written)}")
        return path
    from trkx.plugin.training.checkpoints import Progress
    from trkx.plugin.training.fit import fit

    before = Progress.read(request.work)
    if before.step:
        say(f"{file.stage}: goes on after {before.epochs:.2f} epochs, in {request.work}")
    training, data = trainer.build(request, events)
    weights = sum(p.numel() for p in training.network.parameters())
    say(f"{file.stage}: network of {weights} weights")
    score = score_of(file, request, trainer)
    training = fit(
        training, data, file.fit, request.work, progress=progress, score=score, name=file.stage
    )
    written = trainer.finish(training, request)
    done = Progress.read(request.work)
    if done.finished:
        # Made anew if ever needed, and large.
        for name in ("examples", *(() if file.events.keep else ("events",))):
            shutil.rmtree(request.work / name, ignore_errors=True)
        say(f"{file.stage}: {done.epochs:.4g} epochs → {written.path}")
    else:
        say(
            f"{file.stage}: stopped after {done.epochs:.2f} of {file.fit.epochs} epochs, as "
            f"max_minutes asks; the same command goes on. So far → {written.path}"
        )
    if done.scores:
        say(", ".join(f"{name} {value:.4f}" for name, value in done.scores[-1].items()))
    return written.path


def make_request(file: TrainingFile, folder: Path) -> TrainingRequest:
    """What the trainer of the stage is given; events are added later."""
    out = folder / file.out
    context = StageContext(
        folder=folder, device=file.fit.device, target=file.target, stage=file.stage
    )
    before = None
    if file.before:
        constructor, *classifiers = [make_stage(spec, context) for spec in file.before]
        if file.before[0].kind != "graph_constructors":
            raise ConfigError(f"[before] begins with '{file.before[0].stage}'; a graph comes first")
        key = [_key(spec, context) for spec in file.before]
        before = Prefix(constructor, tuple(classifiers), key)
    return TrainingRequest(
        stage=file.stage,
        out=out.with_suffix(".safetensors"),
        work=out.parent / f"training-{out.stem}",
        network=file.network,
        data=file.data,
        settings=file.use,
        fit=file.fit,
        context=context,
        pt_min=file.pt_min,
        before=before,
        about={
            "detector": "generic",
            "versions": _versions(),
            "training": {"configuration": _without_paths(file.content)},
        },
    )


def _without_paths(table: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration for the card: of folders of events, only the last name."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        if key == "optimisation":
            continue  # under "settings" in the card
        if isinstance(value, Mapping):
            found[key] = _without_paths(value)
        elif key == "input":
            found[key] = [
                Path(name).name for name in ([value] if isinstance(value, str) else value)
            ]
        else:
            found[key] = value
    return found


def make_stage(spec: StageSpec, context: StageContext) -> Any:
    """A stage before or after the one that is trained."""
    kind: Any = find_stage(spec.kind, spec.stage).load()
    context = replace(context, folder=spec.folder or context.folder, stage=spec.stage)
    return kind.from_settings(spec.settings, context)


def _key(spec: StageSpec, context: StageContext) -> dict[str, Any]:
    """What a stage's graphs depend on: settings, and the checksum of its weights."""
    key: dict[str, Any] = {"stage": spec.stage, **spec.settings}
    if "weights" in spec.settings:
        from trkx.plugin.stage_weights import StageWeights

        path = (spec.folder or context.folder) / spec.settings["weights"]
        if path.with_suffix(".json").exists():
            key["sha256"] = StageWeights.open(path).card["sha256"]
    return key


def score_of(
    file: TrainingFile, request: TrainingRequest, trainer: Any
) -> Callable[[Any], Mapping[str, float]] | None:
    """Track efficiency and fakes of validation events with a network that is being trained.

    Graphs of the stages before are made once. None: the configuration has no validation events,
    or no track builder.
    """
    kinds = [spec.kind for spec in file.after]
    builds_tracks = file.stage == "hierarchical" or "track_builders" in kinds
    if file.validation is None or not builds_tracks or not hasattr(trainer, "as_stage"):
        return None
    after = [make_stage(spec, request.context) for spec in file.after]
    events = open_events(file.validation, request.work / "validation", file.fit.threads or 2)
    graphs: list[tuple[LabelledEvent, Any]] = []

    def score(network: Any) -> Mapping[str, float]:
        counts = TrackCounts()
        stage = trainer.as_stage(network, request)
        for event, graph in _validation(graphs, events, request.before):
            stages = [stage, *after]
            constructor = stages.pop(0) if graph is None else _Given(graph)
            builder = stages.pop()
            pipeline = Pipeline(constructor, stages, builder)
            counts.add(event, pipeline(event.space_points), request.pt_min)
        found = counts.summary()
        return {name: found[name] for name in ("efficiency", "fakes", "duplicates")}

    return score


class _Given:
    """A graph constructor whose graph is made already."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph

    def __call__(self, points: Any, beam_spot: tuple[float, float] = (0.0, 0.0)) -> Any:
        return self.graph


def _validation(
    graphs: list[tuple[LabelledEvent, Any]], events: Events, before: Prefix | None
) -> list[tuple[LabelledEvent, Any]]:
    """Validation events with the graphs of the stages before; None without any."""
    if not graphs:
        for event in events:
            graphs.append((event, None if before is None else before(event.space_points)))
    return graphs


def _is_finished(request: TrainingRequest) -> bool:
    try:
        card = json.loads(request.out.with_suffix(".json").read_text())
        return bool(card["training"].get("finished", True))
    except (OSError, ValueError, KeyError, AttributeError):
        return False


def _is_first_process() -> bool:
    """Whether this is not one of those that Lightning, torchrun or a batch system started."""
    ranks = (os.environ.get(name, "0") for name in ("LOCAL_RANK", "RANK", "SLURM_PROCID"))
    return all(rank == "0" for rank in ranks)


def _nothing(line: str) -> None:
    """What the other processes say."""


def _versions() -> dict[str, str]:
    versions = package_versions()
    for package in ("torch", "lightning", "numba"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
