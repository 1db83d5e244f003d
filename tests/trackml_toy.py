"""A tiny event of the TrackML challenge, as its files have it."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

HITS = """\
hit_id,x,y,z,volume_id,layer_id,module_id
3,-65.5,-5.5,-1502.5,7,2,1
5,32.25,0.125,-50.0,8,2,3
4,72.5,1.75,-110.0,8,4,7
9,115.0,4.0,-172.5,8,6,20
"""
CELLS = """\
hit_id,ch0,ch1,value
3,10,20,0.5
3,11,20,0.25
3,12,21,0.25
5,100,7,1.0
4,5,5,0.125
4,6,6,0.125
"""
PARTICLES = """\
particle_id,particle_type,vx,vy,vz,px,py,pz,q,nhits
4503668346847232,-211,0.0125,-0.0062,2.5,1.5,0.0625,-2.25,-1,3
4503805785800704,22,0.0125,-0.0062,2.5,0.5,0.5,9e-05,0,0
"""
TRUTH = """\
hit_id,particle_id,tx,ty,tz,tpx,tpy,tpz,weight
3,0,-65.51,-5.49,-1502.5,-0.1,0.2,-3.0,0.0
5,4503668346847232,32.26,0.13,-50.01,1.5,0.0625,-2.25,0.5
4,4503668346847232,72.51,1.74,-110.0,1.5,0.07,-2.25,0.25
9,4503668346847232,115.01,4.01,-172.4,1.5,0.08,-2.25,0.25
"""
FILES = {"hits": HITS, "cells": CELLS, "particles": PARTICLES, "truth": TRUTH}


def write_folder(
    folder: Path, number: int = 7, zipped: bool = False, **changed: str | None
) -> Path:
    """Write the event's files; parts that are None are left out, others replace the usual text."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {**FILES, **changed}.items():
        if text is not None:
            path = folder / f"event{number:09d}-{name.replace('_', '-')}.csv"
            if zipped:
                path.with_suffix(".csv.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
            else:
                path.write_bytes(text.encode())
    return folder


def write_archive(path: Path, numbers: tuple[int, ...] = (7,), inside: str = "train/") -> Path:
    """Write events into a zip archive, in a folder of it as those of Kaggle have one."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"__MACOSX/{inside}event000000007-hits.csv", "\0\5")
        for number in numbers:
            for name, text in FILES.items():
                archive.writestr(f"{inside}event{number:09d}-{name}.csv", text)
    return path
