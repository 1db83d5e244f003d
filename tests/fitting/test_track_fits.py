"""Fits of the hits of true muons: none lost, pulls of unit width."""

import acts
import acts.arrow
import acts.examples
import numpy as np
import pytest

from trkx.algorithms.helpers import addTrackHits, addTruthTrackFinding
from trkx.algorithms.track_hits import hits_of_proto_tracks, hits_of_table, hits_of_tracks
from trkx.fitting import (
    FitCounts,
    FitSummary,
    GlobalChi2Settings,
    KalmanSettings,
    addGlobalChi2Fit,
    addKalmanFit,
    addRefit,
)
from trkx.fitting.start_parameters import order_along_track

PROTO = acts.examples.ProtoTrackContainer
TRACKS = acts.examples.ConstTrackContainer
TABLE = acts.arrow.ArrowTable
PARTICLES = acts.examples.SimParticleContainer
MAP = acts.examples.MeasurementParticlesMap


def true_parameters(particle, tesla=2.0):
    """d0, z0, φ, θ, q/p at the beam line of a particle made near it (straight in r-φ there)."""
    p, v = particle, particle.position
    phi, theta = p.phi, p.theta
    radius = p.transverseMomentum / (0.299792458e-3 * tesla * p.charge)
    centre = np.array([v[0] + radius * np.sin(phi), v[1] - radius * np.cos(phi)])
    nearest = centre * (1 - abs(radius) / np.hypot(*centre))
    phi0 = np.arctan2((centre[0] - nearest[0]) / radius, (nearest[1] - centre[1]) / radius)
    d0 = nearest[1] * np.cos(phi0) - nearest[0] * np.sin(phi0)
    turn = (phi0 - phi + np.pi) % (2 * np.pi) - np.pi
    z0 = v[2] - turn * radius / np.tan(theta)
    return np.array([d0, z0, phi0, theta, p.charge / p.absoluteMomentum])


def residuals_and_errors(tracks, hits, particles, links):
    """Five residuals and their uncertainties for each track, by its first measurement."""
    truth = {hash(p.particleId): true_parameters(p) for p in particles}
    owner = {}
    for measurement, barcode in links:
        owner.setdefault(measurement, hash(barcode))
    expected = np.array([truth[owner[m]] for m in hits.measurements[hits.offsets[:-1]].tolist()])
    residuals = np.asarray(tracks.parameters)[:, :5] - expected
    residuals[:, 2] = (residuals[:, 2] + np.pi) % (2 * np.pi) - np.pi
    errors = np.sqrt(np.diagonal(np.asarray(tracks.covariance), axis1=1, axis2=2)[:, :5])
    return residuals, errors


def width(values):
    """Half the central 68% interval."""
    low, high = np.quantile(values, [0.15865, 0.84135])
    return (high - low) / 2


@pytest.fixture
def fit_muons(muon_chain, whiteboard):
    """Fit true muons; return the summary, residuals and uncertainties."""

    def run(addFit, settings=None, refit=None, muons=500, events=2):
        s = muon_chain(events=events, muons=muons)
        addTruthTrackFinding(s, selection=None)
        summary, collected = FitSummary(), []
        addFit(
            s,
            muon_chain.geometry,
            muon_chain.field,
            inputProtoTracks="truth_proto_tracks",
            outputTracks="fitted",
            inputSpacePointTable="spacepoint_table",
            settings=settings,
            summary=summary,
        )
        key = "fitted"
        if refit is not None:
            key = "refitted"
            summary = FitSummary()
            addRefit(
                s, muon_chain.geometry, muon_chain.field, "fitted", key, refit, summary=summary
            )
        table = addTrackHits(s, key)

        def see(event, tracks, hits, particles, links):
            collected.append(residuals_and_errors(tracks, hits_of_table(hits), particles, links))

        s.addAlgorithm(
            whiteboard(
                see,
                tracks=(key, TRACKS),
                hits=(table, TABLE),
                particles=("particles", PARTICLES),
                links=("measurement_particles_map", MAP),
            )
        )
        s.run()
        residuals, errors = (np.concatenate(part) for part in zip(*collected, strict=True))
        return summary, residuals, errors

    return run


def check_fit(summary, residuals, errors, fewest=900):
    assert summary.total.found >= fewest
    assert summary.total.fraction_fitted >= 0.995
    assert len(residuals) == summary.total.fitted
    assert np.isfinite(residuals).all()
    for name, column in zip(("d0", "z0", "phi", "theta", "q/p"), range(5), strict=True):
        pull = width(residuals[:, column] / errors[:, column])
        # About 950 tracks: the width is known to 3%.
        assert 0.8 < pull < 1.2, f"pull of {name} {pull:.3f}"
    assert width(residuals[:, 0]) < 0.05
    assert width(residuals[:, 1]) < 0.15


def test_kalman_fit(fit_muons):
    check_fit(*fit_muons(addKalmanFit))


def test_global_chi2_fit_ends_at_the_beam_line(fit_muons):
    check_fit(*fit_muons(addGlobalChi2Fit, events=1, muons=400), fewest=350)


@pytest.mark.parametrize("settings", [KalmanSettings(), GlobalChi2Settings()])
def test_refit(fit_muons, settings):
    events = 2 if isinstance(settings, KalmanSettings) else 1
    check_fit(*fit_muons(addKalmanFit, refit=settings, events=events), fewest=events * 450)


def test_measurements_survive_the_fit(muon_chain, whiteboard):
    s = muon_chain(muons=30)
    addTruthTrackFinding(s)
    addKalmanFit(
        s,
        muon_chain.geometry,
        muon_chain.field,
        "truth_proto_tracks",
        "fitted",
        inputSpacePointTable="spacepoint_table",
    )
    table = addTrackHits(s, "fitted")
    seen = {}

    def see(event, proto, tracks, table, measurements):
        seen["proto"] = hits_of_proto_tracks(proto)
        seen["table"], seen["states"] = hits_of_table(table), hits_of_tracks(tracks)
        seen["modules"] = np.array([m.geometryId.value for m in measurements])

    s.addAlgorithm(
        whiteboard(
            see,
            proto=("fitted_started", PROTO),
            tracks=("fitted", TRACKS),
            table=(table, TABLE),
            measurements=("measurements", acts.examples.MeasurementContainer),
        )
    )
    s.run()
    assert seen["proto"].n_tracks > 20
    for column in ("offsets", "measurements"):
        np.testing.assert_array_equal(
            getattr(seen["table"], column), getattr(seen["states"], column)
        )
    for t in range(seen["proto"].n_tracks):
        found, fitted = (
            hits.measurements[hits.offsets[t] : hits.offsets[t + 1]]
            for hits in (seen["proto"], seen["table"])
        )
        assert set(fitted) <= set(found)
        # A Kalman filter uses one measurement of a module.
        assert len(fitted) == len(set(seen["modules"][found]))


def test_hits_are_ordered_along_the_track():
    # Two tracks along x; the first two hits of the second come in the wrong order.
    x = np.array([0.0, 1.0, 5.0, 32.0, 30.0, 70.0, 110.0])
    positions = np.stack([x, 0.1 * x, np.zeros(7)], axis=1)
    track_of = np.array([0, 0, 0, 1, 1, 1, 1])
    assert order_along_track(positions, track_of).tolist() == [0, 1, 2, 4, 3, 5, 6]
    # The other way round: the end of a track stays its end.
    assert order_along_track(positions[::-1], 1 - track_of[::-1]).tolist() == [0, 1, 3, 2, 4, 5, 6]
    assert len(order_along_track(np.zeros((0, 3)), np.zeros(0, dtype=int))) == 0


class Proto(acts.examples.IAlgorithm):
    """Two good tracks, one of two hits and an empty one."""

    def __init__(self):
        acts.examples.IAlgorithm.__init__(self, "Proto", acts.logging.WARNING)
        self.read = acts.examples.ReadDataHandle(self, PROTO, "in")
        self.read.initialize("truth_proto_tracks")
        self.write = acts.examples.WriteDataHandle(self, PROTO, "out")
        self.write.initialize("mixed")

    def execute(self, context):
        good = [list(track) for track in self.read(context.eventStore)][:2]
        mixed = PROTO()
        for hits in ([], good[0], good[1][:2], good[1]):
            mixed.append(acts.examples.ProtoTrack(hits))
        self.write(context, mixed)
        return acts.examples.ProcessCode.SUCCESS


@pytest.mark.parametrize("table", ["spacepoint_table", None])
def test_tracks_without_start_parameters_are_counted(muon_chain, whiteboard, table):
    s = muon_chain(muons=10)
    addTruthTrackFinding(s)
    s.addAlgorithm(Proto())
    summary = FitSummary()
    addKalmanFit(
        s,
        muon_chain.geometry,
        muon_chain.field,
        "mixed",
        "fitted",
        inputSpacePointTable=table,
        summary=summary,
        logLevel=acts.logging.FATAL,
    )
    s.run()
    assert summary.counts == {0: FitCounts(found=4, started=2, fitted=2)}
    assert summary.total.failed == 2
    assert "4 tracks, 2 without start parameters" in str(summary)


def test_counts_of_nothing():
    assert FitSummary().total == FitCounts()
    assert FitCounts().fraction_fitted == 1.0
