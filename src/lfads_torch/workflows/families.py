"""The observation of a recording's units: from settings and the recording's own words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lfads_torch.data.unit_families import unit_families
from lfads_torch.errors import DataError, SettingsError
from lfads_torch.plugins import unnamed_file

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lfads_torch.config.tree import Settings
    from lfads_torch.data.recording import Recording
    from lfads_torch.loss.observations.base import Observation
    from lfads_torch.loss.settings import LossSettings
    from lfads_torch.workflows.model_card import ModelCard
    from lfads_torch.workflows.stored import TrainedModel

__all__ = [
    "COUNTS_UNIT", "check_families", "check_families_of_model", "counts_to_rates", "families_of",
    "is_spiking_unit", "need_same_families", "observation_for", "require_spikes",
    "unit_observations",
]  # fmt: skip

COUNTS_UNIT = "as in counts"


def families_of(recording: Recording, loss: LossSettings) -> tuple[str, ...]:
    """The family of each unit by name, in the order of the recording.

    Raises DataError where the recording names a class that only the current folder holds.
    """
    _require_named_by_user(recording)
    return unit_families(recording, loss.observation, loss.unit_observation)


def _require_named_by_user(recording: Recording) -> None:
    """A file's own words do not choose what is run in the folder where the command was started."""
    named = () if recording.observation is None else recording.observation.tolist()
    for name in dict.fromkeys(named):
        file = unnamed_file(name) if ":" in name else None
        if file is not None:
            raise DataError(
                f"{recording.session}: the recording, or the model's card, says that units are of "
                f"the family {name!r}, found only as {file}, in the folder where the command was "
                "started. A file does not choose what is run there; if you know it, name its "
                "folder (--plugin-path, or PYTHONPATH)."
            )


def observation_for(recording: Recording, loss: LossSettings) -> Observation:
    """The observation of a recording: one family, or one for each unit."""
    from lfads_torch.loss.observations.choose import observation_of

    return observation_of(families_of(recording, loss), loss)


def check_families(recording: Recording, settings: Settings) -> None:
    """Raise where values lie outside their family's support, or spikes are to be moved that are
    none.

    The check of the data finds most of it with more to say; this one asks the families
    themselves, so that it knows those of plug-ins too.
    """
    _need_support(recording, observation_for(recording, settings.loss))
    rate = settings.augmentation.spike_jitter_rate
    if rate > 0.0:
        require_spikes(
            recording,
            settings.loss,
            found=f"settings: augmentation.spike_jitter_rate is {rate:g}",
            to_do="Set the rate to 0.",
        )


def check_families_of_model(recording: Recording, card: ModelCard, loss: LossSettings) -> None:
    """Raise where values lie outside the support of the families that a model was trained with.

    The recording has the model's units in any order; positions in the message are its own.
    """
    from lfads_torch.loss.observations.choose import observation_of

    families = families_of(card.aligned(recording), loss)
    own = [families[position] for position in card.positions(recording)]
    to_do = (
        "the model was trained on such. Give the data as they were for the fit, missing entries "
        "as NaN; for other data fit a model anew."
    )
    _need_support(recording, observation_of(own, loss), to_do=to_do)


def _need_support(
    recording: Recording, observation: Observation, *, to_do: str | None = None
) -> None:
    import numpy as np
    import torch

    from lfads_torch.loss.observations.choose import check_support
    from lfads_torch.workflows.sample import n_that_fit

    step = min(64, n_that_fit(recording) or 64)
    for start in range(0, recording.n_trials, step):
        part = recording.counts[start : start + step].astype(np.float64)
        values, name = torch.as_tensor(part), recording.session
        check_support(observation, values, name, first_trial=start, to_do=to_do)


def require_spikes(recording: Recording, loss: LossSettings, *, found: str, to_do: str) -> None:
    """Raise where a unit has no spikes to jitter; the message begins and ends as given."""
    for n, family in enumerate(observation_for(recording, loss).of_units(recording.n_units)):
        if not family.is_spiking:
            raise SettingsError(
                f"{found}, and unit {recording.unit_ids[n]} of {recording.session} is of the "
                f"family {family.name}: only spikes can be moved one by one. {to_do}"
            )


def unit_observations(model: TrainedModel) -> tuple[Observation, ...]:
    """The family of each unit of a model, in the model's order."""
    return model.assembly.task.observations[0].of_units(len(model.card.unit_ids))


def is_spiking_unit(model: TrainedModel) -> NDArray[np.bool_]:
    """Which units are of a family of spike counts, [N], in the model's order."""
    import numpy as np

    return np.array([family.is_spiking for family in unit_observations(model)], dtype=np.bool_)


def counts_to_rates(model: TrainedModel, bin_width_s: float) -> NDArray[np.float64]:
    """The factor from each unit's mean per bin to what is reported, [N]: to spikes/s, or 1."""
    import numpy as np

    return np.where(is_spiking_unit(model), 1.0 / bin_width_s, 1.0)


def need_same_families(recording: Recording, families: tuple[str, ...]) -> None:
    """Raise where a recording, in the model's order of units, says other families than a model's.

    `families` are the model's; a unit of which the recording says nothing is of the model's.
    """
    own = recording.observation
    if own is None or not families:
        return
    for unit, found, needed in zip(recording.unit_ids, own.tolist(), families, strict=True):
        if found and found != needed:
            raise DataError(
                f"{recording.session}: unit {unit} is of the family {found}; the model was trained "
                f"with {needed} for it. Mend the recording's `observation`, or fit a model anew."
            )
