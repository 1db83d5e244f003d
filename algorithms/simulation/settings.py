"""Settings of `trkx simulate`: what is generated, how it is digitized, and how it is seeded."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trkx.io.errors import ConfigError, nearest_name

PROCESSES = ("ttbar", "single-muon", "gun", "displaced", "hnl", "v0")
DIGITIZATIONS = ("geometric", "smeared", "trackml")
FIELDS = ("constant", "solenoid")
STRIPS = ("2d", "stereo")
GUN_PARTICLES = {
    11: "electron",
    13: "muon",
    22: "photon",
    211: "pion",
    321: "kaon",
    2212: "proton",
}
"""particles whose masses the gun knows (PDG codes)"""


@dataclass(frozen=True)
class GunSettings:
    """A particle gun; momenta are uniform in pT, directions uniform in η and φ."""

    pdg: int = 13
    """particle type; the sign is drawn at random for each particle (PDG code)"""
    pt_min: float = 1.0
    """lower end of the transverse momentum (GeV)"""
    pt_max: float = 100.0
    """upper end of the transverse momentum (GeV)"""
    eta_min: float = -4.0
    """lower end of the pseudorapidity"""
    eta_max: float = 4.0
    """upper end of the pseudorapidity"""
    multiplicity: int = 1
    """particles per event"""
    radius_max: float = 300.0
    """process `displaced`: production radii are uniform from 0 to here, as those of `hnl` and `v0`
    are unless they have a `lifetime` (mm)"""
    lifetime: float = 0.0
    """processes `hnl` and `v0`: mean proper decay length cτ; 0: uniform radii (mm)"""
    mass: float = 10.0
    """process `hnl`: mass of the heavy neutral lepton (GeV)"""

    def __post_init__(self) -> None:
        if abs(self.pdg) not in GUN_PARTICLES:
            known = ", ".join(f"{pdg} ({name})" for pdg, name in GUN_PARTICLES.items())
            raise ConfigError(f"gun pdg is {self.pdg}; choose one of {known}, or minus it")
        if not 0 < self.pt_min <= self.pt_max:
            raise ConfigError(
                f"gun pT range {self.pt_min}:{self.pt_max} GeV; give 0 < low <= high, as in 1:100"
            )
        if not -10 < self.eta_min <= self.eta_max < 10:
            raise ConfigError(
                f"gun η range {self.eta_min}:{self.eta_max}; give low <= high within ±10"
            )
        if self.multiplicity < 1:
            raise ConfigError(f"gun multiplicity is {self.multiplicity}; give at least 1")
        if self.radius_max <= 0:
            raise ConfigError(f"gun radius_max is {self.radius_max} mm; give a positive length")
        if not 0 <= self.lifetime < float("inf"):
            raise ConfigError(
                f"gun lifetime is {self.lifetime} mm; give cτ, or 0 for uniform radii"
            )
        if not 1 <= self.mass <= 1000:
            raise ConfigError(f"gun mass is {self.mass} GeV; give a mass between 1 and 1000")


@dataclass(frozen=True)
class SimulationSettings:
    """Everything the content of a simulated sample depends on, apart from software versions."""

    process: str = "ttbar"
    """signal process, one of `PROCESSES`"""
    pileup: float = 200.0
    """mean number of inelastic proton-proton collisions added to the signal (Poisson)"""
    seed: int = 1
    """event i depends on (seed, i) and on the fields of this class only"""
    noise: float = 0.15
    """share of all measurements that belong to no particle"""
    geometry: str = ""
    """file of a tracking geometry of your own, ACTS JSON (Gen3); empty: the GenericDetector"""
    digitization: str = "geometric"
    """`geometric`: channels, charge sharing, merged clusters; `smeared`: Gaussian; `trackml`:
    channels of sensors as thick as those of the TrackML challenge, strips without charge; or an
    ACTS digitization file, *.json, with one entry per volume of a geometry of your own"""
    hit_loss: float = 0.0
    """share of the measurements of particles that are lost"""
    dead_modules: float = 0.0
    """share of the modules, drawn once per seed, that lose all measurements of particles"""
    strips: str = "2d"
    """`2d`: strip modules measure both coordinates, as TrackML's do; `stereo`: they have two
    sensors, and space points are crossings of their strips"""
    cms_energy: float = 14000.0
    """centre-of-mass energy of the proton-proton collisions (GeV)"""
    pt_min: float = 0.15
    """particles below this transverse momentum are not simulated (GeV)"""
    abs_eta_max: float = 4.0
    """particles beyond this |η| are not simulated"""
    production_radius_max: float = 300.0
    """particles produced further from the beam line are not simulated (mm)"""
    production_z_max: float = 2700.0
    """particles produced at a larger |z| are not simulated (mm)"""
    vertex_x: float = 0.0
    """x of the centre of the luminous region (mm)"""
    vertex_sigma_xy: float = 0.0125
    """width of the luminous region in x and in y (mm)"""
    vertex_sigma_z: float = 55.5
    """width of the luminous region in z (mm)"""
    vertex_sigma_t: float = 5.0
    """width of the luminous region in time (ns)"""
    field_tesla: float = 2.0
    """field along z at the centre of the detector (T)"""
    field: str = "constant"
    """`constant`: the same everywhere; `solenoid`: of a coil of finite length, which the field of
    the TrackML challenge is like (`trkx.algorithms.magnetic_field`)"""
    gun: GunSettings = dataclasses.field(default_factory=GunSettings)
    """used by all processes but `ttbar`"""

    def __post_init__(self) -> None:
        if self.process not in PROCESSES:
            raise ConfigError(_unknown("process", self.process, PROCESSES))
        if self.digitization not in DIGITIZATIONS and not self.digitization.endswith(".json"):
            raise ConfigError(_unknown("digitization", self.digitization, DIGITIZATIONS))
        if bool(self.geometry) != self.digitization.endswith(".json"):
            raise ConfigError(
                f"geometry is '{self.geometry}' and digitization '{self.digitization}'; a detector "
                "of your own needs a file of each, and the GenericDetector has its own"
            )
        if self.geometry and self.strips == "stereo":
            raise ConfigError("strips 'stereo' are those of the GenericDetector; leave it out")
        if self.strips not in STRIPS:
            raise ConfigError(_unknown("strips", self.strips, STRIPS))
        if self.field not in FIELDS:
            raise ConfigError(_unknown("field", self.field, FIELDS))
        if self.strips == "stereo" and self.digitization != "geometric":
            raise ConfigError(
                f"strips 'stereo' need channels, which digitization '{self.digitization}' does not "
                "have; choose geometric"
            )
        if not 0 <= self.noise < 1:
            raise ConfigError(
                f"noise is {self.noise}; give a share of all hits in [0, 1), such as 0.15"
            )
        if not 0 <= self.hit_loss < 1:
            raise ConfigError(f"hit loss is {self.hit_loss}; give a share in [0, 1), such as 0.01")
        if not 0 <= self.dead_modules < 1:
            raise ConfigError(f"dead modules are {self.dead_modules}; give a share in [0, 1)")
        if not abs(self.vertex_x) < 10:
            raise ConfigError(f"vertex_x is {self.vertex_x} mm; give a position within 10 mm")
        if not 0 <= self.pileup <= 1000:
            raise ConfigError(f"pileup is {self.pileup}; give a mean between 0 and 1000")
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed is {self.seed}; give an integer between 0 and 2^63 - 1")

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for the provenance record."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SimulationSettings:
        """Build settings from what `as_dict` returned."""
        return cls(**{**values, "gun": GunSettings(**values["gun"])})


def _unknown(what: str, value: str, choices: tuple[str, ...]) -> str:
    near = nearest_name(value, choices)
    hint = f" (did you mean '{near}'?)" if near else ""
    return f"unknown {what} '{value}'{hint}; choose one of {', '.join(choices)}"
