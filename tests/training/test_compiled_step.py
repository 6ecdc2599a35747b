"""A whole step through the compiled library: against the reference, and bit by bit in company."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_models import Tiny, gradients_of_one_step
from torch import Tensor

from lfads_torch.kernels.choose import choose_kernels
from lfads_torch.kernels.compiled.library import Absent, find_library
from lfads_torch.loss.observations.poisson import Poisson
from lfads_torch.loss.reconstruction import IndexedTarget
from lfads_torch.model.encoder import dropped_in_time
from lfads_torch.model.sessions import read_in
from lfads_torch.training import prepare
from lfads_torch.training.noise import StreamNoise
from lfads_torch.training.prepare import augmentations, prepared_batch
from lfads_torch.training.score import validation_reconstruction
from lfads_torch.training.step import training_step
from lfads_torch.training.streams import Streams

LIBRARY = find_library()
pytestmark = pytest.mark.skipif(
    isinstance(LIBRARY, Absent), reason=getattr(LIBRARY, "reason", "there is a library")
)
DROPS = {
    "dropout_rate": 0.2,
    "coordinated_dropout_rate": 0.4,
    "coordinated_dropout_pass_rate": 0.3,
}
CASES = {
    "plain": Tiny(),
    "dropped": Tiny(augmentation=DROPS),
    "hidden": Tiny(augmentation={"coordinated_dropout_rate": 0.5}, n_external_inputs=0),
    "missing": Tiny(missing_share=0.3, augmentation=DROPS),
    "initial bins": Tiny(model={"ic_bins": 2}, augmentation=DROPS, missing_share=0.1),
    "lag": Tiny(model={"controller_lag_bins": 3}, augmentation=DROPS),
    "longer lag": Tiny(model={"controller_lag_bins": 11}),
    "free": Tiny(model={"n_inferred_inputs": 0}, augmentation=DROPS),
    "one bin": Tiny(n_bins=1, n_encoded_bins=1, n_units=1, encoded_units=(0,), augmentation=DROPS),
    "wide": Tiny(n_units=33, encoded_units=tuple(range(1, 33, 2)), augmentation=DROPS),
    "sum": Tiny(loss={"reconstruction": "sum"}, augmentation=DROPS),
    "gaussian": Tiny(observation="gaussian", augmentation=DROPS),
    "small clip": Tiny(model={"cell_clip": 0.4}, augmentation=DROPS),
}


def stepped(
    tiny: Tiny, kernels: str, dtype: torch.dtype, members=(0, 4, 7), n_trials: int = 5
) -> tuple[dict[str, Tensor], Tensor]:
    """Gradients and loss terms of one step; the last member hides and drops nothing."""
    tiny = replace(tiny, kernels=kernels, dtype=dtype)
    task = tiny.task()
    state = tiny.state(task, members)
    for name in ("dropout_rate", "coordinated_dropout_rate"):
        getattr(state.hyperparameters, name)[state.members == 7] = 0.0
    index = (torch.tensor([4, 0, 5, 2, 1])[:n_trials].expand(len(members), -1),)
    report = training_step(state, task, (tiny.trials(6),), index, seed=11)
    terms = report.terms
    values = (terms.loss, terms.reconstruction, terms.kl_initial_condition, terms.kl_inputs)
    return gradients_of_one_step(state, task), torch.stack(values).double()


def distance(found: dict[str, Tensor], truth: dict[str, Tensor]) -> float:
    squared = sum(float((found[k].double() - truth[k]).square().sum()) for k in truth)
    return (squared / sum(float(t.square().sum()) for t in truth.values())) ** 0.5


@pytest.mark.parametrize("name", CASES)
def test_a_step_agrees_with_the_reference_in_double_precision(name):
    n_trials = 1 if name == "lag" else 5
    truth, terms = stepped(CASES[name], "reference", torch.float64, n_trials=n_trials)
    used = ("compiled", "compiled-generic") if name == "missing" else ("compiled",)
    for kernels in used:
        found, own_terms = stepped(CASES[name], kernels, torch.float32, n_trials=n_trials)
        assert distance(found, truth) < 5e-6
        torch.testing.assert_close(own_terms, terms, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["plain", "missing", "free", "one bin", "small clip"])
def test_a_step_in_bf16_is_near_the_reference_in_double_precision(name):
    truth, terms = stepped(CASES[name], "reference", torch.float64)
    found, own_terms = stepped(CASES[name], "compiled-bf16", torch.float32)
    assert 1e-5 < distance(found, truth) < 1e-2
    torch.testing.assert_close(own_terms, terms, rtol=4e-3, atol=1e-4)
    torch.testing.assert_close(own_terms[1], terms[1], rtol=3e-3, atol=0.0)  # reconstruction
    if name != "plain":
        return
    threads, alone = (
        torch.get_num_threads(),
        stepped(CASES[name], "compiled-bf16", torch.float32, (4,)),
    )
    torch.set_num_threads(3)
    again, _ = stepped(CASES[name], "compiled-bf16", torch.float32)
    torch.set_num_threads(threads)
    assert all(torch.equal(again[k], found[k]) for k in found)
    assert all(torch.equal(alone[0][k], found[k][1:2]) for k in found)


def prepared(tiny: Tiny, kernels: str):
    tiny = replace(tiny, kernels=kernels, dtype=torch.float32)
    task = tiny.task()
    state = tiny.state(task, (3, 7))
    state.hyperparameters.coordinated_dropout_rate[1] = 0.0
    trials = tiny.trials(6)
    index = torch.tensor([[1, 0, 5], [2, 3, 1]])
    noise = StreamNoise(
        Streams(5, state.members), "train", 9, trials.rows[index], task.dtype,
        state.hyperparameters.dropout_rate,
    )  # fmt: skip
    return prepared_batch(state, task, (trials,), (index,), noise), noise, task


@pytest.mark.parametrize("name", ["dropped", "hidden", "missing", "initial bins", "wide"])
def test_a_batch_has_the_bits_of_the_one_made_step_by_step(name):
    found, _, _ = prepared(CASES[name], "compiled")
    plain, noise, task = prepared(CASES[name], "portable")
    target, expected = found.targets[0], plain.targets[0]
    assert isinstance(target, IndexedTarget)
    x = read_in(plain.given.counts[0], task.sizes.sessions[0], None)
    assert torch.equal(found.given.encoder_input, dropped_in_time(x, noise))
    assert torch.equal(target.counts.has_gradient, expected.has_gradient)
    assert torch.equal(target.constant, expected.constant)


def test_a_step_has_the_same_bits_in_any_company_and_with_any_threads():
    tiny = CASES["missing"]
    together, _ = stepped(tiny, "compiled", torch.float32)
    before = torch.get_num_threads()
    for p, member in enumerate((0, 4, 7)):
        torch.set_num_threads(1 + p)
        alone, _ = stepped(tiny, "compiled", torch.float32, (member,))
        assert all(torch.equal(alone[k], together[k][p : p + 1]) for k in alone)
    torch.set_num_threads(before)


@pytest.mark.parametrize("n_factors", [1, 13, 33])
def test_a_single_member_has_the_same_bits_however_its_factors_are_cut(n_factors):
    tiny = Tiny(model={"n_factors": n_factors}, augmentation=DROPS)
    truth, _ = stepped(tiny, "reference", torch.float64, (4,))
    before, found = torch.get_num_threads(), []
    for threads in (1, 2, 3, 5):
        torch.set_num_threads(threads)
        found.append(stepped(tiny, "compiled", torch.float32, (4,))[0])
    torch.set_num_threads(before)
    assert distance(found[0], truth) < 5e-6
    for each in found[1:]:
        assert all(torch.equal(each[k], found[0][k]) for k in truth)


@pytest.mark.parametrize("entries", ["all", "encoded", "held_out"])
def test_the_score_agrees_with_the_reference(entries):
    found = {}
    for kernels, dtype in (("compiled", torch.float32), ("reference", torch.float64)):
        tiny = replace(
            CASES["missing"], kernels=kernels, dtype=dtype, training={"score_entries": entries}
        )
        task = tiny.task()
        state = tiny.state(task, (0, 3))
        found[kernels] = validation_reconstruction(state, task, (tiny.trials(7),), seed=2)
    torch.testing.assert_close(found["compiled"], found["reference"], rtol=1e-5, atol=1e-6)


def test_rates_beyond_all_numbers_are_not_finite():
    """The generic path gives infinity there, and a member's loss then says that it diverged."""
    fused = choose_kernels("compiled").fused
    tiny = replace(CASES["plain"], kernels="compiled", dtype=torch.float32)
    task, trials = tiny.task(), tiny.trials(2)
    state = tiny.state(task, (0, 1))
    task.layout.views(state.weights)["readout.session.bias"][1, 2] = 89.0
    index = (torch.tensor([[0, 1], [0, 1]]),)
    report = training_step(state, task, (trials,), index, seed=1)
    assert fused is not None
    assert report.is_finite.tolist() == [True, False]
    assert type(task.observations[0]) is Poisson


def test_a_step_that_knows_its_augmentations_does_not_look_for_them_again(monkeypatch):
    tiny = replace(CASES["dropped"], kernels="compiled", dtype=torch.float32)
    task = tiny.task()
    state, trials = tiny.state(task, (3,)), tiny.trials(6)
    index = torch.tensor([[1, 0, 5]])
    rows = trials.rows[index]
    noise = StreamNoise(Streams(5, state.members), "train", 9, rows, task.dtype)
    chain = augmentations(task, state.hyperparameters)
    expected = prepared_batch(state, task, (trials,), (index,), noise)
    monkeypatch.setattr(prepare, "augmentations", None)
    found = prepared_batch(state, task, (trials,), (index,), noise, chain=chain)
    plain = prepared_batch(state, task, (trials,), (index,), noise, chain=())
    x, x_plain = found.given.encoder_input, plain.given.encoder_input
    assert torch.equal(x, expected.given.encoder_input)
    assert not torch.equal(x, x_plain)
