"""A configuration of lfads-torch to settings of ours, with the fate of every option."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lfads_torch.errors import SettingsError
from lfads_torch.workflows.from_lfads_torch.configuration import Configuration, class_name
from lfads_torch.workflows.from_lfads_torch.mapped import Fate, Mapped
from lfads_torch.workflows.from_lfads_torch.options import OPTIONS, Option
from lfads_torch.workflows.from_lfads_torch.parts import fates_of_part

__all__ = ["map_configuration"]

# What these do is decided here, or by options beside them; they have arguments of their own.
_SKIPPED = ("_target_", "_convert_", "_recursive_", "_partial_", "_args_")
_OBJECTS = (
    "model.train_aug_stack", "model.infer_aug_stack", "model.reconstruction", "model.readin",
    "model.readout", "model.co_prior", "model.ic_prior",
)  # fmt: skip
_DECAY = ("lr_decay", "lr_patience", "lr_stop")
_SECTIONS = ("model", "datamodule", "trainer", "callbacks", "logger", "posterior_sampling")


def map_configuration(configuration: Configuration) -> Mapped:
    """Every option with the settings it becomes, or with what happens instead.

    Raises SettingsError where a value is of the wrong kind.
    """
    values = configuration.values
    fates = [fate for name, value in values.items() for fate in _section(name, value)]
    return Mapped(tuple(fates)).and_more(_whole_model(values.get("model")))


def _section(name: str, value: Any) -> Iterable[Fate]:
    if name not in _SECTIONS:
        yield from _option(name, value)
    elif isinstance(value, Mapping):
        off = _DECAY if value.get("lr_scheduler") is False else ()
        for key, each in value.items():
            if key not in _SKIPPED:
                yield from _option(f"{name}.{key}", each, is_off=key in off)


def _option(name: str, value: Any, *, is_off: bool = False) -> Iterable[Fate]:
    """One option, or the options below it; `is_off`: another option leaves it without effect."""
    option = OPTIONS.get(name)
    if option is not None:
        yield Fate(name, value, note=option.note) if is_off else _fate(name, value, option)
    elif name in _OBJECTS:
        yield from fates_of_part(name, value)
    elif name.startswith(("callbacks.", "logger.", "posterior_sampling.")):
        yield from _below(name, value)
    else:
        yield Fate(name, value, note="not known here; it has no effect")


def _below(name: str, value: Any) -> Iterable[Fate]:
    """A callback, logger or function: what it is, and those of its arguments that matter here."""
    if not isinstance(value, Mapping):
        yield Fate(name, value, note="not known here; it has no effect")
        return
    if class_name(value) is not None:
        yield from fates_of_part(name, value)
    for key, each in value.items():
        option = OPTIONS.get(f"{name}.{key}")
        if option is not None:
            yield _fate(f"{name}.{key}", each, option)
        elif class_name(each) is not None:
            yield from _below(f"{name}.{key}", each)


def _fate(name: str, value: Any, option: Option) -> Fate:
    try:
        settings = option.settings(value)
    except (TypeError, ValueError) as error:
        raise SettingsError(
            f"{name} is {value!r}, which cannot become {option.setting} ({error}). Correct it in "
            "the configuration, or leave it out."
        ) from error
    return Fate(name, value, settings, "" if settings else option.note or "no setting is needed")


def _whole_model(model: Any) -> Iterable[Fate]:
    """What follows from several options together."""
    if not isinstance(model, Mapping):
        return
    sizes = [model.get(name) for name in ("ci_enc_dim", "con_dim", "co_dim")]
    if any(size == 0 for size in sizes):
        yield Fate("model.co_dim", model.get("co_dim"), {"model.n_inferred_inputs": 0},
                   "no controller")  # fmt: skip
    if model.get("ic_enc_seq_len"):
        yield Fate(
            "model.ic_enc_seq_len", model["ic_enc_seq_len"],
            {"model.generate_initial_segment": True},
            "there, the bins of the initial segment are generated too",
        )  # fmt: skip
