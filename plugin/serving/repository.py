"""Model repositories: folders from which Triton serves our models."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trkx.plugin.serving.model_config import ModelConfig, TensorSpec

VERSION = "1"

EVENT_INPUTS = (
    TensorSpec("X", "FP32"),
    TensorSpec("Y", "FP32"),
    TensorSpec("Z", "FP32"),
    TensorSpec("GEOMETRY_ID", "UINT64"),
    TensorSpec("SIZE0", "FP32", optional=True),
    TensorSpec("SIZE1", "FP32", optional=True),
    TensorSpec("BEAM_SPOT", "FP32", (2,), optional=True),
)
CANDIDATE_OUTPUTS = (
    TensorSpec("LABELS", "INT64"),
    TensorSpec("OFFSETS", "INT64"),
    TensorSpec("HITS", "INT64"),
    TensorSpec("SCORES", "FP32"),
    TensorSpec("TIMES", "FP32"),
    TensorSpec("IDENTITY", "UINT8"),
)
