"""performance.json: content, checks, reading and writing; the table; the times."""

import copy
import json
import re
from pathlib import Path

import numpy as np
import pytest

from trkx.algorithms.performance import (
    PerformanceFormatError,
    build_performance,
    load_performance,
    plain,
    validate_performance,
    write_performance,
)
from trkx.algorithms.performance_collector import PerformanceCollector
from trkx.algorithms.performance_histograms import (
    efficiency_histograms,
    profile_histograms,
    residual_histograms,
    width_histograms,
)
from trkx.algorithms.performance_table import WIDTH, format_table
from trkx.algorithms.performance_times import FinderTimes, StageSeconds
from trkx.io.errors import InputFileError


def test_documented_keys_are_there(toy_document):
    gnn = toy_document["finders"]["gnn"]
    for target in ("pt1", "pt05"):
        figures = gnn["targets"][target]
        assert 0.9 < figures["efficiency"] < 1
        assert 0 < figures["efficiency_error"] < 0.02
        low, high = figures["efficiency_interval"]
        assert low < figures["efficiency"] < high
        assert figures["n_found"] / figures["n_particles"] == figures["efficiency"]
        assert (
            figures["primaries"]["n_particles"] + figures["displaced"]["n_particles"]
            == (figures["n_particles"])
        )
        for key in ("fake_rate", "duplicate_rate", "purity", "completeness"):
            assert figures[f"{key}_error"] >= 0
        assert set(figures["other_rules"]) == {"single_majority", "acts"}
    times = gnn["seconds_per_event"]
    assert times["finding"] == pytest.approx(0.78, rel=0.1)
    assert times["total"] == pytest.approx(times["finding"] + times["fitting"], rel=0.05)
    assert times["fitter"] == "kf"
    assert times["stages"]["finding: graph construction"]["n_events"] == 3
    kf = gnn["fits"]["kf"]
    assert kf["pulls"]["d0"]["width"] == pytest.approx(1.02, abs=0.1)
    assert kf["resolutions"]["d0"]["unit"] == "mm"
    assert kf["failures"]["no parameters at the perigee"] == kf["n_found"] - kf["n_fitted"]
    assert toy_document["events"]["numbers"] == [900_000, 900_001, 900_002]
    assert toy_document["versions"]["pyacts"]


def test_every_documented_key_is_written(toy_document):
    """The paths in the first column of docs/performance_json.md exist in a document."""
    page = Path(__file__).parents[2] / "docs" / "performance_json.md"
    paths = re.findall(r"^\| `([^`]+)`", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(paths) > 40
    names = {
        "<finder>": "gnn",
        "<target>": "pt1",
        "<fitter>": "kf",
        "<axis>": "eta",
        "<parameter>": "d0",
        "<rule>": "acts",
        "<subset>": "all",
        "<stage>": "finding",
        "<library>": "numpy",
    }
    for path in paths:
        value = toy_document
        for key in path.replace("[]", ".0").split("."):
            key = names.get(key, key)
            value = value[int(key)] if isinstance(value, list) else value[key]


def test_comparison_on_the_same_particles(toy_document):
    comparison = toy_document["comparisons"][0]
    assert (comparison["first"], comparison["second"]) == ("gnn", "ckf")
    figures = comparison["targets"]["pt1"]
    finders = toy_document["finders"]
    expected = (
        finders["gnn"]["targets"]["pt1"]["efficiency"]
        - finders["ckf"]["targets"]["pt1"]["efficiency"]
    )
    assert figures["difference"] == pytest.approx(expected)
    assert 0 < figures["error"] < 0.02


def test_finder_that_fits_while_it_finds(toy_document):
    times = toy_document["finders"]["ckf"]["seconds_per_event"]
    assert times["fitting"] == 0.0
    assert times["total"] == times["finding"]
    assert times["fitter"] == "ckf"
    assert "fitting: kf" in times["stages"]


def test_written_and_read_again(toy_document, tmp_path):
    path = write_performance(toy_document, tmp_path / "performance.json")
    assert load_performance(path) == toy_document
    assert [file.name for file in tmp_path.iterdir()] == ["performance.json"]


def test_job_without_events_and_finders(tmp_path):
    collector = PerformanceCollector()
    collector.add_finder("gnn")
    collector.add_fit("gnn", "kf")
    document = build_performance(collector)
    figures = document["finders"]["gnn"]["targets"]["pt1"]
    assert figures["efficiency"] is None
    assert figures["n_particles"] == 0
    assert document["finders"]["gnn"]["seconds_per_event"] is None
    write_performance(document, tmp_path / "performance.json")
    assert "gnn" in format_table(document)
    assert format_table(build_performance(PerformanceCollector())) == "no finders\n"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: d.update(schema="other"), "'schema' must be 'trkx-performance', found 'other'"),
        (lambda d: d.update(schema_version=9), "schema_version 9, but this trkx reads 1"),
        (lambda d: d.pop("finders"), "key 'finders' is missing"),
        (
            lambda d: d["finders"]["gnn"]["targets"]["pt1"].pop("fake_rate_error"),
            r"finders.gnn.targets.pt1: key 'fake_rate_error' is missing",
        ),
        (
            lambda d: d["finders"]["gnn"]["targets"]["pt1"].update(efficiency=1.2),
            r"targets.pt1.efficiency: must be a number from 0 to 1, found 1.2",
        ),
        (
            lambda d: d["finders"]["gnn"]["seconds_per_event"].pop("total"),
            r"seconds_per_event: key 'total' is missing",
        ),
    ],
)
def test_damaged_document_is_named(toy_document, damage, message):
    document = copy.deepcopy(toy_document)
    damage(document)
    with pytest.raises(PerformanceFormatError, match=message):
        validate_performance(document)


def test_bad_files(tmp_path):
    with pytest.raises(InputFileError, match="no such file"):
        load_performance(tmp_path / "none.json")
    path = tmp_path / "half.json"
    path.write_text('{"schema": ')
    with pytest.raises(PerformanceFormatError, match="half.json: not JSON"):
        load_performance(path)
    path.write_text("[]")
    with pytest.raises(PerformanceFormatError, match="found 'list'"):
        load_performance(path)


def test_plain_values():
    value = plain({"a": np.float32(1.5), 2: [np.nan, np.inf], "p": Path("x"), "n": np.arange(2)})
    assert json.loads(json.dumps(value)) == {"a": 1.5, "2": [None, None], "p": "x", "n": [0, 1]}


def test_table_fits_the_terminal(toy_document):
    table = format_table(toy_document)
    assert max(map(len, table.splitlines())) <= WIDTH
    gnn = toy_document["finders"]["gnn"]["targets"]["pt1"]
    row = next(line for line in table.splitlines() if line.startswith("  efficiency"))
    assert f"{100 * gnn['efficiency']:.2f} ± {100 * gnn['efficiency_error']:.2f}" in row
    assert "more than 50% of the track's measurements" in table
    assert "gnn - ckf on the same particles" in table


def test_many_finders_go_to_several_blocks(toy_document):
    document = dict(toy_document)
    gnn = toy_document["finders"]["gnn"]
    document["finders"] = {f"a-finder-with-a-long-name-{i}": gnn for i in range(7)}
    document["comparisons"] = []
    table = format_table(document)
    assert max(map(len, table.splitlines())) <= WIDTH
    assert sum(line.startswith("  efficiency") for line in table.splitlines()) == 2 * 2


def test_stage_seconds_on_paper():
    stage = StageSeconds.from_events([1.0, 3.0, 2.0])
    assert (stage.seconds, stage.minimum, stage.maximum) == (2.0, 1.0, 3.0)
    assert stage.error == pytest.approx(1.2533 / np.sqrt(3))
    both = stage + StageSeconds.from_events([1.0, 1.0, 2.0])
    assert both.per_event == (2.0, 4.0, 4.0)
    assert both.seconds == 4.0
    assert StageSeconds.from_events([]).seconds == 0.0
    wall = StageSeconds(1.0, clock="wall") + StageSeconds(0.5, clock="wall")
    assert (wall.seconds, wall.error) == (1.5, None)


def test_times_without_a_fit():
    times = FinderTimes(StageSeconds.from_events([1.0, 2.0])).to_dict()
    assert (times["fitting"], times["fitter"]) == (None, None)
    assert times["total"] == times["finding"] == 1.5


def test_histograms_have_the_names_of_acts(toy_document):
    efficiencies = efficiency_histograms(toy_document, "gnn")
    assert {"trackeff_vs_eta", "trackeff_vs_pT", "trackeff_vs_prodR"} <= set(efficiencies)
    assert {"fakeRatio_vs_eta", "duplicationRatio_vs_pT"} <= set(efficiencies)
    passed, total, edges = efficiencies["trackeff_vs_eta"]
    figures = toy_document["finders"]["gnn"]["targets"]["pt1"]
    assert (passed.sum(), total.sum()) == (figures["n_found"], figures["n_particles"])
    assert len(edges) == len(total) + 1
    counts, _ = residual_histograms(toy_document, "gnn", "kf")["pull_d0"]
    assert counts.sum() > 100
    values, errors, edges = width_histograms(toy_document, "gnn", "kf")["reswidth_d0_vs_eta"]
    assert np.nanmin(values) > 0
    assert len(values) == len(errors) == len(edges) - 1
    mean, _, _ = profile_histograms(toy_document, "gnn")["completeness_vs_eta"]
    assert np.nanmean(mean) == pytest.approx(0.98, abs=0.01)
