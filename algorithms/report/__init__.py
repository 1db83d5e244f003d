"""Figures and a self-contained page from performance.json; needs the extra `report`."""

from trkx.algorithms.event_display import EventDisplay, FoundTracks
from trkx.algorithms.report.figures import overview_figure, write_figures
from trkx.algorithms.report.page import render_report, write_report

__all__ = [
    "EventDisplay",
    "FoundTracks",
    "overview_figure",
    "render_report",
    "write_figures",
    "write_report",
]
