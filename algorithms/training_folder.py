"""Model folders while they are trained: what is finished, what can be gone on with."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trkx.io.errors import ConfigError, OutputError
from trkx.plugin.weights import Model

CHECKPOINTS = "checkpoints"


def make_folder(folder: Path) -> None:
    """Make a model folder.

    Raises:
        OutputError: it is a file, or cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise OutputError(f"{folder} is, or is in, a file, not a folder for models") from None
    except OSError as error:
        raise OutputError(
            f"cannot make the model folder {folder}: {error.strerror}. Choose one you may write."
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(
            f"cannot write to the model folder {folder}: Permission denied. Choose one you may "
            "write."
        )


def existing_model(folder: Path) -> Model | None:
    """Return the model in `folder`, None if there is no model card.

    Raises:
        WeightsError: there is a card, but the files are not what it says.
    """
    return Model.open(folder) if (folder / "card.json").exists() else None


def is_finished(model: Model | None, stage: str) -> bool:
    """Whether the stage `graph`, `gnn` or `all` has nothing left to do."""
    return model is not None and (stage == "graph" or "network" in model.card)


def checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint that a training goes on from, None if there is none."""
    path = folder / CHECKPOINTS / "last.ckpt"
    return path if path.exists() else None


def drop_checkpoints(folder: Path) -> None:
    """Remove the checkpoints, so that the next training starts anew."""
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)


def check_same(folder: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise unless an unfinished model was begun with the settings `wanted`.

    Args:
        folder: of the model.
        found: its card; settings that it does not have are not compared.
        wanted: settings by their name in the card.

    Raises:
        ConfigError: a setting differs.
    """
    for name, value in wanted.items():
        if name in found and found[name] != value:
            there, now = found[name], value
            if isinstance(there, Mapping) and isinstance(value, Mapping):
                differ = [k for k in value if there.get(k) != value[k]]
                there, now = ({k: d.get(k) for k in differ} for d in (there, value))
            text = f"{name} was {there}, now {now}"
            if len(text) > 200:
                text = f"{name} differs"
            raise ConfigError(
                f"{folder} holds an unfinished model with other settings: {text}. Give the same "
                "ones to go on with it, --force to start anew, or another --out."
            )


def write_model(folder: Path, layer_map: Any, network: Any, about: dict[str, Any]) -> Model:
    """Write a model so that a killed job leaves the old one or a mismatch that is detected.

    Raises:
        OutputError: the folder cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=folder) as hidden:
            written = Model.write(hidden, layer_map, network, about)
            # The card goes last: it holds the checksums of the others.
            for name in (*written.card["sha256"], "card.json"):
                os.replace(Path(hidden) / name, folder / name)
    except OSError as error:
        raise OutputError(f"cannot write the model to {folder}: {error.strerror}") from error
    return Model.open(folder)
