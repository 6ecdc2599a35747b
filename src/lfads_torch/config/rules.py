"""Rules that join several settings, or settings and data: all in this one place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lfads_torch.config.part_names import unknown_parts
from lfads_torch.config.preset_choice import preset_values
from lfads_torch.config.scales import betas
from lfads_torch.config.sizes import DataSizes
from lfads_torch.config.tree import Settings
from lfads_torch.counted import counted
from lfads_torch.errors import SettingsError
from lfads_torch.training.settings import TrainingSettings

__all__ = [
    "check_against_data", "conflicts", "conflicts_of_members", "epochs_until_full_weight",
]  # fmt: skip

_LARGEST_HIDDEN_SIZE = 20_000  # recurrent weights of 3 * size^2 numbers: 4.5 GiB in float32
_STRONGEST_USUAL_BETA = 16.0  # upper end of the published range, in units of the evidence bound
_MOVING = ("temporal_shift", "spike_jitter")  # augmentations that move counts between bins


def conflicts(settings: Settings) -> list[str]:
    """Settings that cannot hold together, whatever the data; empty where all is well."""
    return list(_conflicts(settings))


def conflicts_of_members(settings: Settings, largest: Mapping[str, float]) -> list[str]:
    """As `conflicts`, of what only the members of a search have.

    `largest`: the largest value that any member begins with or may draw, by dotted name.
    """
    given = settings.augmentation
    return [
        f"{rate} is up to {largest[rate]:g} in this search, but augmentation.order is "
        f"{given.order!r} without {name}; add it there, or leave the rate out of the search"
        for name in _MOVING
        if largest.get(rate := f"augmentation.{name}_rate", 0.0) > 0.0 and name not in given.names
    ]


def check_against_data(settings: Settings, sizes: DataSizes) -> list[str]:
    """Warnings about settings that do not suit the data; what cannot work at all raises.

    All that cannot work is told in one SettingsError.
    """
    found = list(_impossible(settings, sizes))
    if found:
        listed = "".join(f"\n  - {each}" for each in found)
        raise SettingsError(f"these settings cannot work on this recording:{listed}")
    return [
        *_warnings_of_data(settings, sizes),
        *_warnings_of_ramps(settings, sizes),
        *_warnings_of_scales(settings, sizes),
    ]


def epochs_until_full_weight(settings: Settings, sizes: DataSizes) -> int:
    """Epochs after which both ramps stand at 1: from then on scores can be compared."""
    loss = settings.loss
    end = 1 + max(
        loss.kl_ramp_start + loss.kl_ramp_increase, loss.l2_ramp_start + loss.l2_ramp_increase
    )
    if loss.ramp_unit == "epochs":
        return end
    return -(-end // sizes.steps_per_epoch(settings.training.batch_size))


def _conflicts(settings: Settings) -> Iterator[str]:
    split, training, model = settings.split, settings.training, settings.model
    if split.valid_fraction + split.test_fraction >= 1.0:
        yield (
            f"split.valid_fraction + split.test_fraction is "
            f"{split.valid_fraction + split.test_fraction:g}; needed is a sum below 1, "
            "so that trials remain for training"
        )
    if settings.chop.overlap_s > 0 and settings.chop.overlap_s >= settings.chop.length_s:
        yield (
            f"chop.overlap_s is {settings.chop.overlap_s:g} and chop.length_s "
            f"{settings.chop.length_s:g}; needed is an overlap shorter than a chop"
        )
    lowers_rate = training.plateau_factor < 1.0
    if lowers_rate and training.learning_rate_floor > training.learning_rate:
        yield (
            f"training.learning_rate_floor is {training.learning_rate_floor:g}, above "
            f"training.learning_rate, {training.learning_rate:g}; needed is a floor below the rate"
        )
    for name in ("ic_encoder_size", "controller_encoder_size", "controller_size", "generator_size"):
        if (size := getattr(model, name)) > _LARGEST_HIDDEN_SIZE:
            yield (
                f"model.{name} is {size}; its recurrent weights alone would take "
                f"{3 * size**2 * 4 / 2**30:.3g} GiB; needed is at most {_LARGEST_HIDDEN_SIZE}"
            )
    yield from unknown_parts(settings)
    yield from _conflicts_of_augmentation(settings)
    yield from _conflicts_of_inputs(settings)
    factor = settings.search.halving_factor
    if factor & (factor - 1):
        yield (
            f"search.halving_factor is {factor}; needed is a power of two, such as "
            f"{1 << factor.bit_length()}: every round of halving keeps half of the members"
        )


def _conflicts_of_augmentation(settings: Settings) -> Iterator[str]:
    given, names = settings.augmentation, settings.augmentation.names
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        yield f"augmentation.order names {', '.join(repeated)} more than once; needed is once"
    rates = {
        "sample_validation": given.sample_validation_rate,
        "temporal_shift": given.temporal_shift_rate,
        "spike_jitter": given.spike_jitter_rate,
    }
    for name, rate in rates.items():
        if rate > 0.0 and name not in names:
            yield (
                f"augmentation.{name}_rate is {rate:g}, but augmentation.order is {given.order!r} "
                f"without {name}; add it there, or set the rate to 0"
            )
    if given.has_sample_validation:
        held_out_at = names.index("sample_validation")
        earlier = [name for name in _MOVING if name in names[:held_out_at]]
        if earlier:
            yield (
                f"augmentation.order has {' and '.join(earlier)} before sample_validation, so what "
                "is held out would move into what trains; needed is sample_validation first"
            )


def _conflicts_of_inputs(settings: Settings) -> Iterator[str]:
    model, parts = settings.model, {"generator", "controller", "encoders"}
    asked = {
        "external_inputs_to": (model.external_destinations, parts),
        "trial_inputs_to": (model.trial_destinations, parts | {"initial_condition"}),
    }
    for name, (found, known) in asked.items():
        unknown = sorted(found - known)
        if unknown:
            yield (
                f"model.{name} names {', '.join(unknown)}; needed are any of "
                f"{', '.join(sorted(known))}, parted by commas, or none"
            )
        if "controller" in found and model.n_inferred_inputs == 0:
            yield (
                f"model.{name} names the controller, and model.n_inferred_inputs is 0, so there is "
                "none; needed is another part, or an inferred input"
            )


def _impossible(settings: Settings, sizes: DataSizes) -> Iterator[str]:
    model, split = settings.model, settings.split
    if sizes.n_trials_train < 1:
        yield "no trial is left for training; lower split.valid_fraction or split.test_fraction"
    if sizes.n_trials_valid < 1:
        yield (
            "no trial is left for validation, without which no epoch can be chosen; "
            "raise split.valid_fraction or give a split with validation trials"
        )
    if sizes.n_encoded_units < 1:
        yield (
            f"all {sizes.n_units} units are held out, so the encoder sees nothing; "
            "lower split.held_out_fraction"
        )
    if sizes.n_encoded_bins < 1 or split.n_forward_bins >= sizes.n_bins:
        yield (
            f"split.n_forward_bins is {split.n_forward_bins} and the recording has {sizes.n_bins} "
            "bins, so the encoder sees nothing; leave it at least one bin"
        )
    elif model.ic_bins >= sizes.n_encoded_bins:
        yield (
            f"model.ic_bins is {model.ic_bins} and the encoder sees "
            f"{counted(sizes.n_encoded_bins, 'bin')}; "
            f"needed is at most {sizes.n_encoded_bins - 1}, or 0 to use them all"
        )
    shortest = sizes.shortest_trial_bins
    if shortest is not None and shortest <= model.ic_bins:
        yield (
            f"model.ic_bins is {model.ic_bins} and the shortest trial has "
            f"{counted(shortest, 'bin')}, so "
            "nothing of it would be generated; lower it, or leave such trials out"
        )
    if shortest is not None and sizes.n_encoded_bins < sizes.n_bins:
        yield (
            f"the last {sizes.n_bins - sizes.n_encoded_bins} of {sizes.n_bins} bins are to be "
            f"predicted only, but trials end at different bins (the shortest has {shortest}); "
            "set split.n_forward_bins to 0, or cut trials of one length"
        )
    if settings.training.score_entries == "held_out" and sizes.n_encoded_units == sizes.n_units:
        yield (
            "training.score_entries is held_out, but no unit is held out; set "
            "split.held_out_fraction, or score all or encoded entries"
        )
    if sizes.present_share <= 0.0:
        yield "every entry of the training trials is missing (NaN); nothing can be learned"


def _warnings_of_data(settings: Settings, sizes: DataSizes) -> Iterator[str]:
    model, training = settings.model, settings.training
    n_read_bins = sizes.n_encoded_bins - model.ic_bins
    if model.n_inferred_inputs > 0 and model.controller_lag_bins >= n_read_bins:
        yield (
            f"model.controller_lag_bins is {model.controller_lag_bins} and the controller's "
            f"encoder reads {counted(n_read_bins, 'bin')}: the controller sees nothing of "
            "the data. Lower the lag, or set model.n_inferred_inputs to 0"
        )
    if training.batch_size > sizes.n_trials_train:
        yield (
            f"training.batch_size is {training.batch_size} and {_train(sizes.n_trials_train)}: "
            "each epoch is a single step on all of them"
        )
    # Of a preset that was chosen for these units there is nothing to do differently.
    is_asked = bool({"model.n_factors", "run.preset"} & set(settings.chosen))
    if model.n_factors > sizes.n_units and (is_asked or not _has_factors_of_preset(settings)):
        yield (
            f"model.n_factors is {model.n_factors} and the recording has "
            f"{counted(sizes.n_units, 'unit')}: "
            "the factors need not be a summary of them. Fewer factors are easier to read"
        )
    hidden = settings.augmentation.coordinated_dropout_rate
    n_encoded_entries = sizes.n_encoded_units * sizes.n_encoded_bins
    if hidden * n_encoded_entries < 1.0 and hidden > 0.0:
        yield (
            f"augmentation.coordinated_dropout_rate is {hidden:g} and a trial has "
            f"{n_encoded_entries} encoded entries: many steps hide none of a trial and give it no "
            "gradient. Raise the rate, or set it to 0"
        )


def _train(n_trials: int) -> str:
    return "one trial trains" if n_trials == 1 else f"{n_trials} trials train"


def _has_factors_of_preset(settings: Settings) -> bool:
    return preset_values(settings.run.preset).get("model.n_factors") == settings.model.n_factors


def _warnings_of_ramps(settings: Settings, sizes: DataSizes) -> Iterator[str]:
    training = settings.training
    full = epochs_until_full_weight(settings, sizes)
    if full > training.epochs:
        yield (
            f"the ramps reach full weight in {full} epochs and training.epochs is {training.epochs}"
            ": no epoch counts as best under full regularisation. Raise training.epochs, or lower "
            "loss.kl_ramp_increase and loss.l2_ramp_increase"
        )
    elif training.patience and _earliest_end(training, full) >= training.epochs:
        yield (
            f"training.patience {training.patience} ends a fit after "
            f"{_earliest_end(training, full)} epochs at the earliest (both ramps are over after "
            f"{full}); with training.epochs {training.epochs} the fit never ends early"
        )


def _earliest_end(training: TrainingSettings, full: int) -> int:
    """Epochs of a fit whose first epoch that can be the best is the best; see `training.loop`."""
    if training.best_from == "ramps":
        return full + training.patience
    return max(full, 1 + training.patience)


def _warnings_of_scales(settings: Settings, sizes: DataSizes) -> Iterator[str]:
    loss, strength = settings.loss, betas(settings, sizes)
    if loss.reconstruction == "sum" and loss.kl_scale_unit == "published":
        yield (
            "loss.kl_scale_unit is published, which belongs beside a mean reconstruction, and "
            "loss.reconstruction is sum: the scales act as beta "
            f"({strength.initial_condition:.3g} for the initial condition, {strength.inputs:.3g} "
            "for the inputs). Set loss.kl_scale_unit to beta if that is meant"
        )
    named = {"initial_condition": strength.initial_condition, "input": strength.inputs}
    for name, beta in named.items():
        if beta > _STRONGEST_USUAL_BETA:
            yield (
                f"loss.kl_{name}_scale amounts to beta {beta:.3g} on this recording, above the "
                f"usual {_STRONGEST_USUAL_BETA:g}: the posterior may fall back onto the prior"
            )
