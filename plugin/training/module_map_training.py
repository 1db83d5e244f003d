"""The trainer of the module map: one pass over the events, in chunks that may be simulated.

After every chunk the statistics so far are kept, so that a run that was stopped goes on with the
next one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trkx.plugin.module_map import ModuleMap, Modules
from trkx.plugin.module_map_learning import ModuleMapLearner, ModuleMapLearningConfig
from trkx.plugin.stage_settings import read_settings
from trkx.plugin.stage_weights import CARD_FORMAT
from trkx.plugin.training.examples import write_atomic
from trkx.plugin.training.stages import Events, TrainingRequest, card_of
from trkx.plugin.weights import sha256

GENERIC_MODULES = Path(__file__).parents[1] / "models" / "generic_modules.npz"
"""Modules of the GenericDetector, with its rings as cells; made by `module_rings().save`."""


def learn(request: TrainingRequest, events: Events) -> Path:
    """Learn the map, and write it with a card beside it.

    The table [data] has the settings of `ModuleMapLearningConfig`, and `modules`: a file of
    `Modules`, or a map, of another detector than the GenericDetector.

    Returns:
        the .npz file of the map.

    Raises:
        StageError: a bad setting, or no particles to learn from.
        DetectorMismatchError: the events are of another detector than the modules.
    """
    settings = {k: v for k, v in request.data.items() if k != "modules"}
    config = read_settings(ModuleMapLearningConfig, settings, "module_map, [data]")
    name = request.data.get("modules")
    modules = Modules.load(GENERIC_MODULES if name is None else request.context.path(name))
    learner = ModuleMapLearner(modules, config)
    key = json.loads(json.dumps({**request.key, "chunks": events.n_chunks}))
    begun = _Begun(request.work)
    first = begun.load_into(learner, key)
    for number in range(first, events.n_chunks):
        for event in events.chunk(number):
            learner.add(event)
        begun.save(learner, key, number + 1)
    about = card_of(request, learning=asdict(config), events=learner.events)
    about["training"] |= {"events": learner.events, "finished": True}
    path = request.out.with_suffix(".npz")
    learner.map({"pt_min": config.pt_min, "training": about["training"]}).save(path)
    card = {"format": CARD_FORMAT, "stage": "module_map", **about, "sha256": sha256(path)}
    text = json.dumps(card, indent=2, sort_keys=True) + "\n"
    write_atomic(path.with_suffix(".json"), text.encode())
    begun.drop()
    return path


class _Begun:
    """Statistics of the chunks that are done."""

    def __init__(self, folder: Path) -> None:
        self.path, self.note = folder / "seen.npz", folder / "seen.json"

    def load_into(self, learner: ModuleMapLearner, key: Mapping[str, Any]) -> int:
        """Give the learner what an earlier run saw; returns how many chunks that were."""
        try:
            note = json.loads(self.note.read_text())
        except (OSError, ValueError):
            return 0
        if note.get("key") != key or not self.path.exists():
            return 0
        learner.go_on_from(ModuleMap.load(self.path))
        return int(note["chunks"])

    def save(self, learner: ModuleMapLearner, key: Mapping[str, Any], chunks: int) -> None:
        self.note.unlink(missing_ok=True)  # a kill between the two files starts anew
        learner.seen().save(self.path)
        write_atomic(self.note, json.dumps({"key": key, "chunks": chunks}).encode())

    def drop(self) -> None:
        self.note.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
