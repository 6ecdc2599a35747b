"""A file of others that is too large for a listing is not read for one."""

from __future__ import annotations

import numpy as np

from lfads_torch.data.formats import outlook


def test_a_very_large_file_is_not_read(tmp_path, monkeypatch):
    path = tmp_path / "large.npz"
    np.savez(path, spikes=np.ones((9, 7, 3), dtype=int), bin_width_s=0.01)
    assert outlook.outlook(path)["counts"].startswith("spikes: 9 trials, 7 bins, 3 units")
    monkeypatch.setattr(outlook, "MOST_VALUES", 100)
    (told,) = outlook.outlook(path).values()
    assert told.startswith("190 values are more than this listing reads (100)")
    assert "lfads check" in told
