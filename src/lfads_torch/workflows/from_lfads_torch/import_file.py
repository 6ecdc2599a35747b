"""What a file of lfads-torch is, and the import of those that are no checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lfads_torch.atomic import write_text
from lfads_torch.counted import counted
from lfads_torch.errors import FormatError

if TYPE_CHECKING:
    from lfads_torch.data.formats.base import ReadOptions

__all__ = ["checkpoint_of", "import_configuration", "import_recording", "kind_of_source"]

Kind = Literal["checkpoint", "configuration", "recording"]
_LAST = "last.ckpt"


def kind_of_source(path: Path) -> Kind:
    """By name for configurations, else by content. Raises FormatError where nothing is there."""
    from lfads_torch.data.formats.content import file_kind, need_readable_file

    if path.is_dir():
        return "checkpoint"
    need_readable_file(path)
    if path.suffix in (".yaml", ".yml"):
        return "configuration"
    if path.suffix in (".ckpt", ".pt", ".pth") or file_kind(path) in ("zip", "pickle"):
        return "checkpoint"
    return "recording"


def checkpoint_of(path: Path) -> Path:
    """The checkpoint itself; of a folder the only one in it, but for Lightning's `last.ckpt`."""
    if not path.is_dir():
        return path
    found = sorted(path.rglob("*.ckpt"))
    best = [each for each in found if each.name != _LAST] or found
    if len(best) == 1:
        return best[0]
    listed = ", ".join(str(each.relative_to(path)) for each in best[:6]) or "none"
    raise FormatError(
        f"{path}: one checkpoint (*.ckpt) is needed in this folder; found: {listed}. Name the file "
        "itself."
    )


def import_configuration(paths: Sequence[Path], target: Path) -> list[str]:
    """Write a settings file of ours, checked; the lines say what became of each option."""
    from lfads_torch.config.read import read_settings
    from lfads_torch.config.yaml_text import scalar_text
    from lfads_torch.outputs.target_file import SETTINGS, prepare_target
    from lfads_torch.workflows.from_lfads_torch.configuration import read_configuration
    from lfads_torch.workflows.from_lfads_torch.mapping import map_configuration
    from lfads_torch.workflows.from_lfads_torch.report import option_lines, settings_text

    prepare_target(target, SETTINGS, inputs=paths)
    configuration = read_configuration(paths)
    mapped = map_configuration(configuration)
    # Checked before anything is written; the file then reads back as these settings.
    read_settings(
        overrides=tuple(f"{name}={scalar_text(value)}" for name, value in mapped.settings.items())
    )
    write_text(target, settings_text(mapped, (path.name for path in paths)))
    return [*configuration.notes, *option_lines(mapped)]


def import_recording(
    source: Path, target: Path, options: ReadOptions, *, overwrite: bool = False
) -> str:
    """Write a recording of ours; a line says what it holds.

    Only with `overwrite` over what was made of another file.
    """
    from lfads_torch.data.formats.choose import read_recording
    from lfads_torch.data.formats.ours import write_recording
    from lfads_torch.data.source_file import with_source_file
    from lfads_torch.outputs.same_recording import require_same_prepared
    from lfads_torch.outputs.target_file import RECORDING, prepare_target

    prepare_target(target, RECORDING, inputs=[source])
    recording = with_source_file(read_recording(source, options=options), source)
    if not overwrite:
        require_same_prepared(target, recording.session, recording.provenance)
    write_recording(recording, target)
    split = recording.split
    n_held_out = 0 if split is None else int((~split.is_encoded).sum())
    return (
        f"{target}: {counted(recording.n_trials, 'trial')}, {counted(recording.n_bins, 'bin')} of "
        f"{1000 * recording.bin_width_s:g} ms, {counted(recording.n_units, 'unit')}, "
        f"{n_held_out} held out"
    )
