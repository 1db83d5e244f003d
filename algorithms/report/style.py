"""Look of all figures: mplhep's style in a size for web pages, one colour and marker per finder."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from trkx.io.errors import MissingExtraError

# Colours that remain distinct for colour-blind readers.
# References: Petroff, arXiv:2107.02270.
BLUE, ORANGE, RED, GREY, PURPLE, BROWN, DARK_ORANGE, OLIVE, SLATE, CYAN = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
PALETTE = (BLUE, RED, ORANGE, PURPLE, SLATE, BROWN, OLIVE, CYAN, DARK_ORANGE, GREY)

_COLOURS = {
    "gnn": BLUE,
    "ckf": RED,
    "ckf-best": RED,
    "ckf-balanced": DARK_ORANGE,
    "ckf-fast": ORANGE,
    "gnn+ckf": PURPLE,
    "classical": SLATE,
    "truth": "#000000",
}
_LABELS = {
    "gnn": "GNN",
    "ckf": "CKF",
    "ckf-best": "CKF best",
    "ckf-balanced": "CKF balanced",
    "ckf-fast": "CKF fast",
    "gnn+ckf": "GNN + CKF",
    "classical": "classical",
    "truth": "truth",
    "kf": "Kalman",
    "gx2f": r"global $\chi^2$",
}
_MARKERS = "osD^vPX<>*"
PNG_DPI = 110


class Look(NamedTuple):
    """How one finder is drawn."""

    label: str
    colour: str
    marker: str


def looks(finders: Sequence[str]) -> dict[str, Look]:
    """Colour and marker of each finder; names that trkx does not know get what is left."""
    result: dict[str, Look] = {}
    for index, finder in enumerate(finders):
        taken = {look.colour for look in result.values()}
        spare = [c for c in PALETTE if c not in taken and c not in _COLOURS.values()]
        colour = _COLOURS.get(finder)
        if colour is None or colour in taken:
            free = [c for c in PALETTE if c not in taken]
            colour = (spare or free or list(PALETTE))[0]
        marker = _MARKERS[index % len(_MARKERS)]
        result[finder] = Look(pretty(finder), colour, marker)
    return result


def pretty(name: str) -> str:
    """Name of a finder or fitter for legends."""
    return _LABELS.get(name, name)


@contextmanager
def figure_style() -> Iterator[None]:
    """Draw in the style of the report; needs the extra `report`.

    Raises:
        MissingExtraError: matplotlib or mplhep is not installed.
    """
    try:
        import matplotlib
        import mplhep
    except ImportError as error:
        raise MissingExtraError.of(
            "the report", str(error.name or "matplotlib"), "report"
        ) from error
    settings = {
        **mplhep.style.ROOT,
        # The second has the glyphs that the first lacks.
        "font.family": [*mplhep.style.ROOT["font.sans-serif"][:1], "DejaVu Sans"],
        "font.size": 11,
        "axes.labelsize": 12,
        "axes.titlesize": 12,
        "xtick.labelsize": 10,
        "ytick.labelsize": 10,
        "legend.fontsize": 10,
        "legend.frameon": False,
        "legend.handlelength": 1.4,
        "lines.linewidth": 1.3,
        "lines.markersize": 4.5,
        "axes.linewidth": 1.0,
        "xtick.major.size": 6,
        "xtick.minor.size": 3,
        "ytick.major.size": 6,
        "ytick.minor.size": 3,
        "figure.facecolor": "white",
        "figure.constrained_layout.use": True,
        "savefig.bbox": "standard",
        "svg.fonttype": "path",
    }
    with matplotlib.rc_context(settings):
        yield


def new_figure(width: float, height: float) -> Any:
    """A figure of this size in inches, with no window and no global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def png(figure: Any, dpi: int = PNG_DPI) -> bytes:
    """The figure as PNG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def data_uri(image: bytes) -> str:
    """A PNG for the src of an HTML image."""
    return "data:image/png;base64," + base64.b64encode(image).decode("ascii")


def axis_label(document: Mapping[str, Any], name: str) -> str:
    """Label of a quantity with its unit."""
    axis = document["axes"][name]
    return f"{axis['label']} [{axis['unit']}]" if axis["unit"] else str(axis["label"])


def sample_words(document: Mapping[str, Any]) -> str:
    """The sample in a few words, for the corner of a figure."""
    events = document["events"]
    text = f"{events['n_events']} event" + ("s" if events["n_events"] != 1 else "")
    # In plain text the combining bar lands on the wrong letter, and mathtext lacks the brackets.
    described = describe_input(document).replace("tt̄", r"$t\bar{t}$")
    described = described.replace("⟨μ⟩", r"$\langle\mu\rangle$")
    return f"{described}, {text}" if described else text


def describe_input(document: Mapping[str, Any]) -> str:
    """What was simulated: `input.description`, or what the provenance of the files says."""
    described = document.get("input", {}).get("description")
    if described:
        return str(described)
    for file in document.get("input", {}).get("files") or []:
        provenance = file.get("provenance") if isinstance(file, Mapping) else None
        settings = (provenance or {}).get("settings") or {}
        if "process" in settings:
            process = {"ttbar": "tt̄"}.get(settings["process"], str(settings["process"]))
            pileup = settings.get("pileup")
            return f"{process}, ⟨μ⟩ = {pileup:g}" if pileup else process
    return ""
