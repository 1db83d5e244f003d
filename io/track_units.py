"""Units of the branches of tracksummary and trackstates, from ACTS' rules of naming."""

from __future__ import annotations

import re

__all__ = ["TRACK_TREES", "track_unit"]

TRACK_TREES = ("tracksummary", "trackstates")

# What is left of a name without `res_` or `err_` → unit; a pull has none.
_PATTERNS = {
    r"(t_)?e(LOC0|LOC1|T)(_\w+)?": "mm",
    r"(t_)?e(PHI|THETA)(_\w+)?": "rad",
    r"(t_)?eQOP(_\w+)?": "e/GeV",
    r"t_(theta|phi)": "rad",
    r"t_(time|vx|vy|vz|d0|z0|prodR|x|y|z|r)": "mm",
    r"t_(px|py|pz|p|pT)|(px|py|pz|pT)_\w+": "GeV",
    r"t_charge": "e",
    r"[lg]_[xyz]_\w+|[xy]_hit|pathLength": "mm",
}


def track_unit(branch: str) -> str:
    """Return the unit of a branch, empty for numbers without one."""
    name = re.sub(r"^(res|err)_", "", branch)
    return next((unit for rule, unit in _PATTERNS.items() if re.fullmatch(rule, name)), "")
