"""One event loop for many requests finds and fits what a job does."""

import numpy as np
import pytest

from trkx.io.errors import EventContentError
from trkx.io.event_files import EventFiles

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def service():
    from trkx.algorithms.reconstruction_service import ReconstructionService
    from trkx.plugin import load_pipeline

    with ReconstructionService(load_pipeline("gnn", "pt1")) as running:
        yield running


@pytest.fixture(scope="module")
def columns(tiny_sample):
    from trkx.plugin.serving.reco_exchange import measurement_tensors, read_measurements

    with EventFiles.open(tiny_sample) as files:
        events = [files.read(number, truth=False) for number in files.numbers]
    return [read_measurements(measurement_tensors(e.space_points, e.measurements)) for e in events]


def test_tracks_are_those_of_a_job(service, columns, tiny_sample, tmp_path):
    import uproot

    from trkx.algorithms.cli.main import main

    out = tmp_path / "out"
    assert main(["run", "--input", str(tiny_sample), "--out", str(out), "--no-report"]) == 0
    with uproot.open(out / "tracksummary_gnn_kf.root") as file:
        branches = ("eLOC0_fit", "eQOP_fit", "chi2Sum", "nMeasurements")
        jagged = file["tracksummary"].arrays(branches)
    for event, given in enumerate(columns):
        found = service(given)
        assert len(found) == len(jagged["chi2Sum"][event]) > 10
        for column, name in ((0, "eLOC0_fit"), (4, "eQOP_fit")):
            expected = np.asarray(jagged[name][event])
            np.testing.assert_allclose(found.parameters[:, column], expected, rtol=1e-5)
        np.testing.assert_array_equal(np.diff(found.offsets), jagged["nMeasurements"][event])


def test_rows_of_the_request_may_come_in_any_order(service, columns):
    found = service(columns[0])
    order = np.random.default_rng(1).permutation(len(columns[0]["x"]))
    again = service({name: values[order] for name, values in columns[0].items()})

    def tracks(result, rows):
        parts = np.split(rows[result.hits], result.offsets[1:-1])
        return sorted(tuple(sorted(part)) for part in parts)

    assert tracks(again, order) == tracks(found, np.arange(len(order)))


def test_what_is_no_event_is_refused_and_the_next_one_is_right(service, columns):
    wrong = {**columns[0], "geometry_id": columns[0]["geometry_id"] + np.uint64(1 << 60)}
    with pytest.raises(EventContentError, match="no module of the detector"):
        service(wrong)
    nothing = {name: values[:0] for name, values in columns[0].items()}
    assert len(service(nothing)) == 0
    assert len(service(columns[1])) > 10
