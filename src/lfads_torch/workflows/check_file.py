"""`lfads check`: what is wrong or unusual in a recording for the fit that is meant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lfads_torch.errors import DataError
from lfads_torch.workflows.choose_split import SplitChoice, choices_of, with_chosen_split
from lfads_torch.workflows.read_options import told_of_reading, with_settings

if TYPE_CHECKING:
    from lfads_torch.config.tree import Settings
    from lfads_torch.data.check.estimate import FitPlan
    from lfads_torch.data.check.report import CheckReport
    from lfads_torch.data.formats.base import ReadOptions
    from lfads_torch.data.recording import Recording

__all__ = ["CheckedFile", "check_file", "plan_of"]


@dataclass(frozen=True, kw_only=True)
class CheckedFile:
    """The report, and what would be adapted or is unwise in the settings of such a fit."""

    report: CheckReport
    notes: tuple[str, ...]


def check_file(
    source: Path,
    settings: Settings,
    *,
    read_options: ReadOptions | None = None,
    split: SplitChoice | None = None,
) -> CheckedFile:
    """Read, split and check as a fit would; raises only where the file cannot be read at all.

    Trials too few to be divided are a finding, not an error of this function.
    """
    from lfads_torch.config.resolve import resolve
    from lfads_torch.config.rules import check_against_data
    from lfads_torch.config.sizes import sizes_of
    from lfads_torch.data.check.check import check_recording
    from lfads_torch.data.check.context import CheckRequirements
    from lfads_torch.data.formats.choose import read_recording
    from lfads_torch.workflows.families import families_of

    (choice,) = choices_of(split or SplitChoice(), 1)
    recording = read_recording(source, options=with_settings(read_options, settings))
    notes = [told] if (told := told_of_reading(recording)) is not None else []
    recording = _split_where_possible(recording, choice, settings, notes)
    if recording.split is not None:
        sizes = sizes_of(recording)
        resolution = resolve(settings, sizes)
        settings = resolution.settings
        notes += [*resolution.notes, *check_against_data(settings, sizes)]
    families = families_of(recording, settings.loss)
    needs = CheckRequirements(
        observation=settings.loss.observation, families=families, plan=plan_of(settings)
    )
    return CheckedFile(report=check_recording(recording, needs), notes=tuple(notes))


def plan_of(settings: Settings) -> FitPlan:
    """What a fit with these settings costs, as far as they decide it."""
    import torch

    from lfads_torch.data.check.estimate import FitPlan
    from lfads_torch.kernels.choose import choose_kernels
    from lfads_torch.workflows.device import number_type

    model, training, run = settings.model, settings.training, settings.run
    dtype = number_type(run)
    # A GPU that is asked for need not be here: the fit may be meant for another machine.
    is_on_gpu = run.device == "cuda" or (run.device == "auto" and torch.cuda.is_available())
    return FitPlan(
        ic_encoder_size=model.ic_encoder_size,
        controller_encoder_size=model.controller_encoder_size,
        controller_size=model.controller_size,
        generator_size=model.generator_size,
        n_factors=model.n_factors,
        n_inferred_inputs=model.n_inferred_inputs,
        initial_condition_size=model.initial_condition_size,
        ic_bins=model.ic_bins,
        update_gate_bias=model.update_gate_bias,
        batch_size=training.batch_size,
        epochs=training.epochs,
        n_members=run.n_seeds,
        members_at_once=run.members_at_once,
        memory_bytes=run.memory_gb * 1e9 or None,
        threads=run.threads or torch.get_num_threads(),
        is_on_cpu=not is_on_gpu,
        backend="triton" if is_on_gpu else choose_kernels("auto", dtype=dtype).name,
        is_poisson=settings.loss.observation == "poisson" and not settings.loss.unit_observation,
        bytes_per_number=dtype.itemsize,
    )


def _split_where_possible(
    recording: Recording, choice: SplitChoice, settings: Settings, notes: list[str]
) -> Recording:
    try:
        return with_chosen_split(recording, choice, settings.split, notes.append)
    except DataError as error:
        if choice.path is not None:
            raise
        notes.append(str(error))
        return recording
