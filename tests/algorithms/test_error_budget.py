"""The error budget on small simulated events: every loss has one reason, oracles find all."""

import numpy as np

from trkx.algorithms.error_budget import FAKES, LOSSES, ErrorBudget
from trkx.algorithms.labelled_events import labelled_events
from trkx.io.event_files import EventFiles
from trkx.plugin import load_pipeline
from trkx.plugin.pipeline import Pipeline


class CutAll:
    """A classifier that calls every edge wrong."""

    def __call__(self, graph):
        wrong = [np.full(n, -9.0, np.float32) for n in (graph.n_edges, graph.n_triplets)]
        return graph.with_scores(*wrong)


def test_all_losses_and_fakes_are_explained(tiny_sample):
    budget = ErrorBudget(load_pipeline("fast", threads=1))
    lost = 0
    for event in labelled_events(EventFiles.open(tiny_sample)):
        loss = budget.add(event)
        assert not (loss[~event.targets(1.0)] >= 0).any()
        lost += int((loss >= 0).sum())
    found = budget.summary()
    counts = budget.counts
    assert lost == counts.targets - counts.found == sum(budget.losses.values())
    assert sum(budget.fakes.values()) == counts.fakes
    assert sum(map(sum, found["targets"].values())) == counts.targets
    assert set(found["losses"]) == set(LOSSES) and set(found["fakes"]) == set(FAKES)


def test_a_bad_classifier_is_blamed(tiny_sample):
    fast = load_pipeline("fast", threads=1)
    bad = Pipeline(fast.graph_constructor, [CutAll()], fast.track_builder)
    budget = ErrorBudget(bad)
    budget.add(next(iter(labelled_events(EventFiles.open(tiny_sample)))))
    by_score = sum(n for (name, *_), n in budget.losses.items() if name == "cut by score")
    assert budget.counts.found == 0
    assert by_score > 0.9 * budget.counts.targets > 0
