"""Settings of the combinatorial Kalman filter that trkx compares itself with.

The working points best, balanced and fast were tuned on ttbar events with 200 pile-up
collisions on the GenericDetector in 2 T, for particles with pT > 1 GeV (`pt1`) and
pT > 0.5 GeV (`pt05`). Each has two passes: pixel seeds first, then short-strip seeds on the
measurements that the first pass left over, for tracks from displaced decays and those that
lost pixel hits.

Field names are those of the ACTS algorithms they configure; units are ACTS' (mm, GeV).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from trkx.io.errors import ConfigError, nearest_name

__all__ = ["CkfPass", "CkfWorkingPoint", "FinderCuts", "Layers", "Seeding", "ckfWorkingPoint"]

Layers = tuple[tuple[int, int | None], ...]
"""Volume and layer of the GenericDetector; layer None: all layers of the volume."""

PIXELS: Layers = ((7, None), (8, None), (9, None))
PIXELS_AND_FIRST_STRIPS: Layers = (*PIXELS, (13, 2))
SHORT_STRIPS: Layers = ((12, None), (13, None), (14, None))

# The edges follow the seven pixel discs of a side; bin 9 of 19 is the central one.
_POSITIVE_EDGES = (150.0, 350.0, 550.0, 650.0, 760.0, 890.0, 1030.0, 1200.0, 1400.0, 1600.0)
Z_EDGES = (*(-edge for edge in reversed(_POSITIVE_EDGES)), *_POSITIVE_EDGES)
_N_Z_BINS = len(Z_EDGES) - 1
_CENTRAL_BIN = _N_Z_BINS // 2
# Range of the middle space point's radius by distance from the central bin. None can lie in
# the outermost bins: a seed needs a space point beyond.
_MIDDLE_RADII = (
    *(3 * ((60.0, 130.0),)),
    *(2 * ((50.0, 160.0),)),
    (45.0, 160.0),
    (40.0, 160.0),
    (38.0, 160.0),
    (45.0, 160.0),
    (0.0, 1.0),
)
MIDDLE_RADII = tuple(_MIDDLE_RADII[abs(i - _CENTRAL_BIN)] for i in range(_N_Z_BINS))

Neighbours = tuple[tuple[int, int], ...]


def z_neighbours(bottom: int, top: int) -> tuple[Neighbours, Neighbours]:
    """Return the z bins searched for the inner and the outer space point of a seed.

    Tracks leave the beam line, so away from the centre the inner space point lies in bins
    nearer to the centre and the outer one in bins further out.

    Args:
        bottom: bins towards the centre for the inner space point.
        top: bins away from the centre for the outer space point.

    Returns:
        for the inner and the outer space point one pair (lowest, highest) of relative bin
        numbers for each bin of the middle one.
    """
    inner: list[tuple[int, int]] = []
    outer: list[tuple[int, int]] = []
    for i in range(_N_Z_BINS):
        k = abs(i - _CENTRAL_BIN)
        if k == 0:
            inner.append((-1, 1))
            outer.append((-3, 3))
            continue
        # As seen from the positive side; the first bin may also look back over the centre.
        back = -min(bottom if k > 2 else 2, _CENTRAL_BIN + k)
        beyond = 1 if k == 1 else 0
        ahead = min(top, _CENTRAL_BIN - k)
        if i > _CENTRAL_BIN:
            inner.append((back, beyond))
            outer.append((-beyond, ahead))
        else:
            inner.append((-beyond, -back))
            outer.append((-ahead, beyond))
    return tuple(inner), tuple(outer)


@dataclass(frozen=True)
class Seeding:
    """Settings of ACTS' `GridTripletSeedingAlgorithm`."""

    layers: Layers
    """where the space points of a seed may lie"""
    minPt: float
    """lowest transverse momentum, GeV"""
    impactMax: float
    """largest transverse impact parameter, mm"""
    cotThetaMax: float
    deltaRMin: float
    """smallest radial distance of two space points of a seed, mm"""
    deltaRMax: float
    rMax: float
    """outermost space point, mm"""
    zMin: float
    zMax: float
    collisionRegionMin: float
    """z at which a seed may meet the beam line, mm"""
    collisionRegionMax: float
    maxSeedsPerSpM: int
    """further seeds kept for each middle space point"""
    sigmaScattering: float = 2.0
    """scattering angles allowed, in standard deviations"""
    radLengthPerSeed: float = 0.1
    """material on the way through a seed, radiation lengths"""
    interactionPointCut: bool = True
    compatSeedWeight: float = 100.0
    impactWeightFactor: float = 100.0
    deltaInvHelixDiameter: float = 6e-5
    """curvatures regarded as those of one track, 1/mm"""
    deltaRMaxTop: float | None = None
    deltaRMaxBottom: float | None = None
    rMinMiddle: float | None = None
    rMaxMiddle: float | None = None
    zBinEdges: tuple[float, ...] = ()
    rRangeMiddleSP: tuple[tuple[float, float], ...] = ()
    """range of the middle space point's radius for each z bin, mm"""
    zBinNeighborsBottom: Neighbours = ()
    zBinNeighborsTop: Neighbours = ()

    def keywords(self) -> dict[str, object]:
        """Return the settings that differ from ACTS' defaults, as ACTS takes them."""
        unset = (None, ())
        names = [name for name in self.__dataclass_fields__ if name != "layers"]
        return {
            name: _as_list(value) for name in names if (value := getattr(self, name)) not in unset
        }


@dataclass(frozen=True)
class FinderCuts:
    """Settings of track finding, track selection and ambiguity resolution."""

    ptMin: float
    """lowest transverse momentum of a track, GeV"""
    maxHoles: int = 2
    maxOutliers: int = 2
    absEtaMax: float = 4.0
    minMeasurements: int = 7
    chi2CutOffMeasurement: float = 25.0
    chi2CutOffOutlier: float = 25.0
    numMeasurementsCutOff: int = 1
    """candidates followed at each surface"""
    maximumSharedHits: int = 3
    maximumIterations: int = 1_000_000


@dataclass(frozen=True)
class CkfPass:
    """One round of seeding, track finding and ambiguity resolution."""

    seeding: Seeding
    cuts: FinderCuts


@dataclass(frozen=True)
class CkfWorkingPoint:
    """A named set of passes; each gets the measurements that those before it left over."""

    name: str
    target: str
    passes: tuple[CkfPass, ...] = field(default_factory=tuple)


def ckfWorkingPoint(name: str = "best", target: str = "pt1") -> CkfWorkingPoint:
    """Return a working point by name.

    Args:
        name: `best` (highest efficiency), `balanced` or `fast` (least time).
        target: `pt1` (pT > 1 GeV) or `pt05` (pT > 0.5 GeV).

    Raises:
        ConfigError: if there is none of that name.
    """
    _check("CKF working point", name, ("best", "balanced", "fast"))
    _check("target", target, ("pt1", "pt05"))
    low = target == "pt05"
    # A little below the target, so that resolution does not cost efficiency at the edge.
    pt_min = 0.45 if low else 0.9
    first = _first_seeding(pt_min)
    if name in ("best", "balanced"):
        bottom, top = z_neighbours(4, 6)
        first = replace(
            first,
            layers=PIXELS_AND_FIRST_STRIPS,
            rMax=270.0,
            deltaRMaxTop=150.0,
            zBinNeighborsBottom=bottom,
            zBinNeighborsTop=top,
        )
    if name == "best":
        first = replace(first, impactMax=1.0, maxSeedsPerSpM=2)
    elif name == "balanced":
        first = replace(first, compatSeedWeight=40.0)
        if low:
            first = replace(first, impactMax=1.0)
    else:
        bottom, top = z_neighbours(3, 3)
        first = replace(
            first, compatSeedWeight=40.0, zBinNeighborsBottom=bottom, zBinNeighborsTop=top
        )
        if not low:
            first = replace(first, impactMax=0.35, sigmaScattering=1.5)
    if low:
        first = replace(first, deltaInvHelixDiameter=1.2e-4)
    second = _second_seeding(pt_min, impact_max=60.0 if name == "best" else 20.0)
    return CkfWorkingPoint(
        name,
        target,
        (
            CkfPass(first, FinderCuts(pt_min)),
            CkfPass(second, FinderCuts(pt_min, maxHoles=1, maxOutliers=1)),
        ),
    )


def _first_seeding(pt_min: float) -> Seeding:
    bottom, top = z_neighbours(4, 4)
    return Seeding(
        layers=PIXELS,
        minPt=pt_min,
        impactMax=0.6,
        cotThetaMax=27.29,  # |eta| = 4
        deltaRMin=5.0,
        deltaRMax=160.0,
        deltaRMaxTop=110.0,
        deltaRMaxBottom=90.0,
        rMax=200.0,
        zMin=-1600.0,
        zMax=1600.0,
        collisionRegionMin=-200.0,
        collisionRegionMax=200.0,
        maxSeedsPerSpM=0,
        zBinEdges=Z_EDGES,
        rRangeMiddleSP=MIDDLE_RADII,
        zBinNeighborsBottom=bottom,
        zBinNeighborsTop=top,
    )


def _second_seeding(pt_min: float, impact_max: float) -> Seeding:
    return Seeding(
        layers=SHORT_STRIPS,
        minPt=pt_min,
        impactMax=impact_max,
        cotThetaMax=10.0,
        deltaRMin=20.0,
        deltaRMax=280.0,
        rMax=700.0,
        zMin=-3000.0,
        zMax=3000.0,
        collisionRegionMin=-300.0,
        collisionRegionMax=300.0,
        maxSeedsPerSpM=0,
        # Displaced tracks are what this pass is for.
        impactWeightFactor=1.0,
        rMinMiddle=300.0,
        rMaxMiddle=620.0,
    )


def _as_list(value: object) -> object:
    if isinstance(value, tuple) and value and isinstance(value[0], tuple):
        # ACTS takes the radii as lists and the bin numbers as pairs.
        return [list(row) if isinstance(row[0], float) else row for row in value]
    return list(value) if isinstance(value, tuple) else value


def _check(what: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        near = nearest_name(name, known)
        hint = f"; did you mean {near!r}?" if near else ""
        raise ConfigError(f"unknown {what} {name!r}, there are {', '.join(known)}{hint}")
