"""Shipped and trained models: a layer map, network weights, and a model card that pins both.

Nothing here unpickles: maps are .npz without objects, weights are safetensors, cards are JSON.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trkx.plugin.errors import StageError, WeightsError, need
from trkx.plugin.interaction_network_config import InteractionNetworkConfig

if TYPE_CHECKING:
    from trkx.plugin.interaction_network import InteractionNetwork
    from trkx.plugin.layer_map import LayerMap
    from trkx.plugin.stage_settings import StageContext

SHIPPED = Path(__file__).parent / "models"
TARGETS = ("pt1", "pt05")
CARD_FORMAT = "trkx-model-card"


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class Model:
    """A folder with `card.json`, `map.npz` and, unless classical, `network.safetensors`."""

    folder: Path
    card: dict[str, Any]

    @classmethod
    def open(cls, folder: Path | str) -> Model:
        """Read the card and check every file it names against its checksum.

        Raises:
            WeightsError: a file is missing, changed, or not what the card says.
        """
        folder = Path(folder)
        path = folder / "card.json"
        if not path.is_file():
            raise WeightsError(
                f"model {folder}: no card.json there; give the folder that 'trkx train' wrote, or "
                f"one of the shipped models: {', '.join(shipped_models())}"
            )
        try:
            card = json.loads(path.read_text())
        except ValueError as error:
            raise WeightsError(f"model card {path}: not JSON ({error}); install anew") from error
        found = card.get("format") if isinstance(card, dict) else type(card).__name__
        if found != CARD_FORMAT:
            raise WeightsError(
                f"model card {path}: found format {found!r}, expected {CARD_FORMAT!r}; install or "
                "train it anew"
            )
        checksums = card.get("sha256")
        if not isinstance(checksums, dict) or "map.npz" not in checksums:
            raise WeightsError(
                f"model card {path}: has no checksum 'sha256' of map.npz; install or train it anew"
            )
        for name, expected in checksums.items():
            file = folder / name
            if not file.is_file():
                raise WeightsError(f"model {folder}: '{name}' is missing; install or train it anew")
            found = sha256(file)
            if found != expected:
                raise WeightsError(
                    f"model {folder}: '{name}' is corrupt or was replaced: sha256 {found[:12]}…, "
                    f"the card says {expected[:12]}…; install or train it anew"
                )
        return cls(folder, card)

    def layer_map(self) -> LayerMap:
        """The learned layer map."""
        from trkx.plugin.layer_map import LayerMap

        return LayerMap.load(self.folder / "map.npz")

    def network_state(self) -> tuple[InteractionNetworkConfig, dict[str, np.ndarray]]:
        """Shape and weights of the trained network; torch is not needed for them.

        Raises:
            MissingExtraError: safetensors is not installed.
            WeightsError: the model has no network, or weights that do not fit its shape.
        """
        load_file = need("safetensors.numpy", "local", "the GNN").load_file
        from safetensors import SafetensorError

        if "network" not in self.card:
            raise WeightsError(
                f"model {self.folder}: has a layer map but no network; use the finder 'classical', "
                "or train one with 'trkx train gnn'"
            )
        try:
            config = InteractionNetworkConfig(**self.card["network"])
            expected = config.state_shapes()
            state = load_file(self.folder / "network.safetensors")
            found = {name: array.shape for name, array in state.items()}
            wrong = {n for n in {*found, *expected} if found.get(n) != expected.get(n)}
            if wrong:
                name = min(wrong)
                raise ValueError(f"{name} is {found.get(name)}, expected {expected.get(name)}")
        except (ValueError, TypeError, OSError, SafetensorError) as error:
            reason = " ".join(str(error).split())
            raise WeightsError(
                f"model {self.folder}: the weights do not fit the network of the card: {reason}; "
                "install or train it anew"
            ) from error
        return config, state

    def network(self) -> InteractionNetwork:
        """The trained network as a torch module, on the CPU.

        Raises:
            MissingExtraError: torch or safetensors are not installed.
            WeightsError: see `network_state`.
        """
        torch = need("torch", "local", "the GNN")
        config, state = self.network_state()
        from trkx.plugin.interaction_network import InteractionNetwork

        network = InteractionNetwork(config)
        network.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()})
        return network

    def update_card(self, **about: Any) -> Model:
        """Write more facts into the card; the files stay as they are."""
        text = json.dumps({**self.card, **about}, indent=2, sort_keys=True)
        (self.folder / "card.json").write_text(text + "\n")
        return Model.open(self.folder)

    @staticmethod
    def write(
        folder: Path | str,
        layer_map: LayerMap,
        network: InteractionNetwork | None,
        about: dict[str, Any],
    ) -> Model:
        """Write a model folder; `about` is what the card says of training and scores."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        card: dict[str, Any] = {"format": CARD_FORMAT, **about}
        layer_map.save(folder / "map.npz")
        files = ["map.npz"]
        if network is not None:
            from safetensors.torch import save_file

            state = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
            path = folder / "network.safetensors"
            save_file(state, path)
            path.chmod(0o644)  # safetensors writes for the owner only
            files.append("network.safetensors")
            card["network"] = network.config.to_dict()
        card["sha256"] = {name: sha256(folder / name) for name in files}
        (folder / "card.json").write_text(json.dumps(card, indent=2, sort_keys=True) + "\n")
        return Model.open(folder)


def shipped_models() -> list[str]:
    """Names of the models that come with trkx."""
    return sorted(p.parent.name for p in SHIPPED.glob("*/card.json"))


def stage_model(settings: Mapping[str, Any], context: StageContext) -> Model:
    """The model that a stage reads: its setting `model`, else that of the context or target.

    Args:
        settings: of the stage; `model` is a folder, relative to the pipeline file.
        context: of the stage.

    Raises:
        WeightsError: see `find_model`.
        StageError: `model` is no path.
    """
    folder = settings.get("model")
    if folder is None:
        return find_model(context.target, context.model)
    if not isinstance(folder, str):
        raise StageError(f"setting 'model' is {folder!r}; expected the path of a folder")
    return Model.open(context.path(folder))


def find_model(target: str = "pt1", weights: Path | str | None = None) -> Model:
    """The shipped model of a target, or the one in the folder `weights`.

    Raises:
        WeightsError: no such target or folder, or corrupt files.
    """
    if weights is not None:
        return Model.open(weights)
    name = f"generic_{target}"
    if name not in shipped_models():
        raise WeightsError(
            f"no model for target '{target}' is shipped; found {', '.join(shipped_models())}; "
            "train one with 'trkx train' and pass its folder"
        )
    return Model.open(SHIPPED / name)
