"""The helix fit in the event loop: as a fit of its own, without a geometry, and to start others."""

import json

import acts
import acts.examples
import numpy as np
import pytest

from trkx.algorithms.cli.main import main
from trkx.algorithms.helpers import addHelixFit, addTruthTrackFinding
from trkx.fitting import FitSummary
from trkx.fitting.errors import UnknownStartError
from trkx.fitting.fitted_tracks import tracks_with_parameters

TRACKS = acts.examples.ConstTrackContainer


@pytest.mark.parametrize(
    "options", [("--fitters", "helix"), ("--fitters", "kf", "--start", "helix")]
)
def test_fits_of_a_job(tiny_sample, tmp_path, options):
    out = tmp_path / "out"
    arguments = ["--input", str(tiny_sample), "--finders", "truth,ckf-fast", "--out", str(out)]
    assert main(["compare", *arguments, *options, "--no-report", "--events", "0:1"]) == 0
    document = json.loads((out / "performance.json").read_text())
    for finder in ("truth", "ckf-fast"):
        fit = document["finders"][finder]["fits"][options[1]]
        assert fit["n_found"] > 20
        assert fit["fit_fraction"] > 0.98
        assert fit["pulls"]["d0"]["width"] < 1.5
    assert (out / f"tracksummary_truth_{options[1]}.root").stat().st_size > 1000


def test_without_a_geometry(muon_chain, whiteboard):
    s = muon_chain(events=1, muons=200)
    addTruthTrackFinding(s, selection=None)
    summary, seen = FitSummary(), []
    addHelixFit(s, "truth_proto_tracks", "fitted", summary=summary)

    def see(event, tracks):
        parameters = np.array(tracks.parameters)
        covariance = np.array(tracks.covariance)
        seen.append((parameters, covariance, np.array(tracks.nMeasurements)))
        assert all(track.hasReferenceSurface for track in tracks)

    s.addAlgorithm(whiteboard(see, tracks=("fitted", TRACKS)))
    s.run()
    parameters, covariance, measurements = seen[0]
    assert summary.total.found > 150
    assert len(parameters) == summary.total.fitted >= 0.98 * summary.total.found
    # Muons come from within tens of micrometres of the beam line.
    assert np.median(np.abs(parameters[:, 0])) < 0.2
    assert (np.abs(parameters[:, 4]) < 1.2).all()
    assert (np.linalg.eigvalsh(covariance) > 0).all()
    assert measurements.min() >= 3


def test_numbers_of_acts_tracks(muon_chain, whiteboard):
    s = muon_chain(events=1, muons=5)
    addTruthTrackFinding(s, selection=None)
    addHelixFit(s, "truth_proto_tracks", "fitted")
    found = []

    def see(event, tracks):
        n = len(tracks)
        rng = np.random.default_rng(1)
        values = rng.uniform(0.1, 0.9, (n, 5))
        matrix = rng.normal(size=(n, 5, 5))
        matrix = matrix + np.swapaxes(matrix, 1, 2)
        made = tracks_with_parameters(tracks, values, matrix, np.arange(n) + 0.5, np.arange(n))
        np.testing.assert_array_equal(np.array(made.parameters)[:, :5], values)
        np.testing.assert_array_equal(np.array(made.covariance)[:, :5, :5], matrix)
        np.testing.assert_array_equal(np.array(made.chi2), np.arange(n) + 0.5)
        np.testing.assert_array_equal(np.array(made.ndf), np.arange(n))
        # The tracks they were copied from are as they were.
        assert not np.array_equal(np.array(tracks.parameters)[:, :5], values)
        found.append(n)

    s.addAlgorithm(whiteboard(see, tracks=("fitted", TRACKS)))
    s.run()
    assert found[0] > 0


def test_unknown_start(muon_chain):
    from trkx.algorithms.helpers import addKalmanFit

    s = muon_chain(events=1, muons=1)
    with pytest.raises(UnknownStartError, match="start: 'guess'"):
        addKalmanFit(s, muon_chain.geometry, muon_chain.field, "a", "b", start="guess")
