"""Where read-ins and read-outs of several sessions start."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from session_cases import sessions, tiny_settings

from lfads_torch.errors import DataError
from lfads_torch.loss.observations.gaussian import Gaussian
from lfads_torch.loss.observations.poisson import Poisson
from lfads_torch.workflows.assemble import Start, assemble, start_state
from lfads_torch.workflows.fit import Quiet, prepare
from lfads_torch.workflows.sessions.starts import align, link_gradient

CPU = torch.device("cpu")


def started(*overrides: str):
    prepared = prepare(sessions(), tiny_settings(*overrides), Quiet())
    alignment = align(prepared.recordings, prepared.settings)
    start = Start(alignment=alignment)
    assembly = assemble(prepared.recordings, prepared.settings, device=CPU, start=start)
    state = start_state(assembly)
    return alignment, assembly, assembly.task.layout.views(state.weights)


def test_a_read_in_starts_as_the_regression_with_the_bias_of_the_mean() -> None:
    alignment, _, views = started("run.n_seeds=2")
    averages, regression = alignment.averages[1], alignment.regressions[1]
    name = averages.session
    for p in range(2):
        np.testing.assert_allclose(views[f"readin.{name}.weight"][p], regression.weight, rtol=1e-5)
        bias = -averages.mean @ regression.weight
        np.testing.assert_allclose(views[f"readin.{name}.bias"][p], bias, rtol=1e-4, atol=1e-6)


def test_a_read_out_starts_as_the_pseudo_inverse_over_the_mean_up_to_one_scale() -> None:
    alignment, _assembly, views = started()
    ratios = []
    for averages, regression in zip(alignment.averages, alignment.regressions, strict=True):
        name, seen = averages.session, averages.is_encoded
        mean = views[f"readout.{name}.bias"][0].double().exp().numpy()[seen]
        expected = np.linalg.pinv(regression.weight) / mean
        got = views[f"readout.{name}.weight"][0].double().numpy()[: len(expected)]
        ratios.append(got[:, seen] / expected)
    joint = np.concatenate([ratio.ravel() for ratio in ratios])
    np.testing.assert_allclose(joint, joint[0], rtol=1e-4)


def test_what_is_not_encoded_and_factors_beyond_the_components_start_as_usual() -> None:
    alignment, _, views = started("sessions.readin_size=2")
    _, _, plain = started("sessions.readin_size=2", "sessions.readout_initialisation=random")
    averages = alignment.averages[0]
    name, seen = averages.session, torch.as_tensor(averages.is_encoded)
    assert not seen.all()
    ours, usual = views[f"readout.{name}.weight"][0], plain[f"readout.{name}.weight"][0]
    assert torch.equal(ours[:, ~seen], usual[:, ~seen])
    assert torch.equal(ours[2:], usual[2:])
    assert not torch.isclose(ours[:2][:, seen], usual[:2][:, seen]).any()


def test_the_gradient_of_the_link_makes_a_step_of_parameters_a_step_of_the_mean() -> None:
    bias = torch.tensor([[-1.0, 0.3, 2.0]], dtype=torch.float64)
    gradient = link_gradient(Poisson(), bias)
    np.testing.assert_allclose(gradient, 1 / bias.exp().numpy())
    both = torch.tensor([[1.0, -2.0], [0.5, 0.1]], dtype=torch.float64)
    np.testing.assert_allclose(link_gradient(Gaussian(), both), [[1.0, 1.0], [0.0, 0.0]])


def test_two_sessions_of_one_name_are_refused() -> None:
    one, two = sessions()[:2]
    with pytest.raises(DataError, match="2 recordings have the session name 'monday'"):
        prepare([one, replace(two, session="monday")], tiny_settings(), Quiet())


def test_noise_of_a_trial_depends_on_its_session_by_name() -> None:
    prepared = prepare(sessions(), tiny_settings(), Quiet())
    there = assemble(prepared.recordings, prepared.settings, device=CPU)
    back = assemble(prepared.recordings[::-1], prepared.settings, device=CPU)
    rows = [session.trials.rows for session in there.sessions]
    assert len(torch.cat(rows).unique()) == sum(len(each) for each in rows)
    for own, other in zip(rows, [s.trials.rows for s in back.sessions][::-1], strict=True):
        assert torch.equal(own, other)
