"""A peer jitters and shifts input and target independently: their correlation falls to .21, .11."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from training_cases import Case

from lfads_torch.training.noise import StreamNoise
from lfads_torch.training.settings import AugmentationSettings
from lfads_torch.training.step import augmentations, gather
from lfads_torch.training.streams import Streams


@pytest.mark.parametrize("name", ["spike_jitter", "temporal_shift"])
def test_what_is_encoded_stays_what_is_to_be_explained(name):
    settings = AugmentationSettings(coordinated_dropout_rate=0.0)
    settings = replace(settings, **{f"{name}_rate": 1.0, f"{name}_bins": 3})
    case = Case(n_bins=33, n_encoded_bins=33, augmentation=settings)
    task, trials, state = case.task(), case.data().train[0], case.state((0, 2))
    index = torch.arange(case.n_train).expand(2, -1)
    noise = StreamNoise(Streams(1, state.members), "train", 0, trials.rows[index], task.dtype)
    before = gather(trials, index, task, session=0)
    (augmentation,) = augmentations(task, state.hyperparameters)
    after = augmentation(before, noise, state.hyperparameters, site="a")
    encoded, target = after.encoded.numpy().ravel(), after.target.numpy().ravel()
    assert f"{np.corrcoef(encoded, target)[0, 1]:.2f}" == "1.00"
    moved = np.corrcoef(encoded, before.target.numpy().ravel())[0, 1]
    assert moved < 0.6  # and they did move
