"""The committed configurations: each says its command, and is one that `trkx train` takes."""

import re
from pathlib import Path

import pytest

from trkx.algorithms.training_file import TrainingFile
from trkx.plugin.training.stages import TRAINERS

FOLDER = Path(__file__).parents[2] / "examples" / "training"
COMMAND = re.compile(r"#\s+trkx train (\w+) --config ([\w.]+) --out models")
FILES = sorted(FOLDER.glob("*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_configuration_says_its_command(path):
    stages = [stage for stage, name in COMMAND.findall(path.read_text()) if name == path.name]
    assert stages, "no comment such as: #   trkx train STAGE --config FILE --out models"
    for stage in stages:
        file = TrainingFile.read(path, stage)
        assert file.events is not None
        for events in (file.events, file.validation):
            if events is not None and events.simulation:
                # Below: for training. Up to 899999: to validate. Above: for tests.
                limit = 500000 if events is file.events else 900000
                assert events.simulation["seed"] < limit


def test_every_stage_has_one():
    stages = {stage for path in FILES for stage, _ in COMMAND.findall(path.read_text())}
    assert stages == set(TRAINERS)
