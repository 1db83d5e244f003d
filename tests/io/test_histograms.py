"""Histograms come back from the file as they were."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import uproot

from trkx.io.errors import ConfigError, OutputExistsError
from trkx.io.histograms import (
    Efficiency,
    Histogram,
    ProfileHistogram,
    wilson_half_width,
    write_histograms,
)

EDGES = np.array([0.0, 1.0, 3.0])


def test_histograms_of_one_and_two_quantities(tmp_path):
    counts = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    path = write_histograms(
        tmp_path / "h.root",
        {
            "gnn/res_d0": Histogram(np.array([3, 4]), EDGES, title="residual;d0 (mm);tracks"),
            "weighted": Histogram(np.array([3.0, 4.0]), EDGES, np.array([9.0, 1.0])),
            "map": Histogram(counts, (EDGES, [0, 1, 2, 3])),
            "numpy": np.histogram([0.5, 0.6], bins=EDGES),
            "numpy2d": np.histogram2d([0.5], [2.5], bins=(EDGES, [0, 1, 2, 3])),
        },
        provenance={"seed": 1},
    )
    with uproot.open(path) as file:
        assert json.loads(str(file["provenance"])) == {"seed": 1}
        one = file["gnn/res_d0"]
        assert one.classname == "TH1D" and one.title == "residual"
        assert one.axis().member("fTitle") == "d0 (mm)"
        np.testing.assert_array_equal(one.axis().edges(), EDGES)
        np.testing.assert_array_equal(one.values(), [3, 4])
        np.testing.assert_allclose(one.errors(), [3**0.5, 2])
        np.testing.assert_allclose(file["weighted"].errors(), [3, 1])
        np.testing.assert_array_equal(file["map"].values(), counts)
        np.testing.assert_array_equal(file["map"].axis(1).edges(), [0, 1, 2, 3])
        np.testing.assert_array_equal(file["numpy"].values(), [2, 0])
        np.testing.assert_array_equal(file["numpy2d"].values(), [[0, 0, 1], [0, 0, 0]])


def test_efficiency_is_passed_total_and_ratio(tmp_path):
    efficiency = Efficiency(np.array([3, 0]), np.array([4, 0]), EDGES)
    look_alike = SimpleNamespace(passed=[[1]], total=[[2]], edges=([0, 1], [0, 1]))
    write_histograms(tmp_path / "h.root", {"eff": efficiency, "eff2": look_alike})
    with uproot.open(tmp_path / "h.root") as file:
        np.testing.assert_array_equal(file["eff_passed"].values(), [3, 0])
        np.testing.assert_array_equal(file["eff_total"].values(), [4, 0])
        np.testing.assert_array_equal(file["eff"].values(), [0.75, 0])
        np.testing.assert_allclose(file["eff"].errors(), wilson_half_width([3, 0], [4, 0]))
        assert file["eff2"].classname == "TH2D"
        assert file["eff2"].values() == [[0.5]]


def test_wilson_interval():
    # (p ± …) for p = 3/4, n = 4, z = 1: half width sqrt(3/64 + 1/64) / (1 + 1/4).
    assert wilson_half_width(np.array([3]), np.array([4]))[0] == pytest.approx(0.25 / 1.25)
    assert wilson_half_width(np.array([4]), np.array([4]))[0] > 0


def test_profile(tmp_path):
    values = np.array([1.0, 2.0, 6.0])
    profile = ProfileHistogram([3, 0], [values.sum(), 0], [(values**2).sum(), 0], EDGES)
    write_histograms(tmp_path / "h.root", {"holes_vs_eta": profile})
    with uproot.open(tmp_path / "h.root") as file:
        read = file["holes_vs_eta"]
        assert read.classname == "TProfile"
        assert read.values()[0] == 3.0
        assert read.errors()[0] == pytest.approx(values.std() / 3**0.5)


def test_hist_objects(tmp_path):
    hist = pytest.importorskip("hist")
    filled = hist.Hist.new.Reg(4, 0, 1).Double().fill([0.1, 0.6])
    write_histograms(tmp_path / "h.root", {"h": filled})
    with uproot.open(tmp_path / "h.root") as file:
        np.testing.assert_array_equal(file["h"].values(), [1, 0, 1, 0])


def test_what_is_not_a_histogram(tmp_path):
    with pytest.raises(ConfigError, match="'a' is not a histogram but a int"):
        write_histograms(tmp_path / "h.root", {"a": 3})
    with pytest.raises(ConfigError, match=r"contents of shape \(3,\) for bins \(2,\)"):
        write_histograms(tmp_path / "h.root", {"a": Histogram(np.ones(3), EDGES)})
    with pytest.raises(ConfigError, match="3 entries, 2 sums and 2 squares for 2 bins"):
        bad = ProfileHistogram([1, 2, 3], [1, 2], [1, 2], EDGES)
        write_histograms(tmp_path / "h.root", {"a": bad})
    with pytest.raises(ConfigError, match="two histograms are called 'a_total'"):
        one = Histogram(np.ones(2), EDGES)
        both = {"a_total": one, "a": Efficiency(np.ones(2), np.ones(2), EDGES)}
        write_histograms(tmp_path / "h.root", both)
    assert list(tmp_path.iterdir()) == []


def test_results_are_not_replaced(tmp_path):
    write_histograms(tmp_path / "h.root", {})
    with pytest.raises(OutputExistsError):
        write_histograms(tmp_path / "h.root", {})
