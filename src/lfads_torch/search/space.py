"""What is searched: hyperparameters by their dotted names, with range, first draw and perturbation.

Every setting that a member has for itself (`training.hyperparameters.Hyperparameters`) can be
searched, those that plug-ins declare by `member_setting` among them. Others cannot move while a
population trains, and `why_not` says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Literal

__all__ = [
    "MOVABLE",
    "Range",
    "Space",
    "changes_shapes",
    "distribution",
    "drawn_everywhere",
    "field_of",
    "published_space",
    "why_not",
]

First = float | Literal["uniform", "log_uniform"]

# Dotted name -> the member's own number in `Hyperparameters`.
MOVABLE: Mapping[str, str] = MappingProxyType(
    {
        f"{section}.{name}": name
        for section, names in {
            "training": (
                "learning_rate", "weight_decay", "max_gradient_norm", "beta1", "beta2", "epsilon",
            ),
            "augmentation": (
                "dropout_rate", "coordinated_dropout_rate", "coordinated_dropout_pass_rate",
                "spike_jitter_rate", "temporal_shift_rate",
            ),
            "loss": (
                "kl_initial_condition_scale", "kl_input_scale", "l2_ic_encoder_scale",
                "l2_controller_encoder_scale", "l2_controller_scale", "l2_generator_scale",
            ),
        }.items()
        for name in names
    }
)  # fmt: skip


def field_of(name: str) -> str:
    """The name in `Hyperparameters` of a setting; a plug-in's has its dotted name there."""
    return MOVABLE.get(name, name)


_SHAPES = (
    "it changes the shapes of the tensors, and a population trains as one tensor program of one "
    "shape"
)
_REASONS = {
    "model.cell_clip": "the recurrences are computed with one limit for the whole population",
    "model.update_gate_bias": "it is only where learned weights start",
    "model.input_prior_time_constant": "it is only where a learned weight starts",
    "model.input_prior_variance": "it is only where a learned weight starts",
    "model.initial_condition_prior_variance": "it is part of the model, one for all members",
    "model.initial_condition_variance_floor": "it is part of the model, one for all members",
    "augmentation.sample_validation_rate": "it decides which entries train, and so what is scored",
    "model.prior_degrees_of_freedom": "it is part of the model, one for all members",
    "loss.fixed_variance": "it changes the likelihood by which members are compared",
    "loss.zero_inflated_gamma_location": "it changes the likelihood by which members are compared",
    "training.score_smoothing": "it changes the score by which members are compared",
    "training.epochs": "the generations decide how long members train",
    "training.patience": "the generations decide how long members train",
    "loss.scale": "it acts together with the learning rate and the gradient's limit: search those",
}


@dataclass(frozen=True, kw_only=True)
class Range:
    """One searched hyperparameter.

    The first value is drawn between the limits (uniformly, or uniformly in the logarithm), or is
    the number that `first` gives. `weight` is w of the perturbation. Where the limits are not
    kept, a perturbed value only has to stay above 0.
    """

    name: str
    low: float
    high: float
    first: First = "log_uniform"
    weight: float = 0.8
    keeps_limits: bool = True

    @property
    def field(self) -> str:
        """Its name in `Hyperparameters`."""
        return field_of(self.name)


Space = tuple[Range, ...]


def published_space(*, has_controller: bool = True, is_variational: bool = True) -> Space:
    """The ranges of AutoLFADS (Keshtkaran, Sedler et al. 2022), in published units.

    Those of what the model lacks, a controller or divergences, are left out.
    """
    free = partial(Range, weight=0.8, keeps_limits=False)
    ranges = (
        Range(name="training.learning_rate", low=1e-5, high=5e-3, first=4e-3, weight=0.3),
        Range(name="augmentation.dropout_rate", low=0.0, high=0.6, first="uniform", weight=0.3),
        Range(
            name="augmentation.coordinated_dropout_rate", low=0.01, high=0.7, first=0.5, weight=0.3
        ),
        free(name="loss.l2_generator_scale", low=1e-4, high=1.0),
        free(name="loss.l2_controller_scale", low=1e-4, high=1.0),
        free(name="loss.kl_initial_condition_scale", low=1e-6, high=1e-3),
        free(name="loss.kl_input_scale", low=1e-6, high=1e-4),
    )
    of_controller = ("loss.l2_controller_scale", "loss.kl_input_scale")
    divergences = ("loss.kl_initial_condition_scale", "loss.kl_input_scale")
    absent = {
        *(() if has_controller else of_controller),
        *(() if is_variational else divergences),
    }
    return tuple(each for each in ranges if each.name not in absent)


def changes_shapes(name: str) -> bool:
    """Whether a numeric setting that is not in `MOVABLE` changes the shapes of tensors."""
    return name not in MOVABLE and why_not(name) is _SHAPES


def drawn_everywhere(space: Space) -> Space:
    """The space of a random search: what would begin with one number is drawn from its range.

    Nothing moves later, so a value that all members share would not be searched at all.
    """
    return tuple(replace(each, first=distribution(each)) for each in space)


def distribution(of: Range) -> Literal["uniform", "log_uniform"]:
    """How a value is drawn from its range.

    As the first ones were; where they were one number, in the logarithm if the range spans two
    decades or more.
    """
    if isinstance(of.first, str):
        return of.first
    return "log_uniform" if of.low > 0.0 and of.high >= 100.0 * of.low else "uniform"


def why_not(name: str) -> str:
    """Why a numeric setting that is not in `MOVABLE` cannot be searched while members train."""
    if name in _REASONS:
        return _REASONS[name]
    if name.startswith("model.") or name == "training.batch_size":
        return _SHAPES
    if "ramp" in name:
        return "the first generation lasts until the ramps end, for all members"
    if name.startswith("training.plateau") or name == "training.learning_rate_floor":
        return "the search moves the learning rate itself"
    return "it is one for the whole run, not a member's own"
