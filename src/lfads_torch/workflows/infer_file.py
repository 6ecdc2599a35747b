"""`lfads infer`: a trained run and a data file to rates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lfads_torch.errors import SettingsError

if TYPE_CHECKING:
    from lfads_torch.data.formats.base import ReadOptions
    from lfads_torch.data.recording import Recording
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.outputs.same_recording import RatesOf
    from lfads_torch.outputs.settings import InferenceSettings

__all__ = [
    "InferRequest",
    "infer_file",
    "inferred_files",
    "merged_beside",
    "need_same_place",
    "read_as_before",
    "read_for_run",
]


@dataclass(frozen=True, kw_only=True)
class InferRequest:
    """What to infer; None: as the run does."""

    source: Path | None = None  # None: the recording that the run was trained on
    read_options: ReadOptions | None = None
    n_samples: int | None = None
    saves_generator_states: bool | None = None
    member: int | None = None
    ensemble: int | None = None
    overwrite: bool = False  # replace rates of another recording


def infer_file(run: RunFolder, request: InferRequest, target: Path) -> Path:
    """Write a rates file, and of chops a merged one; return the rates file."""
    return inferred_files(run, request, target)[0]


def inferred_files(run: RunFolder, request: InferRequest, target: Path) -> list[Path]:
    """Write a rates file. Trials that the run knows keep their sets, others are marked new.

    Of chops of a session a merged file is written beside it: rates.nc, rates_merged.nc. Returns
    every file that was written, the rates first.
    """
    from lfads_torch.outputs.target_file import MERGED, RATES, prepare_target
    from lfads_torch.workflows.infer import infer_to_file, merge_inferred
    from lfads_torch.workflows.stored import read_settings_of

    run.require("settings.yaml", "split.json", "model.json", "checkpoints/best.safetensors")
    settings = read_settings_of(run)
    inference = _inference(settings.inference, request)
    inputs = [] if request.source is None else [request.source]
    prepare_target(target, RATES, inputs=inputs)
    recording, is_new = _read(run, request)
    merges = recording.chops is not None and settings.inference.merge != "off"
    if merges:
        prepare_target(merged_beside(target), MERGED, inputs=inputs)
    if not request.overwrite:
        _need_same(run, recording, target, is_new=is_new, merges=merges)
    path = infer_to_file(
        run, recording, target, is_new=is_new, member=request.member, inference=inference
    )
    merged = merge_inferred(path, recording, settings, merged_beside(path))
    return [path] if merged is None else [path, merged]


def need_same_place(run: RunFolder, request: InferRequest, target: Path) -> None:
    """Raise OutputError, as `inferred_files` would, where `target` holds rates of something else.

    For several files: all are looked at before the first is inferred.
    """
    from lfads_torch.workflows.stored import read_settings_of

    if request.overwrite or not (target.is_file() or merged_beside(target).is_file()):
        return
    recording, is_new = _read(run, request)
    merges = recording.chops is not None and read_settings_of(run).inference.merge != "off"
    _need_same(run, recording, target, is_new=is_new, merges=merges)


def _need_same(
    run: RunFolder, recording: Recording, target: Path, *, is_new: bool, merges: bool
) -> None:
    """Raise OutputError where the rates, or the merged ones beside them, are of something else."""
    from lfads_torch.outputs.same_recording import require_own_place, require_same_rates

    of = _rates_of(run, recording, is_new=is_new)
    if target.resolve().parent == run.path.resolve():
        of = replace(of, run="")  # its own folder may have got another name since
    require_own_place(run.path, target)
    for place in (target, merged_beside(target)) if merges else (target,):
        require_same_rates(place, of)


def _read(run: RunFolder, request: InferRequest) -> tuple[Recording, bool]:
    """What to infer, and whether the run has not seen it."""
    from lfads_torch.workflows.stored import read_recording_of

    if request.source is None:
        return read_recording_of(run), False
    recording, is_new = read_for_run(run, request.source, request.read_options)
    # A file's own held-out units need not be those that the model was trained with.
    return (replace(recording, split=None) if is_new else recording), is_new


def merged_beside(rates_path: Path) -> Path:
    """Where the merged rates of a rates file of chops lie."""
    return rates_path.with_name(f"{rates_path.stem}_merged{rates_path.suffix}")


def _rates_of(run: RunFolder, recording: Recording, *, is_new: bool) -> RatesOf:
    """What the rates of this recording will say of it."""
    from lfads_torch.outputs.same_recording import RatesOf
    from lfads_torch.workflows.infer import content_of

    return RatesOf(
        session=recording.session,
        fingerprint=content_of(run, recording, is_new=is_new),
        unit_ids=[str(each) for each in recording.unit_ids.tolist()],
        run=run.path.name,
    )


def read_for_run(
    run: RunFolder, source: Path, options: ReadOptions | None = None
) -> tuple[Recording, bool]:
    """A recording read as the run's was, but for `options`; and whether the run has not seen it.

    The run's own recording, wherever it lies, gets the run's split.
    """
    from lfads_torch.data.fingerprint import fingerprint
    from lfads_torch.data.split_file import read_split

    recording = read_as_before(run, source, options)
    if fingerprint(recording) != run.read_record().data_fingerprint:
        return recording, True
    return recording.with_split(read_split(run.split_path, recording)), False


def read_as_before(run: RunFolder, source: Path, options: ReadOptions | None = None) -> Recording:
    """A recording read as the run's was, but for what `options` say.

    A field of theirs that has its default says nothing; an overlap goes with the length of the
    chops. A file that cannot be read by trial is read whole, unless `options` ask for it. Behaviour
    and condition of the run's that the file lacks are left out (`lacking_note` says so).
    """
    from lfads_torch.data.formats.base import ReadOptions
    from lfads_torch.data.formats.choose import read_recording, within_reach
    from lfads_torch.workflows.lacking_arrays import without_lacking
    from lfads_torch.workflows.stored import read_options_of

    default, before = vars(ReadOptions()), without_lacking(source, read_options_of(run), options)
    asked = {} if options is None else vars(options)
    given = {name: value for name, value in asked.items() if value != default[name]}
    if given.get("reader", before.reader) != before.reader:
        before = replace(before, reader_settings={})  # those of the run's are another one's
    if "chop_s" in given:
        given["chop_overlap_s"] = asked["chop_overlap_s"]
    if "read_by" not in given:
        before = within_reach(source, replace(before, **given))
    return read_recording(source, options=replace(before, **given))


def _inference(settings: InferenceSettings, request: InferRequest) -> InferenceSettings:
    n_samples, saves = request.n_samples, request.saves_generator_states
    n_models = request.ensemble
    if n_samples is not None and n_samples < 0:
        raise SettingsError(
            f"n_samples (--samples) is {n_samples}; a whole number of at least 0 is needed."
        )
    if n_models is not None and n_models < 1:
        raise SettingsError(
            f"ensemble (--ensemble) is {n_models}; a whole number of at least 1 is needed."
        )
    if n_models is not None and n_models > 1 and request.member is not None:
        raise SettingsError(
            f"member (--member) is {request.member}, one model, and ensemble (--ensemble) "
            f"{n_models} averages several. "
            "Leave one of them out."
        )
    return replace(
        settings,
        ensemble=settings.ensemble if n_models is None else n_models,
        n_samples=settings.n_samples if n_samples is None else n_samples,
        save_generator_states=settings.save_generator_states if saves is None else saves,
    )
