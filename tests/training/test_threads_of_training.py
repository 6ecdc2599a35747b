"""While the compiled library trains, its threads have the cores to themselves."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_models import Tiny

from lfads_torch.kernels.compiled.library import Absent, find_library
from lfads_torch.kernels.compiled.threads import library_threads, threads_for_library
from lfads_torch.training.loop import TrainingData, advance

needs_library = pytest.mark.skipif(isinstance(find_library(), Absent), reason="no library")


@pytest.fixture(autouse=True)
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_the_library_takes_over_the_threads_and_gives_them_back():
    def threads() -> tuple[int, int]:
        return library_threads(), torch.get_num_threads()

    def fail() -> None:
        with threads_for_library():
            assert threads() == (3, 1)
            with threads_for_library():
                assert threads() == (3, 1)
            assert threads() == (3, 1)
            raise ValueError("inside")

    assert threads() == (3, 3)
    with pytest.raises(ValueError, match="inside"):
        fail()
    assert threads() == (3, 3)


def threads_of_an_epoch(tiny: Tiny) -> tuple[int, int]:
    """PyTorch's and the library's, after an epoch and before training ends."""
    tiny = replace(tiny, dtype=torch.float32)
    task = tiny.task()
    data = TrainingData(train=(tiny.trials(6),), valid=(tiny.trials(5),))
    seen = []
    advance(
        tiny.state(task, (0,)), task, data, seed=1, n_epochs=1,
        observe=lambda _: seen.append((torch.get_num_threads(), library_threads())),
    )  # fmt: skip
    assert (library_threads(), torch.get_num_threads()) == (3, 3)
    return seen[0]


@needs_library
def test_training_in_the_library_leaves_one_thread_to_pytorch():
    assert threads_of_an_epoch(Tiny(kernels="compiled")) == (1, 3)


@pytest.mark.parametrize("tiny", [Tiny(kernels="portable"), Tiny(observation="gaussian")])
def test_where_pytorch_does_the_step_it_keeps_its_threads(tiny):
    assert threads_of_an_epoch(tiny) == (3, 3)
