"""Which model a server has, in one line that two sides can compare."""

from __future__ import annotations

import hashlib
from pathlib import Path

from trkx.plugin.pipeline_file import PipelineFile
from trkx.plugin.weights import find_model


def pipeline_identity(
    pipeline: Path | str, target: str | None = None, weights: Path | str | None = None
) -> str:
    """Name, target and checksum of a pipeline: its file, and all maps and weights it reads.

    Cards hold the checksums of what they belong to, so only they are read: neither torch nor
    numba is needed.

    Args:
        pipeline: a pipeline file, or the name of a shipped one.
        target: 'pt1' or 'pt05'; None: the pipeline's default.
        weights: model folder instead of the shipped one.

    Returns:
        such as 'fast/pt1 sha256:0123456789abcdef…'.
    """
    file = PipelineFile.read(pipeline)
    target = target or file.targets[0]
    digest = hashlib.sha256(file.path.read_bytes())
    if file.reads_model:
        digest.update((find_model(target, weights).folder / "card.json").read_bytes())
    for stage in file.stages:
        for value in stage.settings.values():
            if not isinstance(value, str):
                continue
            path = file.path.parent / value  # often without its ending, which the card has not
            for found in (path.with_suffix(".json"), path):
                if found.is_file():
                    digest.update(found.read_bytes())
                    break
    return f"{file.name}/{target} sha256:{digest.hexdigest()}"
