"""Event display: hits and found tracks of one event, across and along the beam."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trkx.algorithms.event_display import EventDisplay, FoundTracks
from trkx.algorithms.matching import TrackClassification
from trkx.algorithms.report.style import RED, new_figure, pretty

MIN_PT = 2.0  # GeV; softer tracks would hide the others
_MAX_PT = 20.0  # GeV, end of the colour scale


def event_figure(display: EventDisplay, finder: str) -> Any:
    """The tracks of one finder, coloured by pT; fakes are red.

    Args:
        display: hits and tracks of one event.
        finder: one of `display.finders`.
    """
    from matplotlib.colors import LogNorm
    from matplotlib.lines import Line2D

    figure = new_figure(13.0, 5.6)
    across, along = figure.subplots(1, 2, width_ratios=(1, 1.45))
    tracks = display.finders[finder]
    x, y, z = display.positions.astype(np.float64).T
    r = np.hypot(x, y)
    norm = LogNorm(MIN_PT, _MAX_PT)
    for axes, (u, v) in ((across, (x, y)), (along, (z, r))):
        axes.scatter(u, v, s=0.3, color="0.72", linewidths=0, rasterized=True, zorder=1)
        lines = _draw_tracks(axes, u, v, tracks, norm)
    across.set_aspect("equal")
    # Strips without a partner are on no space point, and nowhere.
    limit = 1.02 * float(np.nanmax(r, initial=1.0))
    across.set_xlim(-limit, limit)
    across.set_ylim(-limit, limit)
    across.set_xlabel("x [mm]")
    across.set_ylabel("y [mm]")
    extent = 1.02 * float(np.nanmax(np.abs(z), initial=1.0))
    along.set_xlim(-extent, extent)
    along.set_ylim(0, limit)
    along.set_xlabel("z [mm]")
    along.set_ylabel("r [mm]")
    drawn = _selected(tracks)
    fakes = int((tracks.classification[drawn] == TrackClassification.FAKE).sum())
    across.set_title(f"event {display.number}, {len(x):,} hits", loc="left", fontsize=11)
    along.set_title(
        f"{pretty(finder)}: {len(drawn):,} tracks, $p_\\mathrm{{T}}$ > {MIN_PT:g} GeV",
        loc="left",
        fontsize=11,
    )
    along.legend(
        handles=[
            Line2D([], [], marker="o", markersize=3, color="0.75", linestyle="", label="hits"),
            Line2D([], [], color=RED, label=f"fakes ({fakes})"),
        ],
        loc="upper right",
        bbox_to_anchor=(1.0, 1.09),
        ncols=2,
        fontsize=10,
    )
    scale = figure.colorbar(lines, ax=along, pad=0.01, extend="max", ticks=[2, 3, 5, 10, 20])
    scale.ax.set_yticklabels(["2", "3", "5", "10", "20"])
    scale.ax.minorticks_off()
    scale.set_label(r"$p_\mathrm{T}$ of the track [GeV]")
    return figure


def _selected(tracks: FoundTracks) -> NDArray[np.int64]:
    """Rows of the tracks that are drawn."""
    lengths = np.diff(tracks.offsets)
    return np.flatnonzero((tracks.pt > MIN_PT) & (lengths >= 3))


def _draw_tracks(
    axes: Any, u: NDArray[np.float64], v: NDArray[np.float64], tracks: FoundTracks, norm: Any
) -> Any:
    from matplotlib.collections import LineCollection

    rows = _selected(tracks)
    fake = tracks.classification[rows] == TrackClassification.FAKE
    hits = [tracks.hits[tracks.offsets[t] : tracks.offsets[t + 1]] for t in rows]
    segments = [np.stack([u[h], v[h]], axis=1) for h in hits]
    order = np.argsort(tracks.pt[rows])
    good = [segments[i] for i in order if not fake[i]]
    pt = tracks.pt[rows][order][~fake[order]]
    lines = LineCollection(good, cmap="viridis_r", norm=norm, linewidths=0.8, zorder=2)
    lines.set_array(pt)
    axes.add_collection(lines)
    bad = [segments[i] for i in order if fake[i]]
    axes.add_collection(LineCollection(bad, colors=RED, linewidths=1.1, zorder=3))
    return lines
