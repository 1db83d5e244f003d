"""Spectra of edge scores by kind of edge, with constant memory over any number of events."""

from __future__ import annotations

from typing import Any

import numpy as np

from trkx.algorithms.evaluation_edges import FALSE, OTHER, TARGET, ratio
from trkx.plugin.errors import StageError

LIMIT = 20.0  # logits beyond are counted in the outermost bin
FINE = 8000  # bins, from which areas and curves come
COARSE = 80  # bins of the distributions that are written
_NAMES = {FALSE: "false", OTHER: "other", TARGET: "target"}
# What counts as signal; the edges of other particles are neither for 'target'.
_SIGNAL = {"target": (TARGET,), "all": (TARGET, OTHER)}

DEFINITIONS = {
    "scores": "numbers of edges by score (logit) and kind: 'target' of a target particle, 'other' "
    "of another particle, 'false' of none; 'dropped': those that the classifier dropped without "
    "saying their scores",
    "auc": "area under the ROC curve, signal edges against false ones; 'target': signal are the "
    "edges of target particles, and those of others are left out; 'all': signal are the edges of "
    "all particles. Dropped edges count as ties below the lowest score",
    "roc": "shares of signal and of false edges above thresholds in the logit",
}


class ScoreSpectrum:
    """Numbers of edges by logit and kind."""

    def __init__(self) -> None:
        # The first bin is for edges that were dropped with no score.
        self._counts = np.zeros((3, FINE + 1), np.int64)

    def add(self, logits: np.ndarray, kinds: np.ndarray, stage: str = "classifier") -> None:
        """Count edges.

        Args:
            logits: (E,) scores; -inf: dropped.
            kinds: (E,) FALSE, OTHER or TARGET.
            stage: name of the classifier, for messages.

        Raises:
            StageError: a score is NaN.
        """
        if np.isnan(logits).any():
            raise StageError(
                f"stage '{stage}': {int(np.isnan(logits).sum())} of {len(logits)} scores are NaN"
            )
        scaled = (np.clip(logits, -LIMIT, LIMIT) + LIMIT) * (FINE / (2 * LIMIT))
        place = np.minimum(scaled.astype(np.int64), FINE - 1) + 1
        place[np.isneginf(logits)] = 0
        np.add.at(self._counts, (kinds, place), 1)

    def _signal(self, what: str) -> np.ndarray:
        return self._counts[list(_SIGNAL[what])].sum(axis=0)

    def auc(self, what: str) -> float | None:
        """Area under the ROC curve of 'target' or 'all'; None without signal or false edges."""
        signal, false = self._signal(what), self._counts[FALSE]
        below = np.cumsum(false) - false
        return ratio(
            float((signal * (below + 0.5 * false)).sum()), float(signal.sum() * false.sum())
        )

    def roc(self, what: str, points: int = 200) -> dict[str, list[float]]:
        """Shares of signal and false edges above evenly spaced thresholds, from high to low."""
        step = FINE // points
        threshold = np.linspace(-LIMIT, LIMIT, FINE + 1)[::step]

        def above(counts: np.ndarray) -> np.ndarray:
            total = max(int(counts.sum()), 1)
            more = np.concatenate([np.cumsum(counts[:0:-1])[::-1], [0]])
            return more[::step] / total

        return {
            "threshold": threshold[::-1].tolist(),
            "signal": above(self._signal(what))[::-1].tolist(),
            "false": above(self._counts[FALSE])[::-1].tolist(),
        }

    def summary(self) -> dict[str, Any]:
        """Distributions, areas and curves, as plain values."""
        coarse = self._counts[:, 1:].reshape(3, COARSE, -1).sum(axis=2)
        return {
            "scores": {
                "edges": np.linspace(-LIMIT, LIMIT, COARSE + 1).tolist(),
                **{name: coarse[kind].tolist() for kind, name in _NAMES.items()},
                "dropped": {name: int(self._counts[kind, 0]) for kind, name in _NAMES.items()},
            },
            "auc": {what: self.auc(what) for what in _SIGNAL},
            "roc": {what: self.roc(what) for what in _SIGNAL},
        }
