"""What can be trained, and what a trainer of a stage must offer.

A trainer is a module with functions of the names below; `trkx train STAGE` calls them in order:

    build(request, events) -> (StageTraining, data for `fit`)
    finish(training, request) -> StageWeights
    as_stage(network, request) -> the stage with that network, for scores on validation events

A stage that is not learned by gradients has, in place of all these,

    learn(request, events) -> path of what it wrote
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from trkx.plugin.errors import StageError
from trkx.plugin.graph import Graph
from trkx.plugin.space_points import LabelledEvent, SpacePoints
from trkx.plugin.stage_settings import StageContext
from trkx.plugin.training.settings import FitSettings

if TYPE_CHECKING:
    from trkx.plugin.stage_weights import StageWeights
    from trkx.plugin.stages import EdgeClassifier, GraphConstructor

# Stage → module of its trainer.
TRAINERS = {
    "metric_learning": "trkx.plugin.training.embedding_training",
    "filter": "trkx.plugin.training.edge_stages",
    "interaction_gnn": "trkx.plugin.training.edge_stages",
    "attention_gnn": "trkx.plugin.training.edge_stages",
    "heterogeneous_gnn": "trkx.plugin.training.edge_stages",
    "hierarchical": "trkx.plugin.training.hierarchical_training",
    "module_map": "trkx.plugin.training.module_map_training",
}


class Events(Protocol):
    """Labelled events, read or simulated when they are asked for.

    Iteration goes over all of them once, with the memory of one. They also come in chunks, one
    per epoch: one chunk holds them all unless the configuration says otherwise.
    """

    @property
    def n_chunks(self) -> int: ...
    @property
    def keep(self) -> bool:
        """False: what is made of a chunk is removed when the next one comes."""
        ...

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[LabelledEvent]: ...
    def chunk(self, number: int) -> Iterable[LabelledEvent]:
        """The events of chunk `number` modulo `n_chunks`."""
        ...


@dataclass(frozen=True)
class Prefix:
    """The stages before the one that is trained: space points to graph."""

    constructor: GraphConstructor
    classifiers: tuple[EdgeClassifier, ...] = ()
    key: Any = None  # what the graphs depend on; JSON; examples of another key are made anew

    def __call__(self, points: SpacePoints, beam_spot: tuple[float, float] = (0.0, 0.0)) -> Graph:
        graph = self.constructor(points, beam_spot)
        for classify in self.classifiers:
            graph = classify(graph)
        return graph


@dataclass(frozen=True)
class TrainingRequest:
    """One training, as its configuration file asks for it."""

    stage: str
    out: Path  # weights to write; the card goes beside them
    work: Path  # folder for checkpoints, logs and examples
    network: Mapping[str, Any] = field(default_factory=dict)  # table [network]: its shape
    data: Mapping[str, Any] = field(default_factory=dict)  # table [data]: features, labels, cuts
    settings: Mapping[str, Any] = field(default_factory=dict)  # table [stage]: how scores use it
    fit: FitSettings = field(default_factory=FitSettings)
    context: StageContext = field(default_factory=StageContext)  # folder of the file, device
    pt_min: float = 1.0  # GeV, of the target
    before: Prefix | None = None  # None for graph constructors
    about: Mapping[str, Any] = field(default_factory=dict)  # provenance, for the card

    def graph(self, points: SpacePoints) -> Graph:
        """The graph that the stages before make.

        Raises:
            StageError: there are none.
        """
        if self.before is None:
            raise StageError(
                f"training '{self.stage}' needs the stages before it; give them in [before]"
            )
        return self.before(points)

    @property
    def key(self) -> dict[str, Any]:
        """What examples depend on, beside the events: for `DiskExamples`."""
        before = None if self.before is None else self.before.key
        return {
            "stage": self.stage,
            "data": dict(self.data),
            "pt_min": self.pt_min,
            "before": before,
            "input": self.about.get("training_input"),
        }


class Trainer(Protocol):
    """The functions of a trainer's module; see above."""

    build: Callable[[TrainingRequest, Events], tuple[Any, Any]]
    finish: Callable[[Any, TrainingRequest], StageWeights]
    as_stage: Callable[[Any, TrainingRequest], Any]


def find_trainer(stage: str) -> Any:
    """The trainer of a stage: a module as described above.

    Raises:
        StageError: the stage cannot be trained.
    """
    if stage not in TRAINERS:
        raise StageError(f"stage '{stage}' cannot be trained; choose one of {', '.join(TRAINERS)}")
    return importlib.import_module(TRAINERS[stage])


def card_of(request: TrainingRequest, **about: Any) -> dict[str, Any]:
    """What a card says of a training: its settings, how far it came, its input and versions.

    Args:
        request: the training.
        about: what else, such as features and scales.
    """
    from dataclasses import asdict

    from trkx.plugin.training.checkpoints import Progress

    return {
        "pt_min": request.pt_min,
        "target": request.context.target,
        **about,
        **{k: v for k, v in request.about.items() if k != "training"},
        "training": {
            **request.about.get("training", {}),
            "settings": asdict(request.fit),
            **Progress.read(request.work).summary(),
        },
    }
