"""Settings of a job: from options, from a TOML file, and checked."""

from pathlib import Path

import pytest

from trkx.algorithms.job_config import (
    JobConfig,
    finder_key,
    make_config,
    parse_beam_spot,
    parse_event_range,
    read_config_file,
)
from trkx.io.errors import ConfigError, InputFileError


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2:5", (2, 5)), ("2:", (2, None)), (":5", (None, 5)), ("3", (3, 4)), (":", (None, None))],
)
def test_event_ranges(text, expected):
    assert parse_event_range(text) == expected


@pytest.mark.parametrize("text", ["5:2", "3:3", "-1:4", "a:b", "1:2:3", "", "1.5"])
def test_bad_event_ranges(text):
    with pytest.raises(ConfigError, match="events"):
        parse_event_range(text)


@pytest.mark.parametrize("value", ["-0.5,1", "-.5, 1.0", (-0.5, 1), [-0.5, 1]])
def test_beam_spots(value):
    assert parse_beam_spot(value) == (-0.5, 1.0)
    assert JobConfig(input="in", out="out", beam_spot=value).beam_spot == (-0.5, 1.0)


@pytest.mark.parametrize("value", ["", "1", "1,2,3", "a,b", "nan,0", "inf,0", "30,0", 3, None])
def test_bad_beam_spots(value):
    with pytest.raises(ConfigError, match="beam_spot: .* Write X,Y in mm"):
        parse_beam_spot(value)


def test_names_are_split_checked_and_kept_in_order():
    config = JobConfig(input="in", out="out", finders="gnn, ckf-fast,gnn", fitters="gx2f,kf")
    assert config.finders == ("gnn", "ckf-fast")
    assert config.fitters == ("gx2f", "kf")
    assert config.input == (Path("in"),)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"finders": "gmn"}, "unknown finder 'gmn'; did you mean 'gnn'"),
        ({"finders": ""}, "finder: none given"),
        ({"finders": 3}, "finder: 3 is not a name"),
        ({"fitters": "kalman"}, "unknown fitter 'kalman'.*kf, gx2f, helix, none"),
        ({"fitters": "none,kf"}, "'none' excludes"),
        ({"device": "gpu"}, "unknown device 'gpu'"),
        ({"target": "pt2"}, "unknown target 'pt2'"),
        ({"threads": 0}, "threads: 0"),
        ({"threads": "2"}, "threads: '2'"),
        ({"field": "2 T"}, "field"),
        ({"force": "yes"}, "force: 'yes'"),
        ({"out": ""}, "out: '' is not a path"),
        ({"input": ()}, "input: no folder"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        JobConfig(**{"input": "in", "out": "out", **settings})


def test_a_config_file_and_options_that_win(tmp_path):
    file = tmp_path / "job.toml"
    file.write_text('input = "sample"\nfinder = "ckf"\ntrack-states = true\nthreads = 2\n')
    config = make_config({"out": "out", "threads": 4}, file, {"finders": "gnn"})
    assert config.finders == ("ckf",)
    assert config.track_states is True
    assert config.threads == 4


def test_an_unknown_key_names_the_nearest(tmp_path):
    file = tmp_path / "job.toml"
    file.write_text('findr = "ckf"\n')
    with pytest.raises(ConfigError, match=r"unknown key 'findr' in .*; did you mean 'finder'"):
        read_config_file(file)


def test_a_file_that_is_not_there_or_not_toml(tmp_path):
    with pytest.raises(InputFileError, match="no such file"):
        read_config_file(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("finder = ckf")
    with pytest.raises(ConfigError, match="is not TOML"):
        read_config_file(tmp_path / "bad.toml")


def test_input_and_output_are_needed():
    with pytest.raises(ConfigError, match="--input"):
        make_config({"out": "x"})
    with pytest.raises(ConfigError, match="--out"):
        make_config({"input": "x"})


def test_settings_survive_json():
    config = JobConfig(input=("a", "b"), out="c", events="1:3")
    again = config.as_json()
    assert again["input"] == ["a", "b"]
    assert JobConfig(**{**again, "events": tuple(again["events"])}) == config


def test_whiteboard_keys_have_no_signs():
    assert finder_key("gnn+ckf") == "gnn_ckf"
    assert finder_key("ckf-fast") == "ckf_fast"


def test_ckf_tracks_are_refitted_on_request_only():
    options = {"input": "in", "out": "out"}
    assert make_config({**options, "finders": "ckf"}).fitters == ("none",)
    assert make_config({**options, "finders": "gnn+ckf"}).fitters == ("none",)
    assert make_config({**options, "finders": "ckf", "fitters": "kf"}).fitters == ("kf",)
    assert make_config({**options, "finders": "ckf,gnn"}).fitters == ("kf",)
    assert make_config(options).fitters == ("kf",)
