"""The presets: their names, their values, and which one suits a recording.

| preset | for |
|---|---|
| small | fewer than 200 training trials, or fewer than 50 units |
| medium | everything between |
| large | at least 1000 training trials and at least 100 units |
| demo | the synthetic system of `lfads demo` |
| maze_peer | the published settings for the maze recording, for comparison |
"""

from __future__ import annotations

from importlib.resources import files

from lfads_torch.config.nearest import nearest_word
from lfads_torch.config.sizes import DataSizes
from lfads_torch.config.yaml_text import read_mapping
from lfads_torch.errors import SettingsError

__all__ = ["AUTO", "FIXED_RAMPS", "choose_preset", "preset_names", "preset_values"]

AUTO = "auto"
# Their ramps mean what they say: the demo has no time for 500 steps, the peer's run had 80 epochs.
FIXED_RAMPS = ("demo", "maze_peer")


def preset_names() -> tuple[str, ...]:
    """Names that `run.preset` may have: auto, then one per file of the folder `presets`."""
    folder = files("lfads_torch.config") / "presets"
    stored = (entry.name for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    return (AUTO, *sorted(name.removesuffix(".yaml") for name in stored))


def preset_values(name: str) -> dict[str, object]:
    """Dotted name -> value of what a preset sets; nothing for auto, which waits for the data."""
    if name == AUTO:
        return {}
    if name not in preset_names():
        meant = nearest_word(name, preset_names())
        hint = f"; did you mean {meant}?" if meant else "."
        raise SettingsError(
            f"preset {name!r} is unknown; needed is one of {', '.join(preset_names())}{hint}"
        )
    text = (files("lfads_torch.config") / "presets" / f"{name}.yaml").read_text(encoding="utf-8")
    values: dict[str, object] = {}
    for section, part in read_mapping(text, f"preset {name}").values.items():
        if isinstance(part, dict):
            values |= {f"{section}.{key}": value for key, value in part.items()}
    return values


def choose_preset(sizes: DataSizes) -> str:
    """What auto stands for, by training trials and units.

    The bounds lie between the recordings that the three were set on: some hundred trials or some
    tens of units; the maze subset (400 training trials, 162 units); thousands of trials.
    """
    if sizes.n_trials_train < 200 or sizes.n_units < 50:
        return "small"
    if sizes.n_trials_train >= 1000 and sizes.n_units >= 100:
        return "large"
    return "medium"
