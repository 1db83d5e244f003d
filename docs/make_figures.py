"""How are the figures of the README made?

    trkx compare --input sample --finders gnn,classical,ckf --out comparison
    python docs/make_figures.py comparison

Reads performance.json and event_display.npz of a result folder and draws docs/figures.
"""

import sys
from pathlib import Path

from PIL import Image

from trkx.algorithms.event_display import EventDisplay
from trkx.algorithms.performance import load_performance
from trkx.algorithms.report import write_figures

FIGURES = Path(__file__).parent / "figures"

if __name__ == "__main__":
    results = Path(sys.argv[1])
    display = EventDisplay.load(results / "event_display.npz")
    for path in write_figures(FIGURES, load_performance(results / "performance.json"), display):
        # 256 colours are enough, and a quarter of the size.
        Image.open(path).convert("RGB").quantize(256).save(path, optimize=True)
        print(path)
