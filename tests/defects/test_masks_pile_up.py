"""In a peer masks pile up when a loss is skipped, and a hyperparameter cannot be called.

Here a mask travels in the batch: a step that was never made changes nothing of the next one.
"""

from __future__ import annotations

import torch
from training_cases import Case, same_bits, state_tensors

from lfads_torch.search.space import MOVABLE
from lfads_torch.training.batches import balanced_batches
from lfads_torch.training.noise import StreamNoise
from lfads_torch.training.step import augmentations, gather, training_step
from lfads_torch.training.streams import Streams

CASE = Case()


def test_a_batch_that_was_augmented_in_vain_leaves_no_mask():
    task, data = CASE.task(), CASE.data()
    states = [CASE.state((0, 3)), CASE.state((0, 3))]
    streams = Streams(CASE.seed, states[0].members)
    batches = balanced_batches(streams, 0, (CASE.n_train,), 5)
    for n_in_vain, state in enumerate(states):
        for index in batches:
            for _ in range(n_in_vain):
                rows = data.train[0].rows[index[0]]
                noise = StreamNoise(streams, "train", 99, rows, task.dtype)
                for augmentation in augmentations(task, state.hyperparameters):
                    batch = gather(data.train[0], index[0], task, session=0)
                    augmentation(batch, noise, state.hyperparameters, site="a")
            training_step(state, task, data.train, index, seed=CASE.seed)
    assert same_bits(state_tensors(states[0]), state_tensors(states[1])) == []


def test_every_hyperparameter_is_a_number_per_member_that_can_be_read_and_set():
    own = CASE.state((0, 3, 5)).hyperparameters
    for name in MOVABLE.values():
        value = getattr(own, name)
        assert value.shape == (3,)
        value[1] = 0.25
        assert [float(each) for each in getattr(own, name)][1] == 0.25
        assert torch.equal(own.take(torch.tensor([1])).as_dict()[name], value[1:2])
