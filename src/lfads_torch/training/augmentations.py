"""The augmentations that the settings name, in their order."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from lfads_torch.plugins import load_plugin
from lfads_torch.training.augment import Augmentation

if TYPE_CHECKING:
    from lfads_torch.training.settings import AugmentationSettings

__all__ = ["AUGMENTATIONS", "ordered_augmentations"]

_ENTRY_POINTS = "lfads_torch.augmentations"

AUGMENTATIONS: Mapping[str, str] = MappingProxyType(
    {
        "sample_validation": "lfads_torch.training.sample_validation:SampleValidation",
        "temporal_shift": "lfads_torch.training.temporal_shift:TemporalShift",
        "spike_jitter": "lfads_torch.training.spike_jitter:SpikeJitter",
        "coordinated_dropout": "lfads_torch.training.augment:CoordinatedDropout",
    }
)


def ordered_augmentations(
    settings: AugmentationSettings, first_bin: int
) -> tuple[Augmentation, ...]:
    """One object for each name in `augmentation.order`. Raises SettingsError for unknown ones."""
    return tuple(
        load_plugin(
            name, Augmentation, what="augmentation.order", ours=AUGMENTATIONS,
            entry_points=_ENTRY_POINTS,
        ).from_settings(settings, first_bin)
        for name in settings.names
    )  # fmt: skip
