"""Pipeline files as finders of a job: shipped ones by name, files of your own by theirs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from trkx.io.errors import ConfigError

if TYPE_CHECKING:
    from trkx.plugin.pipeline_file import PipelineFile

# The plugin is imported within functions: the command line reads this module for its help, and
# sets the threads of numeric libraries before it loads them.

MODEL_FINDERS = {"gnn": "fast", "classical": "fast", "gnn+ckf": "fast"}
"""Finders that are a shipped pipeline, or start with one."""


def shipped_finders() -> tuple[str, ...]:
    """Names of the shipped pipelines, each of which is a finder."""
    from trkx.plugin.pipeline_file import shipped_pipelines

    return tuple(shipped_pipelines())


def pipeline_finders(sources: Iterable[Path | str], taken: Mapping[str, str]) -> dict[str, Path]:
    """Finder → pipeline file, for the files and shipped names that a job adds.

    Args:
        sources: files, or names of shipped pipelines.
        taken: key in file names → finder, for finders that are no pipelines.

    Raises:
        StageError: a file that is not there or not good.
        ConfigError: two pipelines of one name, or one with the name of a finder.
    """
    from trkx.plugin.pipeline_file import PipelineFile, shipped_pipelines

    found: dict[str, Path] = {}
    for source in sources:
        file = PipelineFile.read(source)
        path = file.path.resolve()
        if file.name in taken:
            raise ConfigError(
                f"pipeline file {file.path}: its name '{file.name}' is that of the finder "
                f"'{taken[file.name]}'; give it another one"
            )
        if file.name in shipped_pipelines() and not file.is_shipped:
            raise ConfigError(
                f"pipeline file {file.path}: its name '{file.name}' is that of a shipped "
                "pipeline; give it another one"
            )
        if found.setdefault(file.name, path) != path:
            raise ConfigError(
                f"pipeline files {found[file.name]} and {path} have the same name '{file.name}'; "
                "give one of them another"
            )
    return found


def pipeline_files(finders: Iterable[str], own: Mapping[str, Path]) -> dict[str, PipelineFile]:
    """Finder → its pipeline file, for those that have one.

    Args:
        finders: names.
        own: finder → file, as `pipeline_finders` returns.
    """
    from trkx.plugin.pipeline_file import PipelineFile

    shipped = shipped_finders()
    files = {}
    for finder in finders:
        source = own.get(finder) or MODEL_FINDERS.get(finder, finder)
        if finder in own or source in shipped:
            files[finder] = PipelineFile.read(source)
    return files
