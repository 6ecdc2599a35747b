"""Partial training: names of parts, and that what is frozen does not change by a bit."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from training_cases import Case, epochs

from lfads_torch.errors import SettingsError
from lfads_torch.training.parts import (
    chosen_weights,
    require_parts,
    require_something_to_train,
    trained_weights,
)
from lfads_torch.training.settings import TrainingSettings
from lfads_torch.training.step import training_step

NAMES = tuple(spec.name for spec in Case().task().layout.specs)


def part_names(*words: str) -> set[str]:
    return {name.rpartition(".")[0] for name in chosen_weights(words, NAMES)}


def test_groups_parts_and_patterns_name_weights():
    assert part_names("encoders") == {"ic_encoder", "initial_condition", "controller_encoder"}
    assert part_names("generator") == {"generator"}
    assert part_names("decoder") == {"generator_start", "generator", "controller", "factors"}
    assert part_names("readout") == part_names("readout.*") == {"readout.a"}
    assert part_names("priors") == {"initial_condition_prior", "input_prior"}
    assert chosen_weights(("generator.bias", "*.initial_state"), NAMES) == {
        "generator.bias", "ic_encoder.initial_state", "controller_encoder.initial_state",
        "controller.initial_state",
    }  # fmt: skip
    assert chosen_weights(("nothing",), NAMES) == frozenset()


def test_freezing_wins_over_training_and_empty_means_everything():
    everything = trained_weights(TrainingSettings(), NAMES)
    assert everything == set(NAMES)
    some = trained_weights(TrainingSettings(train="encoders", freeze="ic_encoder"), NAMES)
    assert {n.rpartition(".")[0] for n in some} == {"initial_condition", "controller_encoder"}


def test_unknown_parts_are_answered_with_the_known_ones():
    text = r"training.freeze: the model has no part 'genrator'. Did you mean 'generator'\?"
    with pytest.raises(SettingsError, match=text + r".*ic_encoder.*readout\.a.*encoders"):
        require_parts(("genrator",), NAMES, what="training.freeze")
    with pytest.raises(SettingsError, match="nothing is left to train"):
        require_something_to_train(TrainingSettings(train="readout", freeze="*"), NAMES)


@pytest.mark.parametrize(
    "training",
    [{"train": "encoders"}, {"train": "readout"}, {"freeze": "generator, factors, priors"}],
    ids=str,
)
def test_frozen_weights_keep_every_bit_also_through_decay_gathers_and_rollbacks(training):
    case = Case().with_training(**training, weight_decay=0.5)
    task, state = case.task(), case.state((0, 3, 5))
    trained = trained_weights(task.training, NAMES)
    assert 0 < len(trained) < len(NAMES)
    start = {name: view.clone() for name, view in task.layout.views(state.weights).items()}
    epochs(case, state, 2)
    state.take(torch.tensor([1, 1, 2]))
    epochs(case, state, 1)
    for name, view in task.layout.views(state.weights).items():
        for slot, line in enumerate((1, 1, 2)):
            same = torch.equal(view[slot], start[name][line])
            assert same == (name not in trained), name
    moments = task.layout.views(state.moment2)
    assert all(not bool(moments[name].any()) for name in NAMES if name not in trained)


def test_the_gradient_norm_is_that_of_what_is_trained():
    whole, part = Case(), Case().with_training(train="readout")
    reports = []
    for case in (whole, part):
        task, data, state = case.task(), case.data(), case.state()
        index = (torch.arange(5)[None],)
        reports.append(training_step(state, task, data.train, index, seed=case.seed))
        gradient = state.moment1 / (1 - case.training.beta1)
        if float(reports[-1].gradient_norm) <= case.training.max_gradient_norm:
            torch.testing.assert_close(gradient.norm(dim=1), reports[-1].gradient_norm)
    assert float(reports[1].gradient_norm) < float(reports[0].gradient_norm)
    assert torch.equal(reports[0].terms.loss, reports[1].terms.loss)


def test_what_is_trained_trains_as_it_would_with_the_rest_held_by_hand():
    case = Case().with_training(freeze="decoder", max_gradient_norm=1e30)
    free = replace(case, training=replace(case.training, freeze=""))
    one, other = case.state(), free.state()
    index = (torch.arange(5)[None],)
    training_step(one, case.task(), case.data().train, index, seed=3)
    training_step(other, free.task(), free.data().train, index, seed=3)
    trained = trained_weights(case.training, NAMES)
    views, others = (case.task().layout.views(s.weights) for s in (one, other))
    assert all(torch.equal(views[name], others[name]) for name in trained)
