"""Jobs on files of exatrkx-service: positions only."""

from __future__ import annotations

import numpy as np
import pytest

from trkx.algorithms.cli.main import main
from trkx.algorithms.event_inputs import check_fits, open_inputs
from trkx.algorithms.job_config import JobConfig
from trkx.io.errors import ConfigError, InputFileError
from trkx.io.lrt_files import LrtFiles


@pytest.fixture
def folder(tmp_path):
    """Straight tracks through nine cylinders, two events."""
    rng = np.random.default_rng(3)
    radius = np.array([0.032, 0.072, 0.116, 0.172, 0.26, 0.36, 0.5, 0.66, 0.82])
    made = tmp_path / "inputs"
    made.mkdir()
    for event in (0, 1):
        phi, slope = rng.uniform(-1, 1, 20), rng.uniform(-1, 1, 20)
        rows = [(r, p, r * s) for p, s in zip(phi, slope, strict=True) for r in radius]
        np.savetxt(made / f"evt_{event}.csv", rows, delimiter=",")
    return made


def test_finders_and_fits_that_need_modules(folder, tmp_path):
    files = open_inputs([folder])
    assert isinstance(files, LrtFiles) and len(files) == 2

    def check(finder, fitter):
        check_fits(files, JobConfig(input=folder, out=tmp_path, finders=finder, fitters=fitter))

    check("exatrkx", "none")
    for finder in ("gnn", "fast", "classical", "ckf-fast", "truth"):
        with pytest.raises(ConfigError, match=r"needs module ids|fits on"):
            check(finder, "none")
    with pytest.raises(ConfigError, match=r"'kf' fits on modules, but .* has r, φ and z only"):
        check("exatrkx", "kf")
    with pytest.raises(InputFileError, match="is of exatrkx-service, .* is not"):
        open_inputs([folder, tmp_path])


def test_labels_of_positions(folder, tmp_path, capsys):
    labels = tmp_path / "labels"
    command = ["run", "--input", str(folder), "--finder", "exatrkx", "--fitter", "none"]
    assert main([*command, "--labels", str(labels), "--out", str(tmp_path / "out")]) == 0
    found = [np.load(path) for path in sorted(labels.iterdir())]
    assert [len(track) for track in found] == [180, 180]
    assert (found[0] >= 0).any()
    (folder / "evt_1.csv").write_text("0.1,0.2\n")
    assert main([*command, "--out", str(tmp_path / "bad")]) == 2
    assert "evt_1.csv cannot be read" in capsys.readouterr().err
