"""Seconds and peak memory of one stage on one event."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

DEFINITIONS = {
    "seconds": "wall-clock seconds per event, median over events; 'cpu_seconds': of all threads "
    "of the process",
    "peak_memory_mb": "largest resident memory of the process while the stage ran, 10^6 bytes, "
    "maximum over events; 'memory_increase_mb': that minus what was resident when it began; null "
    "where the system does not say",
    "device_memory_mb": "largest memory of the CUDA device allocated while the stage ran, 10^6 "
    "bytes; null without one",
}
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class StageUse:
    """What one stage took, event by event."""

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    peak: list[float] = field(default_factory=list)  # MB; empty where not known
    increase: list[float] = field(default_factory=list)  # MB
    device: list[float] = field(default_factory=list)  # MB

    @contextmanager
    def measure(self) -> Iterator[None]:
        """Measure what the body takes."""
        cuda = _cuda()
        if cuda is not None:
            cuda.reset_peak_memory_stats()
        before = _resident("VmRSS") if _reset_peak() else None
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        self.seconds.append(time.perf_counter() - wall)
        self.cpu_seconds.append(time.process_time() - cpu)
        peak = _resident("VmHWM") if before is not None else None
        if peak is not None and before is not None:
            self.peak.append(peak)
            self.increase.append(peak - before)
        if cuda is not None:
            self.device.append(cuda.max_memory_allocated() / 1e6)

    def summary(self) -> dict[str, Any]:
        """Medians and maxima over events; None where not known."""
        return {
            "seconds": float(np.median(self.seconds)) if self.seconds else None,
            "cpu_seconds": float(np.median(self.cpu_seconds)) if self.cpu_seconds else None,
            "peak_memory_mb": max(self.peak, default=None),
            "memory_increase_mb": max(self.increase, default=None),
            "device_memory_mb": max(self.device, default=None),
        }


def _cuda() -> Any:
    """torch.cuda, if torch is loaded and has a device."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_available() else None


def _reset_peak() -> bool:
    """Let the kernel count the peak of resident memory anew; False where it cannot."""
    try:
        _RESET.write_text("5")
    except OSError:  # not Linux, or not allowed
        return False
    return True


def _resident(name: str) -> float | None:
    """VmRSS or VmHWM of this process, 10^6 bytes."""
    try:
        for line in _STATUS.read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024 / 1e6
    except (OSError, ValueError):
        pass
    return None
