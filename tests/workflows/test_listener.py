"""What is printed while an estimator trains: epochs and generations count from 0."""

from __future__ import annotations

from run_cases import settings

from lfads_torch.search.history import GenerationReport
from lfads_torch.training.loop import EpochReport
from lfads_torch.workflows.listener import Listener


def test_generations_and_epochs_count_from_0_and_say_how_many_are_done(capsys):
    wanted = settings("search.generations=7")
    listener = Listener(is_printing=True)
    values = {"valid_score": [0.5]}
    epoch = EpochReport(epoch=2, step=9, seconds=1.0, members=(0,), values=values, messages=())
    listener.epoch(epoch, wanted)
    for generation in (-2, -1, 0, 6):
        listener.generation(GenerationReport(generation, ({"score": 0.25},)), wanted)
    assert capsys.readouterr().out.splitlines() == [
        "epoch 2 (3 of 6): valid_score 0.5000 nats per entry",
        "halving (rounds to come: 1): best score 0.2500 nats per entry",
        "halving (rounds to come: 0): best score 0.2500 nats per entry",
        "generation 0 (1 of at most 7): best score 0.2500 nats per entry",
        "generation 6 (7 of at most 7): best score 0.2500 nats per entry",
    ]
