"""A causal controller, a causal model, and the generated initial segment."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_models import Tiny

from lfads_torch.kernels.choose import choose_kernels
from lfads_torch.outputs.posterior import PosteriorOptions, posterior_averages
from lfads_torch.training.noise import StreamNoise
from lfads_torch.training.step import augmentations, gather, training_step
from lfads_torch.training.streams import Streams

CAUSAL = {"causal_controller": True, "ic_bins": 3}
BACKENDS = ["reference", "portable", "compiled"]


def case(kernels: str, model, **sizes) -> Tiny:
    dtype = torch.float32 if kernels == "compiled" else torch.float64
    if kernels == "compiled":
        try:
            choose_kernels("compiled")
        except ValueError as error:
            pytest.skip(f"no compiled library here: {error}")
    return Tiny(kernels=kernels, dtype=dtype, model=model, **sizes)


def rates(tiny: Tiny, trials) -> torch.Tensor:
    task = tiny.task()
    weights = tiny.state(task).weights
    (found,) = posterior_averages(weights, 0, task, trials, PosteriorOptions(n_samples=3))
    return found.mean_counts


@pytest.mark.parametrize("kernels", BACKENDS)
@pytest.mark.parametrize("lag", [0, 1, 3])
@pytest.mark.parametrize("n_encoded_bins", [7, 9])
def test_rates_of_a_bin_do_not_change_by_a_bit_with_any_later_count(kernels, lag, n_encoded_bins):
    model = {**CAUSAL, "controller_lag_bins": lag}
    tiny = case(kernels, model, n_encoded_bins=n_encoded_bins)
    assert tiny.task().model.is_causal
    usual = rates(tiny, tiny.trials())
    reacted = False
    for bin_ in range(3, 9):
        trials = tiny.trials()
        trials.counts[:, bin_] += 4.0
        changed = rates(tiny, trials)
        unchanged = bin_ - 3 + lag  # generated bins before the one that sees it
        assert torch.equal(changed[:, :unchanged], usual[:, :unchanged])
        reacted |= not torch.equal(changed, usual)
    assert reacted


def test_the_first_bins_alone_make_the_initial_condition():
    tiny = case("reference", {**CAUSAL, "n_inferred_inputs": 0})
    assert tiny.task().model.is_causal
    trials = tiny.trials()
    usual = rates(tiny, trials)
    trials.counts[:, 3:] += 4.0
    assert torch.equal(rates(tiny, trials), usual)
    trials.counts[:, 2] += 4.0
    assert not torch.equal(rates(tiny, trials), usual)


@pytest.mark.parametrize(
    "model",
    [
        {"ic_bins": 3},
        {"causal_controller": True},
        {**CAUSAL, "generate_initial_segment": True},
    ],
    ids=str,
)
def test_what_sees_later_bins_is_not_called_causal(model):
    tiny = case("reference", model)
    assert not tiny.task().model.is_causal
    usual, trials = rates(tiny, tiny.trials()), tiny.trials()
    trials.counts[:, 2 if "generate_initial_segment" in model else 5] += 4.0
    assert not torch.equal(rates(tiny, trials)[:, 0], usual[:, 0])


@pytest.mark.parametrize("kernels", BACKENDS)
def test_a_causal_model_trains_in_every_backend(kernels):
    tiny, definition = case(kernels, CAUSAL), case("reference", CAUSAL)
    after = []
    for each in (tiny, Tiny(**{**vars(definition), "dtype": tiny.dtype})):
        task, trials = each.task(), each.trials()
        state = each.state(task, members=(0, 1))
        index = torch.tensor([[0, 2, 3], [1, 0, 2]])
        training_step(state, task, (trials,), (index,), seed=1)
        after.append(state.moment1)
    scale = float(after[1].abs().max())
    torch.testing.assert_close(after[0] / scale, after[1] / scale, rtol=1e-4, atol=1e-5)


def test_the_controllers_weights_are_of_one_direction():
    task = Tiny(model=CAUSAL).task()
    shapes = {spec.name: spec.shape for spec in task.layout.specs}
    assert shapes["controller_encoder.recurrent"] == (1, 3, 9)
    assert shapes["controller_encoder.initial_state"] == (1, 3)
    assert shapes["controller.input"][0] == 3 + 3  # one direction, and the factors
    assert shapes["ic_encoder.recurrent"][0] == 2


@pytest.mark.parametrize("causal", [False, True])
def test_a_generated_initial_segment_begins_the_trial_and_sees_no_encoder_states_there(causal):
    """As lfads-torch pads: zeros before `ic_bins`, then the lagged states of the bins after."""
    from lfads_torch.model.encoder import encode, lagged
    from lfads_torch.model.noise import Silence
    from lfads_torch.model.weights import ModelWeights

    model = {"ic_bins": 3, "causal_controller": causal}
    short, whole = Tiny(model=model), Tiny(model={**model, "generate_initial_segment": True})
    x = short.trials().counts[None, :, :7, [0, 2, 3]]
    found = []
    for tiny, n_generated in ((short, 6), (whole, 9)):
        task = tiny.task()
        weights = ModelWeights.arrange(
            task.layout.views(tiny.state(task).weights), task.session_names
        )
        found.append(
            encode(x, weights, Silence(), task.model, kernels=task.kernels, n_generated=n_generated)
        )
    assert torch.equal(found[0].mean, found[1].mean)
    states = found[1].controller_states
    assert bool((states[:, :3] == 0).all())
    assert torch.equal(states[:, 3:], found[0].controller_states)
    assert bool(lagged(torch.ones(1, 2, 4, 1, 1), 1, 6)[0, 0, 0, 0] == 0)
    assert rates(whole, whole.trials()).shape[1] == 9
    assert rates(short, short.trials()).shape[1] == 6


def test_the_generated_initial_segment_trains_where_its_entries_were_hidden_and_nowhere_else():
    """In a peer 39 % of what the encoder saw still gave gradient."""
    tiny = Tiny(
        model={"ic_bins": 3, "generate_initial_segment": True},
        augmentation={"coordinated_dropout_rate": 0.5},
    )
    task, trials = tiny.task(), tiny.trials()
    trials = replace(trials, counts=trials.counts + 1.0)
    state, index = tiny.state(task), torch.arange(4)[None]
    noise = StreamNoise(Streams(1, state.members), "train", 0, trials.rows[index], tiny.dtype)
    batch = gather(trials, index, task, session=0)
    (augmentation,) = augmentations(task, state.hyperparameters)
    batch = augmentation(batch, noise, state.hyperparameters, site="session")
    units = list(tiny.encoded_units)
    hidden = batch.encoded[..., units] == 0
    assert bool(hidden[:, :, :3].any())
    assert torch.equal(batch.has_gradient[:, :, :7, units], hidden)
    assert bool(training_step(state, task, (trials,), (index,), seed=1).is_finite.all())
