"""Track metrics on the plugin's labelled events, for model cards: one rule, as everywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trkx.algorithms.matching import match_tracks
from trkx.plugin.candidates import TrackCandidates
from trkx.plugin.space_points import LabelledEvent


@dataclass
class TrackCounts:
    """Counts that add up over events."""

    targets: int = 0
    found: int = 0
    displaced: int = 0
    displaced_found: int = 0
    tracks: int = 0  # with >= 7 hits
    fakes: int = 0
    duplicates: int = 0
    purity: float = 0.0  # summed over matched tracks
    completeness: float = 0.0
    matched: int = 0

    def add(
        self, event: LabelledEvent, candidates: TrackCandidates, pt_min: float, hits_min: int = 7
    ) -> np.ndarray:
        """Count one event; returns (P,) bool, which particles were found."""
        matching = match_tracks(
            candidates.offsets, candidates.hits, event.offsets, event.particle, len(event.pt)
        )
        found = matching.found(len(event.pt))
        target = event.targets(pt_min)
        displaced = target & (np.hypot(event.vertex[:, 0], event.vertex[:, 1]) > 1.0)
        long = np.diff(candidates.offsets) >= hits_min
        matched = matching.particle >= 0
        per_particle = np.bincount(matching.particle[matched & long], minlength=len(event.pt))
        self.targets += int(target.sum())
        self.found += int(found[target].sum())
        self.displaced += int(displaced.sum())
        self.displaced_found += int(found[displaced].sum())
        self.tracks += int(long.sum())
        self.fakes += int((long & ~matched).sum())
        self.duplicates += int(np.maximum(per_particle - 1, 0).sum())
        of_target = matched & target[matching.particle] if len(target) else matched
        self.purity += float(matching.purity[of_target].sum())
        self.completeness += float(matching.completeness[of_target].sum())
        self.matched += int(of_target.sum())
        return found

    def summary(self) -> dict[str, float]:
        """Efficiency, displaced efficiency, fakes, duplicates, purity, completeness."""
        return {
            "efficiency": self.found / max(self.targets, 1),
            "displaced": self.displaced_found / max(self.displaced, 1),
            "fakes": self.fakes / max(self.tracks, 1),
            "duplicates": self.duplicates / max(self.tracks, 1),
            "purity": self.purity / max(self.matched, 1),
            "completeness": self.completeness / max(self.matched, 1),
        }
