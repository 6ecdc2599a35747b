"""The training steps that `kernel_steps.py` compares, on one model and batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from eager_step import Eager, EagerSettings
from incumbent_step import IncumbentSettings
from numpy.typing import NDArray
from step_shapes import Shape, counts
from torch import Tensor

from lfads_torch.config.read import read_settings
from lfads_torch.data.check.estimate import CostSizes, FitPlan, members_at_once
from lfads_torch.kernels.choose import choose_kernels
from lfads_torch.loss.objective import LossWeights, objective
from lfads_torch.loss.observations.poisson import Poisson
from lfads_torch.loss.reconstruction import Target
from lfads_torch.model.lfads import ModelInput, lfads
from lfads_torch.model.noise import Silence
from lfads_torch.model.sizes import ModelSizes, SessionSizes
from lfads_torch.model.weights import ModelWeights
from lfads_torch.training.hyperparameters import Hyperparameters
from lfads_torch.training.resident import ResidentTrials, known_of, reside
from lfads_torch.training.state import PopulationState, new_state
from lfads_torch.training.step import gather, training_step
from lfads_torch.training.task import Computation, Task, TaskData, build_task

__all__ = [
    "Step",
    "build",
    "build_eager",
    "eager_gradients",
    "eager_model",
    "incumbent_settings",
    "members_of_a_group",
]

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Step:
    """A training step that can be repeated, and what it advances."""

    run: Callable[[], object]
    backend: str
    state: PopulationState | None = None


def task_of(shape: Shape, backend: str, dtype: torch.dtype) -> tuple[Task, Hyperparameters]:
    """The task, and the settings of a single member."""
    settings = read_settings(None, "medium", ())
    model = replace(
        settings.model,
        ic_encoder_size=shape.encoder,
        controller_encoder_size=shape.controller_encoder,
        controller_size=shape.controller,
        generator_size=shape.generator,
        n_factors=shape.factors,
        initial_condition_size=shape.initial_condition,
        n_inferred_inputs=shape.inferred,
    )
    session = SessionSizes(
        name="maze",
        n_units=shape.units,
        encoded_units=tuple(range(shape.encoded_units)),
        n_parameters=1,
    )
    task = build_task(
        model,
        settings.loss,
        settings.training,
        data=TaskData(
            sizes=ModelSizes(
                n_bins=shape.bins, n_encoded_bins=shape.encoded_bins, sessions=(session,)
            ),
            bin_width_s=0.005,
            observations=(Poisson(),),
            readout_biases={"maze": torch.full((shape.units,), -3.0)},
        ),
        computation=Computation(choose_kernels(backend, dtype=dtype), CPU, dtype),
    )
    own = Hyperparameters.repeated(
        settings.loss, settings.augmentation, settings.training,
        n_members=1, device=CPU, dtype=dtype,
    )  # fmt: skip
    return task, own


def trials_of(values: NDArray[np.float64], dtype: torch.dtype) -> ResidentTrials:
    """These counts [B, T, N] as trials of a session."""
    known = known_of(len(values), device=CPU, dtype=dtype)
    return reside(values, Poisson(), known=known, ic_bins=0, dtype=dtype)


def build(
    shape: Shape,
    backend: str,
    members: int,
    *,
    n_trials: int,
    dtype: torch.dtype = torch.float32,
    at_once: int = 0,
) -> Step:
    """The project's own step with one of its backends; `at_once` members in turn (0: all)."""
    task, one = task_of(shape, backend, dtype)
    own = one.take(torch.zeros(members, dtype=torch.int64))
    trials = trials_of(counts(shape, n_trials), dtype)
    state = new_state(task.layout, own, seed=1, members=torch.arange(members), dtype=dtype)
    rows = torch.arange(members)
    # An epoch takes a group's state apart and puts it back; a step finds it so.
    groups = [state.part(each) for each in rows.split(at_once)] if at_once else [state]

    def run() -> None:
        for group in groups:
            index = torch.arange(n_trials).expand(group.n_members, -1)
            training_step(group, task, (trials,), (index,), seed=1)

    return Step(run, task.kernels.name, state if not at_once else None)


def members_of_a_group(shape: Shape, backend: str, members: int, threads: int) -> int:
    """How many train at once where nobody says: by the estimate that a run goes by."""
    plan = FitPlan(
        ic_encoder_size=shape.encoder,
        controller_encoder_size=shape.controller_encoder,
        controller_size=shape.controller,
        generator_size=shape.generator,
        n_factors=shape.factors,
        n_inferred_inputs=shape.inferred,
        initial_condition_size=shape.initial_condition,
        batch_size=shape.trials,
        n_members=members,
        threads=threads,
        backend=backend,
    )
    sizes = CostSizes(
        n_trials=shape.trials,
        n_train=shape.trials,
        n_valid=0,
        n_bins=shape.bins,
        n_encoded_bins=shape.encoded_bins,
        n_units=shape.units,
        n_encoded_units=shape.encoded_units,
        n_external_inputs=0,
    )
    return members_at_once(plan, sizes, available=None)


def eager_model(shape: Shape) -> Eager:
    """The stand-in of the incumbent, from the same weights."""
    task, own = task_of(shape, "reference", torch.float32)
    return Eager(_named(task, own), _eager_settings(task, own, is_quiet=False))


def build_eager(shape: Shape) -> Step:
    """Its step on the same batch."""
    eager = eager_model(shape)
    batch = torch.as_tensor(counts(shape, shape.trials), dtype=torch.float32)
    return Step(lambda: eager.step(batch), "eager stand-in")


def incumbent_settings(shape: Shape) -> IncumbentSettings:
    """The numbers of our own variants, for lfads-torch's model."""
    task, own = task_of(shape, "reference", torch.float32)
    model = task.model
    return IncumbentSettings(
        clip=model.cell_clip,
        lag=model.controller_lag_bins,
        dropout_rate=float(own.dropout_rate[0]),
        hidden_rate=float(own.coordinated_dropout_rate[0]),
        kl_initial_condition=float(own.kl_initial_condition_scale[0]),
        kl_inputs=float(own.kl_input_scale[0]),
        l2_generator=float(own.l2_generator_scale[0]),
        l2_controller=float(own.l2_controller_scale[0]),
        initial_condition_variance=model.initial_condition_prior_variance,
        time_constant_bins=model.input_prior_time_constant,
        input_variance=model.input_prior_variance,
        variance_floor=model.initial_condition_variance_floor,
        scale=task.loss.scale,
        learning_rate=float(own.learning_rate[0]),
        max_gradient_norm=float(own.max_gradient_norm[0]),
        n_weights=task.layout.n,
    )


def _named(task: Task, own: Hyperparameters) -> dict[str, Tensor]:
    state = new_state(task.layout, own, seed=1, members=torch.arange(1), dtype=task.dtype)
    return {name: view[0] for name, view in task.layout.views(state.weights).items()}


def _eager_settings(task: Task, own: Hyperparameters, *, is_quiet: bool) -> EagerSettings:
    session = task.sizes.sessions[0]
    return EagerSettings(
        n_encoded_bins=task.sizes.n_encoded_bins,
        n_encoded_units=len(session.encoded_units),
        clip=task.model.cell_clip,
        lag=task.model.controller_lag_bins,
        dropout_rate=0.0 if is_quiet else float(own.dropout_rate[0]),
        hidden_rate=0.0 if is_quiet else float(own.coordinated_dropout_rate[0]),
        is_sampled=not is_quiet,
        kl_initial_condition=float(own.kl_initial_condition_scale[0]),
        kl_inputs=float(own.kl_input_scale[0]),
        l2={name: float(scale[0]) for name, scale in own.l2_scales().items()},
        prior_variance=task.model.initial_condition_prior_variance,
        variance_floor=task.model.initial_condition_variance_floor,
        scale=task.loss.scale,
        learning_rate=float(own.learning_rate[0]),
        max_gradient_norm=float(own.max_gradient_norm[0]),
    )


def eager_gradients(shape: Shape, n_trials: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Of the stand-in and of our reference, in float64, without noise and dropout."""
    task, own = task_of(shape, "reference", torch.float64)
    named = _named(task, own)
    values = torch.as_tensor(counts(shape, n_trials))
    eager = Eager(named, _eager_settings(task, own, is_quiet=True)).gradient(values)
    leaves = {name: value[None].clone().requires_grad_() for name, value in named.items()}
    trials = trials_of(values.numpy(), torch.float64)
    batch = gather(trials, torch.arange(n_trials)[None], task, session=0)
    output = lfads(
        ModelInput((batch.encoded,), (0,)),
        ModelWeights.arrange(leaves, task.session_names, task.parts),
        Silence(),
        task.model,
        task.sizes,
        kernels=task.kernels,
    )
    full = torch.ones(1, dtype=torch.float64)
    l2 = {
        name: scale
        for part, scale in own.l2_scales().items()
        for name in task.parts.recurrent_weights(part)
    }
    weights = LossWeights(own.kl_initial_condition_scale, own.kl_input_scale, l2, full, full)
    terms = objective(
        output, (Target(batch.target, trials.constant[None]),), leaves,
        observations=(Poisson(),), priors=task.priors, weights=weights, settings=task.loss,
    )  # fmt: skip
    gradients = torch.autograd.grad(terms.loss.sum(), list(leaves.values()))
    return eager, {name: g[0] for name, g in zip(leaves, gradients, strict=True)}
