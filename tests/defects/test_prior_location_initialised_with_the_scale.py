"""A peer starts the location of a prior at its scale."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_models import MODEL, Tiny

from lfads_torch.model.priors.choose import initial_condition_prior, input_prior


@pytest.mark.parametrize("scale", [0.1, 0.7, 25.0])
def test_the_initial_conditions_mean_starts_at_zero_whatever_the_variance(scale):
    prior = initial_condition_prior(replace(MODEL, initial_condition_prior_variance=scale))
    (spec,) = prior.specs(3)
    assert spec.constant == 0.0
    named = {spec.name: torch.zeros(1, 3, dtype=torch.float64)}
    assert prior.variance(named).tolist() == [[pytest.approx(scale)] * 3]


@pytest.mark.parametrize(("tau", "v"), [(10.0, 0.1), (3.0, 7.0), (0.2, 0.2)])
def test_each_weight_of_the_inputs_prior_starts_at_its_own_setting(tau, v):
    tiny = Tiny(model={"input_prior_time_constant": tau, "input_prior_variance": v})
    task = tiny.task()
    starts = {spec.name: spec.constant for spec in task.layout.specs if "input_prior" in spec.name}
    values = {name: float(torch.as_tensor(start).exp()) for name, start in starts.items()}
    assert values == {
        "input_prior.log_time_constant": pytest.approx(tau),
        "input_prior.log_variance": pytest.approx(v),
    }


def test_the_independent_prior_is_centred_at_zero():
    settings = replace(MODEL, input_prior="normal", input_prior_variance=4.0)
    prior = input_prior(settings, bin_width_s=0.01)
    (spec,) = prior.specs(2)
    assert float(torch.as_tensor(spec.constant).exp()) == pytest.approx(4.0)
