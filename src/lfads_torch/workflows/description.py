"""What a run's folder says of itself before training: record, settings, splits, cards, checks."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lfads_torch.atomic import write_text
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.outputs.run_record import RunRecord, library_versions, machine_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from lfads_torch.config.sizes import DataSizes
    from lfads_torch.config.tree import Settings
    from lfads_torch.workflows.fit import FitOptions, Prepared

__all__ = ["record_of", "store_description"]


def record_of(prepared: Prepared, options: FitOptions) -> RunRecord:
    """The record of the run as a whole."""
    from lfads_torch.data.fingerprint import fingerprint
    from lfads_torch.workflows.plugin_record import plugin_record
    from lfads_torch.workflows.sample import n_that_fit
    from lfads_torch.workflows.sessions.folder import folder_names, joint_fingerprint
    from lfads_torch.workflows.sessions.sizes import joint_sizes

    recordings, settings = prepared.recordings, prepared.settings
    sizes = joint_sizes(recordings, settings)
    prints = [fingerprint(each) for each in recordings]
    is_joint, path = len(recordings) > 1, options.data_path
    return RunRecord(
        command=options.command or tuple(sys.argv),
        seed=settings.run.seed,
        n_members=settings.run.n_seeds,
        data_path=None if path is None else str(Path(path).resolve()),
        data_fingerprint=joint_fingerprint(prints) if is_joint else prints[0],
        read_options={} if options.read_options is None else asdict(options.read_options),
        n_trials_at_once=0 if is_joint else n_that_fit(recordings[0]),
        refit=options.refit,
        added_to=options.added_to,
        imported=options.imported,
        plugins=plugin_record(settings),
        sessions=folder_names([each.session for each in recordings]) if is_joint else {},
        warnings=options.warnings,
        sizes=_whole(sizes),
        beta=_beta(settings, sizes),
        search=options.search,
        versions=library_versions(),
        machine=machine_text(),
    )


def store_description(run: RunFolder, prepared: Prepared, options: FitOptions) -> None:
    """Settings and texts of the run; split, card, check and data of each of its sessions."""
    from lfads_torch.config.tree import to_yaml

    run.write_settings(to_yaml(prepared.settings))
    for name, text in options.texts.items():
        write_text(run.path / name, text)
    if options.starts:
        _store_starts(run, options.starts)
    if len(prepared.recordings) == 1:
        _describe_recording(run, prepared, 0, is_stored=options.data_path is None)
        return
    for place in range(len(prepared.recordings)):
        own = _session_folder(run, prepared, options, place)
        _describe_recording(own, prepared, place, is_stored=not options.session_paths)


def _store_starts(run: RunFolder, starts: Mapping[str, Tensor]) -> None:
    from safetensors.torch import save_file

    from lfads_torch.atomic import atomic_path
    from lfads_torch.workflows.sessions.added_start import START

    with atomic_path(run.path / START) as part:
        save_file(dict(starts), part)


def _session_folder(
    run: RunFolder, prepared: Prepared, options: FitOptions, place: int
) -> RunFolder:
    """The folder of one session: a run of its own whose divergences weigh as in the whole."""
    from lfads_torch.config.scales import beta_of_one, published_scales
    from lfads_torch.config.sizes import sizes_of
    from lfads_torch.config.tree import to_yaml
    from lfads_torch.data.fingerprint import fingerprint
    from lfads_torch.workflows.sample import n_that_fit
    from lfads_torch.workflows.sessions.sizes import joint_sizes

    recording, settings = prepared.recordings[place], prepared.settings
    record, sizes = run.read_record(), sizes_of(recording)
    joint = joint_sizes(prepared.recordings, settings)
    scales = published_scales(settings, joint)
    loss = replace(
        settings.loss,
        kl_initial_condition_scale=scales.initial_condition,
        kl_input_scale=scales.inputs,
        kl_scale_unit="published",
    )
    own_settings = replace(settings, loss=loss)
    path = options.session_paths[place] if options.session_paths else None
    own = RunFolder.create(
        run.path / record.sessions[recording.session],
        replace(
            record,
            data_path=None if path is None else str(Path(path).resolve()),
            data_fingerprint=fingerprint(recording),
            sessions={},
            session_of=run.path.name,
            n_trials_at_once=n_that_fit(recording),
            sizes=_whole(sizes),
            beta=_beta(own_settings, sizes),
            beta_share=beta_of_one(settings, sizes) / beta_of_one(settings, joint),
        ),
        overwrite=True,
    )
    own.write_settings(to_yaml(own_settings))
    return own


def _describe_recording(run: RunFolder, prepared: Prepared, place: int, *, is_stored: bool) -> None:
    from lfads_torch.data.formats.ours import write_recording
    from lfads_torch.data.split_file import split_as_document
    from lfads_torch.workflows.families import families_of
    from lfads_torch.workflows.model_card import card_of, write_card

    recording, check = prepared.recordings[place], prepared.checks[place]
    if recording.split is not None:
        run.write_split(split_as_document(recording.split, recording))
    if check is not None:
        run.write_check(check)
    write_card(run, card_of(recording, families_of(recording, prepared.settings.loss)))
    if is_stored:
        write_recording(recording, run.path / "recording.h5")


def _whole(sizes: DataSizes) -> dict[str, int]:
    return {name: value for name, value in vars(sizes).items() if isinstance(value, int)}


def _beta(settings: Settings, sizes: DataSizes) -> dict[str, float]:
    from lfads_torch.config.scales import betas

    beta = betas(settings, sizes)
    return {"initial_condition": beta.initial_condition, "inputs": beta.inputs}
