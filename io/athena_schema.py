"""Branches of the GNN4ITk Athena dump, as Athena's DumpObjects writes them.

Length is in mm, momentum in MeV (the reader makes GeV of it), charge in e, angle in rad. An array
`CLx[nCL]` has one number per cluster; a list of lists has one list per cluster.

References: Athena InnerDetector/InDetGNNTracking/src/DumpObjects.cxx; ACTS RootAthenaDumpReader.
"""

from __future__ import annotations

__all__ = ["COUNTERS", "FLAT", "LISTS", "SIZES", "TREE", "flattened_names", "unit_of"]

TREE = "GNN4ITk"


def _columns(dtype: str, *names: str) -> dict[str, str]:
    return dict.fromkeys(names, dtype)


FLAT: dict[str, dict[str, str]] = {
    "": {"run_number": "u4", "event_number": "u8"},
    "nSE": {"SEID": "i4"},
    "nCL": {
        "CLindex": "i4",
        **_columns("f8", "CLx", "CLy", "CLz"),
        **_columns("i4", "CLbarrel_endcap", "CLlayer_disk", "CLeta_module", "CLphi_module"),
        "CLside": "i4",
        "CLmoduleID": "u8",
        **_columns("f8", *(f"CLloc_direction{i}" for i in (1, 2, 3))),
        **_columns("f8", *(f"CLJan_loc_direction{i}" for i in (1, 2, 3))),
        "CLpixel_count": "i4",
        **_columns("f4", "CLcharge_count", "CLloc_eta", "CLloc_phi", "CLglob_eta", "CLglob_phi"),
        **_columns("f8", "CLeta_angle", "CLphi_angle"),
        **_columns("f4", "CLnorm_x", "CLnorm_y", "CLnorm_z"),
    },
    "nPartEVT": {
        **_columns("i4", "Part_event_number", "Part_barcode"),
        **_columns("f4", "Part_px", "Part_py", "Part_pz", "Part_pt", "Part_eta"),
        **_columns("f4", "Part_vx", "Part_vy", "Part_vz", "Part_radius"),
        **_columns("f4", "Part_status", "Part_charge"),
        **_columns("i4", "Part_pdg_id", "Part_passed", "Part_vProdNin", "Part_vProdNout"),
        **_columns("i4", "Part_vProdStatus", "Part_vProdBarcode"),
    },
    "nSP": {
        "SPindex": "i4",
        **_columns("f8", "SPx", "SPy", "SPz"),
        **_columns("i4", "SPCL1_index", "SPCL2_index", "SPisOverlap"),
        **_columns("f8", "SPradius", "SPcovr", "SPcovz"),
        **_columns("f4", "SPhl_topstrip", "SPhl_botstrip"),
    },
}
"""Type of each branch, by the counter of its array; '' for one number per event."""

LISTS: dict[str, dict[str, str]] = {
    "nCL": {
        **_columns("i4", "CLparticleLink_eventIndex", "CLparticleLink_barcode"),
        "CLbarcodesLinked": "bool",
        "CLparticle_charge": "f4",
        **_columns("i4", "CLphis", "CLetas", "CLtots"),
        "CLlocal_cov": "f8",
    },
    "nPartEVT": _columns("i4", "Part_vParentID", "Part_vParentBarcode"),
    "nSP": _columns(
        "f4",
        "SPtopStripDirection",
        "SPbottomStripDirection",
        "SPstripCenterDistance",
        "SPtopStripCenterPosition",
    ),
}
"""Type of the numbers of each list of lists, by the counter of what has a list each."""

COUNTERS = {"nCL": "clusters", "nSP": "space points", "nPartEVT": "particles"}
"""What the counters count."""

SIZES = "_size"
"""Lists of lists, which uproot cannot write, are laid end to end in a branch of the same name, with
the counter `n<name>`; a branch `<name>_size` has their lengths."""

_UNITS = {
    **dict.fromkeys(("x", "y", "z", "radius", "vx", "vy", "vz"), "mm"),
    **dict.fromkeys(("px", "py", "pz", "pt"), "MeV"),
    **dict.fromkeys(("covr", "covz", "local_cov"), "mm²"),
    **dict.fromkeys(("hl_topstrip", "hl_botstrip"), "mm"),
    **dict.fromkeys(("stripCenterDistance", "topStripCenterPosition"), "mm"),
    **dict.fromkeys(("loc_phi", "glob_phi", "eta_angle", "phi_angle"), "rad"),
}


def unit_of(branch: str) -> str:
    """Unit of a branch, '' for numbers without one."""
    if branch == "Part_charge":
        return "e"
    for prefix in ("Part_", "CL", "SP"):
        if branch.startswith(prefix):
            return _UNITS.get(branch.removeprefix(prefix), "")
    return ""


def flattened_names(branch: str) -> tuple[str, str]:
    """Counter, and branch of the lengths, of a list of lists that is laid end to end."""
    return f"n{branch}", f"{branch}{SIZES}"
