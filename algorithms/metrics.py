"""Efficiency, fakes, duplicates, purity and completeness of a finder, summed over events.

Rates are defined per `Target`:

- efficiency: target particles with at least one matched track / target particles;
- fake rate: tracks that match no particle / tracks;
- duplicate rate: surplus tracks on an already matched particle / tracks;

the latter two for tracks with at least `Target.min_track_measurements` measurements, whatever their
momentum. The matching is `trkx.algorithms.matching.match_tracks` for every finder.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trkx.algorithms.matching import (
    ACTS_RULE,
    DOUBLE_MAJORITY,
    SINGLE_MAJORITY,
    MatchingRule,
    TrackClassification,
    TrackMatching,
    match_tracks,
)
from trkx.algorithms.metrics_histograms import Axis, Counts, Mean, Profile, Ratio, linear
from trkx.algorithms.metrics_kinematics import TrackKinematics, track_kinematics
from trkx.algorithms.metrics_statistics import Rate
from trkx.algorithms.metrics_truth import TARGETS, EventTruth, Target

PT = Axis(
    "pt",
    r"$p_\mathrm{T}$",
    "GeV",
    (0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 7, 10, 15, 20, 30, 50, 100),
    log=True,
)
ETA = Axis("eta", r"$\eta$", "", linear(-4, 4, 40))
PHI = Axis("phi", r"$\phi$", "rad", linear(-np.pi, np.pi, 32))
RADIUS = Axis(
    "production_radius",
    "production radius",
    "mm",
    (0, 0.1, 0.3, 1, 3, 10, 20, 30, 50, 75, 100, 150, 200, 300),
)
Z0 = Axis("z0", "production $z$", "mm", linear(-200, 200, 40))
HITS = Axis("n_measurements", "measurements of the particle", "", linear(6.5, 26.5, 20))
INTERACTIONS = Axis("n_interactions", "interactions in the event", "", linear(0, 400, 20))

PARTICLE_AXES = (PT, ETA, PHI, RADIUS, Z0, HITS, INTERACTIONS)
TRACK_AXES = (PT, ETA, PHI)
FRACTION_EDGES = linear(0, 1, 50)
SUBSETS = ("all", "primaries", "displaced")
ALTERNATIVE_RULES = (SINGLE_MAJORITY, ACTS_RULE)

# Per-particle results are kept for comparisons between finders on the same particles; 250 bytes per
# event at 2000 targets.
_MAX_EVENTS_KEPT = 10_000


class EfficiencySum:
    """Found and all particles of one selection, in total and binned."""

    def __init__(self) -> None:
        self.passed = 0
        self.total = 0
        self.binned = {axis.name: Ratio(axis.edges) for axis in PARTICLE_AXES}

    @property
    def rate(self) -> Rate:
        return Rate(self.passed, self.total)

    def fill(self, values: dict[str, NDArray], found: NDArray[np.bool_]) -> None:
        self.passed += int(found.sum())
        self.total += len(found)
        for name, ratio in self.binned.items():
            ratio.fill(values[name], found)

    def merge(self, other: EfficiencySum) -> None:
        self.passed += other.passed
        self.total += other.total
        for name, ratio in self.binned.items():
            ratio.merge(other.binned[name])


class TargetMetrics:
    """Sums of one finder for one target."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.efficiency = {subset: EfficiencySum() for subset in SUBSETS}
        self.n_tracks = 0
        self.n_fakes = 0
        self.n_duplicates = 0
        self.fakes = {axis.name: Ratio(axis.edges) for axis in TRACK_AXES}
        self.duplicates = {axis.name: Ratio(axis.edges) for axis in TRACK_AXES}
        self.quality = {"purity": Mean(), "completeness": Mean()}
        self.quality_counts = {name: Counts(FRACTION_EDGES) for name in self.quality}
        self.quality_profiles = {
            name: {axis.name: Profile(axis.edges) for axis in (PT, ETA)} for name in self.quality
        }
        self.found: dict[int, tuple[int, NDArray[np.uint8]]] = {}

    @property
    def fake_rate(self) -> Rate:
        return Rate(self.n_fakes, self.n_tracks)

    @property
    def duplicate_rate(self) -> Rate:
        return Rate(self.n_duplicates, self.n_tracks)

    def fill(
        self, truth: EventTruth, matching: TrackMatching, kinematics: TrackKinematics | None
    ) -> None:
        selected = self.target.select(truth)
        self._fill_particles(truth, matching, selected)
        self._fill_tracks(matching, kinematics)
        self._fill_quality(truth, matching, selected)

    def _fill_particles(
        self, truth: EventTruth, matching: TrackMatching, selected: NDArray[np.bool_]
    ) -> None:
        found = matching.found(truth.n_particles)[selected]
        displaced = truth.displaced[selected]
        values = {name: column[selected] for name, column in particle_values(truth).items()}
        for subset, kept in (
            ("all", np.ones_like(displaced)),
            ("primaries", ~displaced),
            ("displaced", displaced),
        ):
            inside = {name: column[kept] for name, column in values.items()}
            self.efficiency[subset].fill(inside, found[kept])
        if len(self.found) < _MAX_EVENTS_KEPT:
            self.found[truth.number] = (len(found), np.packbits(found))

    def _fill_tracks(self, matching: TrackMatching, kinematics: TrackKinematics | None) -> None:
        kept = matching.n_measurements >= self.target.min_track_measurements
        fake = matching.classification[kept] == TrackClassification.FAKE
        duplicate = matching.classification[kept] == TrackClassification.DUPLICATE
        self.n_tracks += int(kept.sum())
        self.n_fakes += int(fake.sum())
        self.n_duplicates += int(duplicate.sum())
        if kinematics is None:
            return
        for axis in TRACK_AXES:
            values = getattr(kinematics, axis.name)[kept]
            self.fakes[axis.name].fill(values, fake)
            self.duplicates[axis.name].fill(values, duplicate)

    def _fill_quality(
        self, truth: EventTruth, matching: TrackMatching, selected: NDArray[np.bool_]
    ) -> None:
        matched = np.flatnonzero(matching.classification == TrackClassification.MATCHED)
        matched = matched[selected[matching.particle[matched]]]
        particle = matching.particle[matched]
        for name in self.quality:
            quantity = getattr(matching, name)[matched]
            self.quality[name].fill(quantity)
            self.quality_counts[name].fill(quantity)
            self.quality_profiles[name]["pt"].fill(truth.pt[particle], quantity)
            self.quality_profiles[name]["eta"].fill(truth.eta[particle], quantity)

    def merge(self, other: TargetMetrics) -> None:
        if other.target != self.target:
            raise ValueError(f"cannot merge target {other.target} into {self.target}")
        for subset, efficiency in self.efficiency.items():
            efficiency.merge(other.efficiency[subset])
        self.n_tracks += other.n_tracks
        self.n_fakes += other.n_fakes
        self.n_duplicates += other.n_duplicates
        for name in self.fakes:
            self.fakes[name].merge(other.fakes[name])
            self.duplicates[name].merge(other.duplicates[name])
        for name, mean in self.quality.items():
            mean.merge(other.quality[name])
            self.quality_counts[name].merge(other.quality_counts[name])
            for axis, profile in self.quality_profiles[name].items():
                profile.merge(other.quality_profiles[name][axis])
        self.found.update(other.found)


class FinderMetrics:
    """Everything that is counted about one finder; safe to fill from several threads.

    Memory is that of the histograms, plus one bit per target particle.
    """

    def __init__(self, finder: str, targets: tuple[Target, ...] = TARGETS) -> None:
        self.finder = finder
        self.n_events = 0
        self.n_tracks = 0
        self.n_track_measurements = Mean()
        self.targets = {target.name: TargetMetrics(target) for target in targets}
        self.alternatives = {
            rule.name: {target.name: _RuleSum() for target in targets} for rule in ALTERNATIVE_RULES
        }
        self._lock = threading.Lock()

    def add_event(
        self,
        truth: EventTruth,
        track_offsets: NDArray,
        track_measurements: NDArray,
        field: float = 2.0,
    ) -> TrackMatching:
        """Match the tracks of one event, count them, and return the matching.

        Args:
            truth: particles and measurements of the event.
            track_offsets: shape (T + 1,).
            track_measurements: indices of measurements in the event.
            field: solenoid field, T; only for the pT by which fakes are binned.
        """
        matching = self._match(truth, track_offsets, track_measurements, DOUBLE_MAJORITY)
        others = {
            rule.name: self._match(truth, track_offsets, track_measurements, rule)
            for rule in ALTERNATIVE_RULES
        }
        kinematics = None
        if truth.positions is not None:
            kinematics = track_kinematics(track_offsets, track_measurements, truth.positions, field)
        with self._lock:
            self.n_events += 1
            self.n_tracks += len(matching)
            self.n_track_measurements.fill(matching.n_measurements)
            for name, metrics in self.targets.items():
                metrics.fill(truth, matching, kinematics)
                for rule, other in others.items():
                    self.alternatives[rule][name].fill(metrics.target, truth, other)
        return matching

    def merge(self, other: FinderMetrics) -> None:
        """Add the sums of other events."""
        with self._lock:
            self.n_events += other.n_events
            self.n_tracks += other.n_tracks
            self.n_track_measurements.merge(other.n_track_measurements)
            for name, metrics in self.targets.items():
                metrics.merge(other.targets[name])
            for rule, sums in self.alternatives.items():
                for name, total in sums.items():
                    total.merge(other.alternatives[rule][name])

    @staticmethod
    def _match(
        truth: EventTruth, offsets: NDArray, measurements: NDArray, rule: MatchingRule
    ) -> TrackMatching:
        return match_tracks(
            offsets,
            measurements,
            truth.measurement_particle_offsets,
            truth.measurement_particle_rows,
            truth.n_particles,
            rule,
        )


class _RuleSum:
    """The three rates under another matching rule."""

    def __init__(self) -> None:
        self.sums = dict.fromkeys(("found", "particles", "fakes", "duplicates", "tracks"), 0)

    def fill(self, target: Target, truth: EventTruth, matching: TrackMatching) -> None:
        selected = target.select(truth)
        kept = matching.n_measurements >= target.min_track_measurements
        classification = matching.classification[kept]
        self.sums["found"] += int(matching.found(truth.n_particles)[selected].sum())
        self.sums["particles"] += int(selected.sum())
        self.sums["fakes"] += int((classification == TrackClassification.FAKE).sum())
        self.sums["duplicates"] += int((classification == TrackClassification.DUPLICATE).sum())
        self.sums["tracks"] += int(kept.sum())

    def merge(self, other: _RuleSum) -> None:
        for name, value in other.sums.items():
            self.sums[name] += value


def particle_values(truth: EventTruth) -> dict[str, NDArray]:
    """The quantities of `PARTICLE_AXES`, shape (P,) each."""
    vz = np.asarray(truth.particles["vz"], dtype=np.float64) if truth.particles else np.zeros(0)
    return {
        "pt": truth.pt,
        "eta": truth.eta,
        "phi": truth.phi,
        "production_radius": truth.production_radius,
        "z0": vz,
        "n_measurements": truth.measurements_of_particle,
        "n_interactions": np.full(truth.n_particles, truth.n_interactions),
    }


def paired_difference(first: TargetMetrics, second: TargetMetrics) -> dict[str, Any] | None:
    """Difference of two efficiencies on the same particles, with its (much smaller) error.

    Only the particles that one finder has and the other lacks carry uncertainty (McNemar).

    Returns:
        events, n_particles, only_first, only_second, difference (first - second) and error; None if
        the two have no event in common.
    """
    events = [
        number
        for number, (size, _) in first.found.items()
        if number in second.found and second.found[number][0] == size
    ]
    total = only_first = only_second = 0
    for number in events:
        size, ours = first.found[number]
        theirs = second.found[number][1]
        total += size
        only_first += int(np.unpackbits(ours & ~theirs, count=size).sum())
        only_second += int(np.unpackbits(theirs & ~ours, count=size).sum())
    if not total:
        return None
    surplus = only_first - only_second
    discordant = only_first + only_second
    return {
        "n_events": len(events),
        "n_particles": total,
        "only_first": only_first,
        "only_second": only_second,
        "difference": surplus / total,
        # Never below one particle: no disagreement in a finite sample is not certainty.
        "error": float(np.sqrt(max(discordant - surplus**2 / total, 1.0)) / total),
    }
