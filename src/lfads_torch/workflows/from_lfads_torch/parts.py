"""Classes that configurations of lfads-torch name in `_target_`, and what they are here.

A class is known by its last name: modules have moved between versions. Where an entry gives
settings, its arguments decide their values; `note` says what there is to know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lfads_torch.config.tree import SettingValue
from lfads_torch.workflows.from_lfads_torch.configuration import class_name
from lfads_torch.workflows.from_lfads_torch.mapped import Fate

__all__ = ["PARTS", "Part", "fates_of_part"]


@dataclass(frozen=True)
class Part:
    """One class: our settings with values, from its arguments; or what there is instead."""

    note: str = ""
    settings: Callable[[str, Mapping[str, Any]], Mapping[str, SettingValue]] | None = None


def _number(given: Mapping[str, Any], name: str, default: float) -> float:
    value = given.get(name, default)
    return float(value) if isinstance(value, (int, float)) else default


def _coordinated(option: str, given: Mapping[str, Any]) -> Mapping[str, SettingValue]:
    return {
        "augmentation.coordinated_dropout_rate": _number(given, "cd_rate", 0.0),
        "augmentation.coordinated_dropout_pass_rate": _number(given, "cd_pass_rate", 0.0),
    }


def _jitter(option: str, given: Mapping[str, Any]) -> Mapping[str, SettingValue]:
    width = int(_number(given, "width", 2))
    if width < 1:
        return {"augmentation.spike_jitter_rate": 0.0}
    # They draw one of 2 w + 1 distances, of which one is 0; here no distance is 0.
    rate = 2 * width / (2 * width + 1)
    return {"augmentation.spike_jitter_rate": rate, "augmentation.spike_jitter_bins": width}


def _shift(option: str, given: Mapping[str, Any]) -> Mapping[str, SettingValue]:
    furthest = int(_number(given, "max_shift", 6))
    if furthest < 1:
        return {"augmentation.temporal_shift_rate": 0.0}
    return {"augmentation.temporal_shift_rate": 1.0, "augmentation.temporal_shift_bins": furthest}


def _sample_validation(option: str, given: Mapping[str, Any]) -> Mapping[str, SettingValue]:
    return {"augmentation.sample_validation_rate": _number(given, "sv_rate", 0.0)}


def _autoregressive(option: str, given: Mapping[str, Any]) -> Mapping[str, SettingValue]:
    return {
        "model.input_prior": "autoregressive",
        "model.input_prior_time_constant": _number(given, "tau", 10.0),
        "model.time_constant_unit": "bins",
        "model.input_prior_variance": _number(given, "nvar", 0.1),
    }


def _normal(option: str, given: Mapping[str, Any]) -> Mapping[str, SettingValue]:
    variance = _number(given, "variance", 0.1)
    if option == _OF_INPUTS:
        return {"model.input_prior": "normal", "model.input_prior_variance": variance}
    return {
        "model.initial_condition_prior": "normal",
        "model.initial_condition_prior_variance": variance,
        "model.initial_condition_prior_scale": "fixed",
    }


def _student_t(option: str, given: Mapping[str, Any]) -> Mapping[str, SettingValue]:
    """Their scale s and n degrees of freedom are a variance of `s^2 n / (n - 2)` here."""
    degrees = max(_number(given, "df", 5.0), _FEWEST_DEGREES)
    variance = _number(given, "scale", 1.0) ** 2 * degrees / (degrees - 2.0)
    shared: dict[str, SettingValue] = {"model.prior_degrees_of_freedom": degrees}
    if option == _OF_INPUTS:
        return {
            **shared, "model.input_prior": "student_t", "model.input_prior_variance": variance,
        }  # fmt: skip
    return {
        **shared,
        "model.initial_condition_prior": "student_t",
        "model.initial_condition_prior_variance": variance,
        "model.initial_condition_prior_scale": "learned",
    }


def _family(name: str) -> Callable[[str, Mapping[str, Any]], Mapping[str, SettingValue]]:
    return lambda option, given: {"loss.observation": name}


def _squared_error(option: str, given: Mapping[str, Any]) -> Mapping[str, SettingValue]:
    return {"loss.observation": "gaussian_fixed_variance", "loss.fixed_variance": 0.5}


def _zero_inflated(option: str, given: Mapping[str, Any]) -> Mapping[str, SettingValue]:
    return {
        "loss.observation": "zero_inflated_gamma",
        "loss.zero_inflated_gamma_location": _number(given, "gamma_loc", 0.0),
    }


_OF_INPUTS = "model.co_prior"
_FEWEST_DEGREES = 2.1  # ours are stated by their variance, which needs more than 2
_ONLY_LOOKS = "a run's page and its metrics.jsonl show the same; `lfads plot` draws more"

PARTS: Mapping[str, Part] = {
    "LFADS": Part("the model"),
    "AugmentationStack": Part("without transforms: nothing; each transform stands for itself"),
    "CoordinatedDropout": Part(settings=_coordinated),
    "CoordinatedDropoutTF2": Part(
        "held-out units and forward bins always give gradient here", settings=_coordinated
    ),
    "SpikeJitter": Part(
        "input and target move together here; there each distance from -width to width is as "
        "likely, 0 too, so the rate is 2 width / (2 width + 1)",
        settings=_jitter,
    ),
    "TemporalShift": Part(
        "input and target move together here, all units of a trial by the same whole number of "
        "bins up to max_shift; std has no counterpart",
        settings=_shift,
    ),
    "SampleValidation": Part(settings=_sample_validation),
    "SelectiveBackpropThruTime": Part("always: missing entries are NaN and give no loss"),
    "IgnoreNaNLoss": Part("always: missing entries are NaN and give no loss"),
    "Poisson": Part(settings=_family("poisson")),
    "PoissonBPS": Part(
        "the Poisson likelihood itself; its scale differs by a constant", _family("poisson")
    ),
    "MSE": Part(
        "a Gaussian of variance 1/2, whose loss is the squared error up to a constant",
        settings=_squared_error,
    ),
    "Gaussian": Part(settings=_family("gaussian")),
    "Gamma": Part("parametrised by mean and shape", settings=_family("gamma")),
    "ZeroInflatedGamma": Part(
        "parametrised by mean, shape and probability, without a learned scale per unit: "
        "scale_init, scale_prior and scale_penalty have no counterpart",
        settings=_zero_inflated,
    ),
    "MultisessionReconstruction": Part("every session has the same observation model"),
    "AutoregressiveMultivariateNormal": Part(settings=_autoregressive),
    "MultivariateNormal": Part(
        "of inferred inputs: its mean is 0 and its variance learned here, and its divergence is "
        "summed over bins (there their mean): kl_co_scale over the number of bins does the same",
        settings=_normal,
    ),
    "MultivariateStudentT": Part(
        "the posterior stays Gaussian here; the location starts at 0 (there, by mistake, at the "
        "scale); at least 2.1 degrees of freedom",
        settings=_student_t,
    ),
    "Null": Part("no prior, as model.variational=false has none"),
    "ModuleList": Part("one entry per session"),
    "Identity": Part("a single recording needs no read-in"),
    "Linear": Part("sizes follow from the recordings"),
    "FanInLinear": Part("sizes follow from the recordings"),
    "MultisessionReadin": Part("sizes follow from the recordings"),
    "MultisessionReadout": Part("sizes follow from the recordings"),
    "PCRMultisessionReadin": Part("read-ins start from the regression by themselves"),
    "PCRMultisessionReadout": Part("read-outs start from the regression by themselves"),
    "BasicDataModule": Part("a recording, read from a file"),
    "LFADSNLBDataModule": Part("a recording, read from a file"),
    "Trainer": Part("our own loop"),
    "ModelCheckpoint": Part("the last state and the best model are always kept"),
    "EarlyStopping": Part("training.patience"),
    "LearningRateMonitor": Part("metrics.jsonl has the rate of every epoch"),
    "TuneReportCheckpointCallback": Part("lfads search"),
    "RasterPlot": Part(_ONLY_LOOKS),
    "TrajectoryPlot": Part(_ONLY_LOOKS),
    "PSTHPlot": Part(_ONLY_LOOKS),
    "InferredRatesPlot": Part(_ONLY_LOOKS),
    "CondAvgTrajectoryPlot": Part(_ONLY_LOOKS),
    "NLBEvaluation": Part("lfads evaluate RUN has these scores, and more"),
    "ProctorSummaryPlot": Part(_ONLY_LOOKS),
    "CSVLogger": Part("metrics.jsonl"),
    "TensorBoardLogger": Part("--tensorboard"),
    "WandbLogger": Part("metrics.jsonl, or --tensorboard"),
    "run_posterior_sampling": Part("lfads infer RUN"),
}  # fmt: skip


def fates_of_part(option: str, value: Any) -> Iterable[Fate]:
    """What becomes of an option that is an object, or a list of them."""
    if isinstance(value, list):
        for each in value:
            yield from fates_of_part(option, each)
        return
    if value is None:
        yield Fate(option, value, note="nothing there, nothing here")
        return
    name = class_name(value)
    if name is None:
        yield Fate(option, value, note="not known here; it has no effect")
        return
    part = PARTS.get(name)
    if part is None:
        note = f"{value['_target_']} is not known here; a part of one's own is a plug-in"
        yield Fate(option, value, note=note)
        return
    inner = [value[key] for key in ("modules", "recon") if key in value]
    if name == "AugmentationStack":
        inner = _used_transforms(value)
    if inner:
        for each in inner:
            yield from fates_of_part(option, each)
        return
    settings = {} if part.settings is None else part.settings(option, value)
    is_of_another = option != _OF_INPUTS and name == "MultivariateNormal"
    yield Fate(option, value, settings, "" if is_of_another else part.note)


def _used_transforms(stack: Mapping[str, Any]) -> list[Any]:
    """The transforms that act on batches or losses; of a checkpoint, those it kept in order."""
    transforms = stack.get("transforms")
    if isinstance(transforms, list):
        used = {*_positions(stack, "batch_order"), *_positions(stack, "loss_order")}
        return [each for n, each in enumerate(transforms) if n in used]
    kept: list[Any] = []
    for name in ("batch_transforms", "loss_transforms"):
        found = stack.get(name)
        kept += [each for each in found or [] if class_name(each) not in map(class_name, kept)]
    return kept


def _positions(stack: Mapping[str, Any], name: str) -> list[int]:
    listed = stack.get(name)
    return [each for each in listed if isinstance(each, int)] if isinstance(listed, list) else []
