"""A checkpoint of lfads-torch and its recordings to a run folder of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lfads_torch.config.yaml_text import scalar_text
from lfads_torch.errors import FormatError, SettingsError
from lfads_torch.workflows.fit import FitOptions, Observer, Prepared, prepare
from lfads_torch.workflows.from_lfads_torch.checkpoint import Checkpoint, read_checkpoint
from lfads_torch.workflows.from_lfads_torch.configuration import Configuration, read_configuration
from lfads_torch.workflows.from_lfads_torch.fitting_data import (
    data_paths,
    need_fitting,
    read_trained_on,
)
from lfads_torch.workflows.from_lfads_torch.mapped import Fate, Mapped
from lfads_torch.workflows.from_lfads_torch.mapping import map_configuration
from lfads_torch.workflows.from_lfads_torch.observed import observation_fates, observed_weights
from lfads_torch.workflows.from_lfads_torch.prior_weights import prior_fates, prior_weights
from lfads_torch.workflows.from_lfads_torch.report import names_note, option_lines
from lfads_torch.workflows.from_lfads_torch.weights import (
    CheckpointSizes,
    session_weights,
    shared_weights,
    sizes_of_checkpoint,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from lfads_torch.config.tree import Settings
    from lfads_torch.data.formats.base import ReadOptions
    from lfads_torch.data.recording import Recording
    from lfads_torch.outputs.run_folder import RunFolder

__all__ = ["ImportRequest", "import_run"]


@dataclass(frozen=True, kw_only=True)
class ImportRequest:
    """What to import and where to."""

    checkpoint: Path
    folder: Path
    data: tuple[Path, ...] = ()  # one per session; none: those that the checkpoint names
    session_names: tuple[str, ...] = ()  # one for each of `data`; none: the recordings' own
    read_options: ReadOptions | None = None
    configurations: tuple[Path, ...] = ()  # what the checkpoint does not say itself
    session: int | None = None  # one of several, from 0; None: all of them
    overrides: tuple[str, ...] = ()  # section.key=value, over what is imported
    overwrite: bool = False
    command: tuple[str, ...] = ()


def import_run(request: ImportRequest, observer: Observer) -> RunFolder:
    """A finished run with the checkpoint's weights as its one member; nothing is trained.

    Raises FormatError where the state is missing or misshapen, DataError where a recording is of
    another model.
    """
    found = read_checkpoint(request.checkpoint)
    sizes = _sizes(found, request)
    configuration = _configuration(found, request)
    mapped = _mapped(found, sizes[0], configuration)
    for text in (*configuration.notes, names_note(found)):
        if text:
            observer.message(text)
    sessions = [each.session for each in sizes]
    paths = data_paths(request.data, sessions, configuration, request.checkpoint)
    settings = _settings(mapped, request)
    recordings = [read_trained_on(path, request.read_options, configuration) for path in paths]
    recordings = _named(recordings, request.session_names)
    for recording, own in zip(recordings, sizes, strict=True):
        need_fitting(recording, own, settings, found)
    for line in option_lines(mapped):
        observer.message(line)
    prepared = prepare(recordings, settings, observer)
    return _stored(prepared, found, sizes, mapped, request, paths=paths)


def _named(recordings: list[Recording], names: tuple[str, ...]) -> list[Recording]:
    if not names:
        return recordings
    if len(names) != len(recordings):
        raise SettingsError(
            f"session_names (--session-names) gives {len(names)} names ({', '.join(names)}) for "
            f"{len(recordings)} recordings. Give one for each, in their order."
        )
    return [replace(each, session=name) for each, name in zip(recordings, names, strict=True)]


def _sizes(found: Checkpoint, request: ImportRequest) -> tuple[CheckpointSizes, ...]:
    """Of the sessions that are wanted."""
    first = sizes_of_checkpoint(found, request.session or 0)
    if request.session is not None or first.n_sessions == 1:
        return (first,)
    return tuple(sizes_of_checkpoint(found, n) for n in range(first.n_sessions))


def _configuration(found: Checkpoint, request: ImportRequest) -> Configuration:
    """Files given, and over them what the model itself was made with."""
    if not request.configurations:
        return found.configuration
    given = read_configuration(request.configurations)
    values: dict[str, Any] = dict(given.values)
    for section, own in found.configuration.values.items():
        below = values.get(section)
        values[section] = {**below, **own} if isinstance(below, Mapping) else own
    return replace(given, values=values)


def _mapped(found: Checkpoint, sizes: CheckpointSizes, configuration: Configuration) -> Mapped:
    """The options' fates; sizes are those of the tensors, whatever the options say."""
    mapped = map_configuration(configuration)
    named = {
        "model.ic_encoder_size": sizes.ic_encoder,
        "model.generator_size": sizes.generator,
        "model.n_factors": sizes.factors,
        "model.initial_condition_size": sizes.initial_condition,
        "model.n_inferred_inputs": sizes.inferred_inputs,
    }
    if sizes.has_controller:
        named |= {
            "model.controller_encoder_size": sizes.controller_encoder,
            "model.controller_size": sizes.controller,
        }
    if sizes.has_readin:
        named["sessions.readin_size"] = sizes.n_encoder_inputs
    own = Fate("state", "sizes of its tensors", named)
    return mapped.and_more([*prior_fates(found), *observation_fates(found, configuration), own])


def _settings(mapped: Mapped, request: ImportRequest) -> Settings:
    from lfads_torch.config.read import read_settings

    given = (f"{name}={scalar_text(value)}" for name, value in mapped.settings.items())
    return read_settings(overrides=(*given, "run.n_seeds=1", *request.overrides))


def _stored(
    prepared: Prepared,
    found: Checkpoint,
    sizes: Sequence[CheckpointSizes],
    mapped: Mapped,
    request: ImportRequest,
    *,
    paths: tuple[Path, ...],
) -> RunFolder:
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.description import record_of, store_description
    from lfads_torch.workflows.sessions.folder import refresh_sessions

    is_joint = len(paths) > 1
    options = FitOptions(
        data_path=None if is_joint else paths[0],
        session_paths=paths if is_joint else (),
        read_options=request.read_options,
        overwrite=request.overwrite,
        command=request.command,
        imported=_provenance(found, request, mapped),
        warnings=_warnings(found),
    )
    run = RunFolder.create(
        request.folder, record_of(prepared, options), overwrite=request.overwrite
    )
    with run.lock():
        store_description(run, prepared, options)
        _store_model(run, prepared, found, sizes)
        run.set_status("finished")
        refresh_sessions(run)
    return run


def _store_model(
    run: RunFolder, prepared: Prepared, found: Checkpoint, sizes: Sequence[CheckpointSizes]
) -> None:
    """The weights as the best and the last state of one member."""
    from lfads_torch.training.checkpoint import save_best, save_state
    from lfads_torch.workflows.assemble import assemble, start_state
    from lfads_torch.workflows.device import choose_device

    settings = prepared.settings
    assembly = assemble(prepared.recordings, settings, device=choose_device(settings.run))
    layout, state = assembly.task.layout, start_state(assembly)
    values = _values(prepared, found, sizes)
    for name, view in layout.views(state.weights).items():
        if name in values:
            view.copy_(_tensor(values[name], tuple(view.shape[1:]), name, found))
    state.best_weights = state.weights.clone()
    epoch = max(found.epoch or 0, 0)
    state.epoch, state.step = epoch + 1, found.step or 0
    state.clocks.epochs[:], state.clocks.steps[:] = state.epoch, state.step
    state.clocks.best_epoch[:] = epoch
    save_state(run.last_checkpoint_path, state, layout, seed=settings.run.seed)
    save_best(run.best_checkpoint_path, state, layout, seed=settings.run.seed)


def _values(
    prepared: Prepared, found: Checkpoint, sizes: Sequence[CheckpointSizes]
) -> dict[str, NDArray[np.float32]]:
    values = {**shared_weights(found, sizes[0]), **prior_weights(found)}
    family = prepared.settings.loss.observation
    for recording, own in zip(prepared.recordings, sizes, strict=True):
        named = session_weights(found, own, recording.session)
        values |= observed_weights(named, recording, family)
    return values


def _tensor(
    values: NDArray[np.float32], shape: tuple[int, ...], name: str, found: Checkpoint
) -> Tensor:
    import torch

    if values.shape != shape:
        raise FormatError(
            f"{found.path}: {name} would have the shape {values.shape}; the model needs {shape}. "
            "The options and the state do not belong together."
        )
    return torch.from_numpy(np.ascontiguousarray(values))


def _provenance(found: Checkpoint, request: ImportRequest, mapped: Mapped) -> dict[str, Any]:
    """What `run.json` keeps of it."""
    return {
        "from": "lfads-torch",
        "checkpoint": found.path.name,
        "session": request.session,
        "epoch": found.epoch,
        "step": found.step,
        "options": option_lines(mapped),
        "names_not_run": list(found.unknown_names[:50]),
    }


def _warnings(found: Checkpoint) -> tuple[str, ...]:
    model = found.configuration.values.get("model", {})
    told = [
        f"Imported from {found.path.name} of lfads-torch; nothing was trained here, so there is no "
        "history and no smoothed validation score."
    ]
    module = found.configuration.values.get("datamodule", {})
    if model.get("ext_input_dim") and module.get("dm_ic_enc_seq_len"):
        told.append(
            f"There, external inputs reached the generator {module['dm_ic_enc_seq_len']} bins "
            "early (they were trimmed at the start and padded at the end). Here they stay where "
            "they are, so the rates are not the same; fit anew to use them rightly."
        )
    if {"ic_prior.loc", "co_prior.loc"} & found.tensors.keys():
        told.append(
            "There, posteriors of Student-t form were sampled; here they are Gaussian. Rates of "
            "posterior means (--samples 0) are the same."
        )
    return tuple(told)
