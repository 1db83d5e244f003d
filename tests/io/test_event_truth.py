"""Barcodes to particle rows, on cases that can be checked on paper."""

from __future__ import annotations

import numpy as np
import pytest

from trkx.io.errors import EventContentError
from trkx.io.event_truth import match_barcodes, pack_barcodes


def barcodes(*rows):
    """Five columns from rows (vertex_primary, particle)."""
    table = np.array([(vp, 0, p, 0, 0) for vp, p in rows], dtype=np.uint32).reshape(-1, 5)
    return list(table.T)


def test_noise_merged_and_repeated_contributions():
    particles = barcodes((1, 5), (1, 2), (3, 2))
    # measurement 0: noise; 1: (3,2); 2: (1,5) twice and (1,2); 3: barcode of zeros
    offsets = np.array([0, 0, 1, 4, 5])
    contributors = barcodes((3, 2), (1, 5), (1, 2), (1, 5), (0, 0))
    counts, rows = match_barcodes(particles, offsets, contributors, "here")
    assert counts.tolist() == [0, 0, 1, 3, 3]
    assert rows.tolist() == [2, 0, 1]


def test_nothing_at_all():
    offsets, rows = match_barcodes(barcodes(), np.zeros(1, np.int64), barcodes(), "here")
    assert offsets.tolist() == [0] and rows.tolist() == []


def test_unknown_barcode_is_named():
    with pytest.raises(EventContentError, match=r"in here; the first is vp=9\|vs=0\|p=9"):
        match_barcodes(barcodes((1, 1)), np.array([0, 2]), barcodes((1, 1), (9, 9)), "here")


@pytest.mark.parametrize("large", [1, 2**32 - 2])
def test_packing_keeps_the_order_of_barcodes(large):
    rng = np.random.default_rng(900003)
    columns = [rng.integers(0, 3, 50) * large for _ in range(5)]
    first, second = pack_barcodes(columns, [column[:7] for column in columns])
    np.testing.assert_array_equal(first[:7], second)
    order = np.lexsort(columns[::-1])
    assert (np.diff(first[order].astype(np.int64)) >= 0).all()
    distinct = len(np.unique(np.stack(columns), axis=1).T)
    assert len(np.unique(first)) == distinct
