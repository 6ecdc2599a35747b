"""Batches: balanced sizes, every trial once per epoch, each member in its own order."""

from __future__ import annotations

import pytest
import torch

from lfads_torch.training.batches import balanced_batches, n_batches, total_size
from lfads_torch.training.streams import Streams


def batches(n_trials, batch_size, members=(0,), epoch=0):
    return balanced_batches(Streams(1, torch.tensor(members)), epoch, n_trials, batch_size)


def test_129_trials_at_64_are_three_times_43():
    assert [total_size(batch) for batch in batches((129,), 64)] == [43, 43, 43]


@pytest.mark.parametrize(
    ("n_trials", "batch_size"),
    [
        ((1,), 64), ((64,), 64), ((65,), 64), ((7,), 1), ((33,), 10), ((1, 1, 1), 2),
        ((5, 4), 3), ((4, 6, 4), 5), ((4, 4, 4, 4), 6), ((33, 1, 7, 3, 129), 17),
    ],
)  # fmt: skip
def test_every_trial_once_in_batches_that_differ_by_one_at_most(n_trials, batch_size):
    found = batches(n_trials, batch_size, members=(0, 3))
    sizes = [total_size(batch) for batch in found]
    assert len(sizes) == n_batches(sum(n_trials), batch_size)
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    for s, n in enumerate(n_trials):
        shares = [batch[s].shape[1] for batch in found]
        assert max(shares) - min(shares) <= 1
        positions = torch.cat([batch[s] for batch in found], 1)
        assert torch.equal(positions.sort(1).values, torch.arange(n).expand(2, -1))


def test_members_and_epochs_have_their_own_order_and_nothing_else_matters():
    def order(members, epoch):
        return torch.cat([batch[0] for batch in batches((33,), 10, members, epoch)], 1)

    together = order((4, 0, 9), 2)
    assert len({tuple(row) for row in together.tolist()}) == 3
    for p, member in enumerate((4, 0, 9)):
        assert torch.equal(order((member,), 2)[0], together[p])
    assert not torch.equal(order((4, 0, 9), 3), together)
