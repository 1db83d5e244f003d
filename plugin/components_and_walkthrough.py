"""Union of two builders: components where they are simple, walkthrough for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from trkx.plugin.candidates import TrackCandidates
from trkx.plugin.connected_components import check_scores, probabilities
from trkx.plugin.graph import Graph
from trkx.plugin.layer_map import LayerMap
from trkx.plugin.stage_settings import StageContext, read_settings
from trkx.plugin.walkthrough import Walk, WalkthroughConfig
from trkx.plugin.weights import stage_model


@dataclass(frozen=True)
class ComponentsAndWalkthroughConfig(WalkthroughConfig):
    """Those of the walkthrough, and what makes a component simple."""

    score_cut: float = 0.5  # edges that connect components in the first step

    def __post_init__(self) -> None:
        super().__post_init__()
        check_scores(score_cut=self.score_cut)


class ComponentsAndWalkthrough:
    """Simple chains of good edges become tracks first; the walkthrough goes over the other hits.

    The walkthrough alone sees a simple chain only where not even a poor edge touches it.

    References: Ju et al., Eur. Phys. J. C 81, 876 (2021), arXiv:2103.06995; GNN4ITk,
    ATL-ITK-PROC-2022-006.
    """

    def __init__(
        self,
        config: ComponentsAndWalkthroughConfig | None = None,
        layer_map: LayerMap | None = None,
    ) -> None:
        """Without a layer map, hits of overlapping modules are not attached to paths."""
        self.config = config or ComponentsAndWalkthroughConfig()
        self.layer_map = layer_map

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], context: StageContext) -> Self:
        """From a table of a pipeline file: `model` and `ComponentsAndWalkthroughConfig`."""
        config = read_settings(
            ComponentsAndWalkthroughConfig,
            settings,
            "components_and_walkthrough",
            ignore=("model",),
        )
        return cls(config, stage_model(settings, context).layer_map())

    def __call__(self, graph: Graph) -> TrackCandidates:
        """Build the tracks of one graph."""
        c = self.config
        walk = Walk(graph, self.layer_map, probabilities(graph, "components and walkthrough"), c)
        walk.simple_components(c.score_cut)
        walk.paths(walk.simple_components(c.component_cut))
        return walk.candidates()
