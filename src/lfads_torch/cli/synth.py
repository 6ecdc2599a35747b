"""`lfads synth`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lfads_torch.cli.streams import aligned
from lfads_torch.counted import counted
from lfads_torch.errors import SettingsError

__all__ = ["named_values", "synth"]


def synth(
    name: Annotated[str | None, Parameter(help="the system; --list shows them")] = None,
    /,
    *,
    out: Annotated[Path | None, Parameter(help="HDF5 file to write")] = None,
    seed: Annotated[int, Parameter(help="seed of weights, initial states and spikes")] = 0,
    overwrite: Annotated[
        bool, Parameter(help="replace another synthetic recording that --out holds")
    ] = False,
    values: Annotated[
        tuple[str, ...], Parameter(name="--set", help="key=value of the system; may be repeated")
    ] = (),
    list_systems: Annotated[
        bool, Parameter(name="--list", help="show the systems and their settings")
    ] = False,
) -> None:
    """Make a synthetic recording with known rates and latents."""
    if list_systems:
        print(_listing())
        return
    if name is None or out is None:
        raise SettingsError(
            "synth needs the name of a system and a file to write, e.g. "
            "`lfads synth lorenz --out lorenz.h5`; `lfads synth --list` shows the systems."
        )
    from lfads_torch.data.formats.ours import write_recording
    from lfads_torch.data.synthetic.choose import plan_synthetic
    from lfads_torch.outputs.same_recording import require_same_synthetic
    from lfads_torch.outputs.target_file import SYNTHETIC, prepare_target

    prepare_target(out, SYNTHETIC)
    plan = plan_synthetic(name, seed, **named_values(values))
    if not overwrite:
        require_same_synthetic(out, plan.provenance())
    recording = plan.make()
    write_recording(recording, out)
    n_trials, n_bins, n_units = recording.counts.shape
    print(
        f"{out}: {counted(n_trials, 'trial')}, {counted(n_bins, 'bin')}, {counted(n_units, 'unit')}"
    )


def named_values(texts: tuple[str, ...]) -> dict[str, str]:
    """`key=value` texts by key. Raises SettingsError where one is not of that form."""
    values: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise SettingsError(f"--set {text!r}: needed is key=value, such as n_units=30.")
        values[key.strip()] = value.strip()
    return values


def _listing() -> str:
    from dataclasses import fields

    from lfads_torch.data.synthetic.choose import available_systems

    parts = []
    for name, system in available_systems().items():
        rows = [
            (
                f"  {each.name}={system.values.get(each.name, each.default)}",
                each.metadata["help"] + (f" [{unit}]" if (unit := each.metadata["unit"]) else ""),
            )
            for each in fields(system.settings)
        ]
        parts.append(f"{name}: {system.help}\n{aligned(rows)}")
    return "\n\n".join(parts)
