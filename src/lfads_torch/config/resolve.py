"""Settings fitted to a recording: auto's preset, ramps long enough, divergences that carry over.

What the user chose is never changed. A setting counts as chosen where its name is in
`Settings.chosen`, or where its value is neither the default nor the preset's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from lfads_torch.config.preset_choice import (
    AUTO,
    FIXED_RAMPS,
    choose_preset,
    preset_values,
)
from lfads_torch.config.scales import entries_per_trial
from lfads_torch.config.sizes import DataSizes
from lfads_torch.config.tree import Settings, flatten
from lfads_torch.counted import counted

__all__ = ["Resolution", "resolve"]

_LEAST_RAMP_STEPS = 500
_MAZE_ENTRIES = 100 * 162  # bins * units of the recording that the presets' scales were set on
_FAR_FROM_MAZE = 4.0


@dataclass(frozen=True)
class Resolution:
    """Settings as the run will use and store them, and what was adapted, one line each."""

    settings: Settings
    notes: tuple[str, ...] = ()

    def adapted(self, values: Mapping[str, object], note: str) -> Resolution:
        """With these values, which are a preset's or derived from checked ones, and why."""
        settings = self.settings
        for name, value in values.items():
            section, _, key = name.partition(".")
            part = replace(getattr(settings, section), **{key: value})
            settings = replace(settings, **{section: part})
        return Resolution(settings, (*self.notes, note))


def resolve(settings: Settings, sizes: DataSizes) -> Resolution:
    """Fit the settings to the sizes of a recording; resolving the result again changes nothing."""
    result = _with_preset(Resolution(settings), sizes)
    for name in ("loss.kl_ramp_increase", "loss.l2_ramp_increase"):
        result = _with_ramp(result, sizes, name)
    return _with_divergences(result, sizes)


def _with_preset(so_far: Resolution, sizes: DataSizes) -> Resolution:
    settings = so_far.settings
    if settings.run.preset != AUTO:
        return so_far
    name = choose_preset(sizes)
    values = {key: value for key, value in preset_values(name).items() if _is_left(settings, key)}
    return so_far.adapted(
        {**values, "run.preset": name},
        f"preset {name}, for {counted(sizes.n_trials_train, 'training trial')} and "
        f"{counted(sizes.n_units, 'unit')}",
    )


def _with_ramp(so_far: Resolution, sizes: DataSizes, name: str) -> Resolution:
    """A ramp of 500 steps or more (the demo's stays short), yet of half the training at most."""
    settings = so_far.settings
    steps_per_epoch = sizes.steps_per_epoch(settings.training.batch_size)
    is_in_epochs = settings.loss.ramp_unit == "epochs"
    least = -(-_LEAST_RAMP_STEPS // steps_per_epoch) if is_in_epochs else _LEAST_RAMP_STEPS
    n_training = settings.training.epochs * (1 if is_in_epochs else steps_per_epoch)
    before = int(flatten(settings)[name])
    if settings.run.preset in FIXED_RAMPS:
        least = before
    after = min(max(before, least), max(1, n_training // 2))
    if after == before or not _is_left(settings, name):
        return so_far
    return so_far.adapted(
        {name: after},
        f"{name} {after} {settings.loss.ramp_unit} instead of {before}: at least "
        f"{_LEAST_RAMP_STEPS} steps, at most half of the training",
    )


def _with_divergences(so_far: Resolution, sizes: DataSizes) -> Resolution:
    """The preset's scales as the beta that they are on the maze, where the recording is unlike it.

    Beside a mean reconstruction a published scale weighs in proportion to bins * units.
    """
    settings, loss = so_far.settings, so_far.settings.loss
    entries = entries_per_trial(settings, sizes)
    is_near = _MAZE_ENTRIES / _FAR_FROM_MAZE <= entries <= _MAZE_ENTRIES * _FAR_FROM_MAZE
    names = ("loss.kl_initial_condition_scale", "loss.kl_input_scale", "loss.kl_scale_unit")
    if not settings.model.variational:
        return so_far
    if loss.kl_scale_unit == "beta" or not all(_is_left(settings, name) for name in names):
        return so_far
    if is_near and loss.reconstruction == "mean":
        return so_far
    # Six digits, so that 1e-5 becomes 0.162 and not 0.16200000000000003.
    scales = {
        name: float(f"{float(flatten(settings)[name]) * _MAZE_ENTRIES:.6g}") for name in names[:2]
    }
    reason = (
        "the reconstruction is a sum"
        if is_near
        else f"bins * units is {entries:.0f}, far from the {_MAZE_ENTRIES} of the maze recording"
    )
    told = ", ".join(f"{name} {value:g}" for name, value in scales.items())
    return so_far.adapted(
        {**scales, "loss.kl_scale_unit": "beta"},
        f"{reason}: divergences weighed in units of beta ({told})",
    )


def _is_left(settings: Settings, name: str) -> bool:
    """Whether a setting still has the value that the default or the preset in force gave it."""
    if name in settings.chosen:
        return False
    default = flatten(Settings())[name]
    return flatten(settings)[name] in (default, preset_values(settings.run.preset).get(name))
