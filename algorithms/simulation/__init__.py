"""Simulated events for the GenericDetector: generation, detector simulation, noise, ROOT files."""

from trkx.algorithms.simulation.run import SimulationReport, simulate
from trkx.algorithms.simulation.settings import GunSettings, SimulationSettings

__all__ = ["GunSettings", "SimulationReport", "SimulationSettings", "simulate"]
