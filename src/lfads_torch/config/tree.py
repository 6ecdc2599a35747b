"""All settings in one tree of frozen records: section, then setting, named `section.setting`."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from lfads_torch.config.settings import RunSettings
from lfads_torch.config.yaml_text import scalar_text
from lfads_torch.data.settings import ChopSettings, DataSettings, SplitSettings
from lfads_torch.declare import OwnSettings, PluginSettings, setting_fields
from lfads_torch.declared import SettingValue
from lfads_torch.loss.settings import LossSettings
from lfads_torch.model.settings import ModelSettings, SessionSettings
from lfads_torch.outputs.settings import InferenceSettings
from lfads_torch.search.settings import SearchSettings
from lfads_torch.training.settings import AugmentationSettings, TrainingSettings

__all__ = ["SettingValue", "Settings", "flatten", "section_types", "to_dict", "to_yaml"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting of a run.

    `chosen` holds the dotted names that the user gave a value. Presets and whatever is adapted to
    the data leave those alone; it is no setting itself, is not stored, and does not count in `==`.
    """

    model: ModelSettings = field(default_factory=ModelSettings)
    sessions: SessionSettings = field(default_factory=SessionSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    search: SearchSettings = field(default_factory=SearchSettings)
    data: DataSettings = field(default_factory=DataSettings)
    chop: ChopSettings = field(default_factory=ChopSettings)
    split: SplitSettings = field(default_factory=SplitSettings)
    inference: InferenceSettings = field(default_factory=InferenceSettings)
    run: RunSettings = field(default_factory=RunSettings)
    chosen: frozenset[str] = field(default=frozenset(), compare=False, repr=False)

    @property
    def own(self) -> OwnSettings:
        """Settings of plug-ins; every section that can name one carries the same."""
        return self.model.own


def section_types(
    own: tuple[type[PluginSettings], ...] = (),
) -> dict[str, type[Any]]:  # Any: the sections share no base class
    """The record type of every section, in the order of the tree; then the plug-ins' `own`."""
    default = Settings()
    ours = {part.name: type(getattr(default, part.name)) for part in _sections()}
    return {**ours, **{kind.section: kind for kind in own}}


def to_dict(settings: Settings) -> dict[str, dict[str, SettingValue]]:
    """Section -> setting -> value: plain values, ready for JSON."""
    return {
        name: {each.name: getattr(record, each.name) for each in setting_fields(record)}
        for name, record in _records(settings).items()
    }


def flatten(settings: Settings) -> dict[str, SettingValue]:
    """Dotted name -> value, e.g. `{"model.n_factors": 40, ...}`."""
    return {
        f"{section}.{key}": value
        for section, values in to_dict(settings).items()
        for key, value in values.items()
    }


def to_yaml(settings: Settings) -> str:
    """The whole tree as YAML, with each setting's help beside it; reads back exactly."""
    lines: list[str] = []
    for name, record in _records(settings).items():
        lines.append(f"{name}:")
        for each in setting_fields(record):
            unit = each.metadata.get("unit")
            remark = " ".join(each.metadata["help"].split()) + (f" [{unit}]" if unit else "")
            lines.append(f"  {each.name}: {scalar_text(getattr(record, each.name))}  # {remark}")
    return "\n".join(lines) + "\n"


def _records(settings: Settings) -> dict[str, Any]:  # Any: the sections share no base class
    """Every section's record, those of plug-ins last."""
    ours = {part.name: getattr(settings, part.name) for part in _sections()}
    return {**ours, **{record.section: record for record in settings.own.records}}


def _sections() -> list[Any]:  # Any: dataclasses.Field is generic in types that differ
    return [part for part in fields(Settings) if part.name != "chosen"]
