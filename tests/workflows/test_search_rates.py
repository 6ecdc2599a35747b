"""Rates that only the members of a search have: they need their augmentation, and spikes."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_runs import tiny_settings

from lfads_torch.config.space import SpaceChoice
from lfads_torch.data.recording import Recording
from lfads_torch.errors import SettingsError
from lfads_torch.workflows.search import search_run

JITTER, SHIFT = "augmentation.spike_jitter_rate", "augmentation.temporal_shift_rate"
WITHOUT = "augmentation.order=coordinated_dropout"
GAUSSIAN = "loss.observation=gaussian"


def refused(tmp_path, *overrides, choice=None, values=(), match):
    counts = np.random.default_rng(0).poisson(1.0, (12, 7, 3)).astype(float)
    recording = Recording(
        counts=counts, bin_width_s=0.02, trial_ids=np.arange(12), unit_ids=np.arange(3)
    )
    method = "search.method=list" if values else "search.method=random"
    with pytest.raises(SettingsError, match=match):
        search_run(
            recording, tiny_settings(method, *overrides), tmp_path / "run",
            choice=choice, values=values,
        )  # fmt: skip
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("range_", ["=0.1..0.5", "=0..0.5"])
def test_a_searched_jitter_needs_spikes(tmp_path, range_):
    choice = SpaceChoice(ranges=(JITTER + range_,))
    match = r"spike_jitter_rate is up to 0.5, and unit 0 of session is of the family gaussian"
    refused(tmp_path, GAUSSIAN, choice=choice, match=match)


def test_a_listed_jitter_needs_spikes_in_any_member(tmp_path):
    values = ({JITTER: 0.0}, {JITTER: 0.3}, {JITTER: 0.0})
    refused(tmp_path, GAUSSIAN, values=values, match=r"up to 0.3.*Leave the rate out of the search")


@pytest.mark.parametrize("name", [JITTER, SHIFT])
def test_a_searched_or_listed_rate_needs_its_augmentation(tmp_path, name):
    match = f"{name} is up to 0.5 in this search, but augmentation.order is"
    choice = SpaceChoice(ranges=(f"{name}=0.1..0.5",))
    refused(tmp_path, WITHOUT, choice=choice, match=match)
    refused(tmp_path, WITHOUT, values=({name: 0.0}, {name: 0.5}), match=match)
