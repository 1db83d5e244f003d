"""Weights of one trained stage: a .safetensors file and, beside it, a JSON card that pins it.

A card says which stage and network the weights are for, what the network reads (names and
scales of features), how it was trained and on what, and the checksum of the weights.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trkx.plugin.errors import WeightsError, need
from trkx.plugin.weights import sha256

if TYPE_CHECKING:
    from torch import nn

CARD_FORMAT = "trkx-stage-card"


@dataclass(frozen=True)
class StageWeights:
    """A card and the weights it pins; `path` is that of the weights."""

    path: Path
    card: dict[str, Any]

    @classmethod
    def open(cls, path: Path | str, stage: str | None = None) -> StageWeights:
        """Read the card of a weights file and check the file against it.

        Args:
            path: the .safetensors file, or its name without the ending.
            stage: stage the weights must be for; None: any.

        Raises:
            WeightsError: a file is missing, changed, or for another stage.
        """
        path = Path(path).with_suffix(".safetensors")
        card_path = path.with_suffix(".json")
        for needed in (card_path, path):
            if not needed.is_file():
                raise WeightsError(f"stage weights: no file {needed}; train it with 'trkx train'")
        try:
            card = json.loads(card_path.read_text())
        except ValueError as error:
            raise WeightsError(f"stage card {card_path}: not JSON ({error})") from error
        found = card.get("format") if isinstance(card, dict) else type(card).__name__
        if found != CARD_FORMAT:
            raise WeightsError(f"stage card {card_path}: format {found!r}, not {CARD_FORMAT!r}")
        if stage is not None and card.get("stage") != stage:
            raise WeightsError(
                f"{path} holds weights of stage {card.get('stage')!r}, not of {stage!r}; give the "
                "weights that 'trkx train " + stage + "' wrote"
            )
        checksum = sha256(path)
        if checksum != card.get("sha256"):
            raise WeightsError(
                f"{path} is corrupt or was replaced: sha256 {checksum[:12]}…, its card says "
                f"{str(card.get('sha256'))[:12]}…; install or train it anew"
            )
        return cls(path, card)

    @staticmethod
    def write(
        path: Path | str,
        stage: str,
        network: nn.Module,
        shape: dict[str, Any],
        about: dict[str, Any],
    ) -> StageWeights:
        """Write weights and card.

        Args:
            path: file to write; its ending becomes .safetensors.
            stage: name of the stage.
            network: the trained network.
            shape: arguments of the network's configuration, under 'network' in the card.
            about: what else the card says: features, scales, training, scores.
        """
        save_file = need("safetensors.torch", "local", "writing weights").save_file
        path = Path(path).with_suffix(".safetensors")
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
        save_file(state, path)
        path.chmod(0o644)  # safetensors writes for the owner only
        card = {
            "format": CARD_FORMAT,
            "stage": stage,
            "network": shape,
            **about,
            "sha256": sha256(path),
        }
        path.with_suffix(".json").write_text(json.dumps(card, indent=2, sort_keys=True) + "\n")
        return StageWeights.open(path, stage)

    def load_into(self, network: nn.Module) -> nn.Module:
        """Fill `network` with the weights, and return it ready for inference.

        Raises:
            WeightsError: the weights do not fit the network.
        """
        load_file = need("safetensors.torch", "local", "reading weights").load_file
        try:
            network.load_state_dict(load_file(self.path))
        except (RuntimeError, ValueError, OSError) as error:
            reason = " ".join(str(error).split())
            raise WeightsError(
                f"{self.path}: the weights do not fit the network of their card: {reason}"
            ) from error
        return network.eval()
