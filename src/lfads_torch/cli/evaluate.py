"""`lfads evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from lfads_torch.cli.outcome import recorded_in
from lfads_torch.cli.reader_arguments import ReaderArguments
from lfads_torch.cli.scores_table import score_lines
from lfads_torch.cli.streams import print_json, say
from lfads_torch.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.evaluate import Evaluation, Protocol, WhichSet

__all__ = ["evaluate"]


def evaluate(
    run: Annotated[Path, Parameter(help="folder of the run")],
    file: Annotated[
        Path | None, Parameter(help="recording of the same units; without it, the run's own")
    ] = None,
    /,
    *,
    which_set: Annotated[
        Literal["train", "valid", "test", "all"] | None,
        Parameter(name="--set", help="trials to evaluate; without it test, else valid"),
    ] = None,
    json: Annotated[bool, Parameter(help="as JSON")] = False,
    lag_ms: Annotated[float, Parameter(help="behaviour follows the rates by this, ms")] = 0.0,
    masks: Annotated[int, Parameter(help="masks of the masked score")] = 5,
    bootstrap: Annotated[int, Parameter(help="draws of trials for the intervals")] = 1000,
    seed: Annotated[int, Parameter(help="seed of masks and draws")] = 0,
    rates: Annotated[
        Path | None, Parameter(help="rates file to score, instead of RUN's own")
    ] = None,
    ensemble: Annotated[
        int | None,
        Parameter(help="score the mean rates of up to this many models, as `lfads infer` does"),
    ] = None,
    reader: ReaderArguments = ReaderArguments(),  # noqa: B008 - frozen
) -> None:
    """Give every score of a run, with intervals; nothing is written but an ensemble's choice.

    Of several sessions: pooled, and of each; --session NAME is of one alone. Validation trials
    chose the best epoch: their scores are marked as used for selection. Of a folder of sessions
    left out: the scores that are stored there.
    """
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.evaluate import Protocol, to_json, to_rows
    from lfads_torch.workflows.sessions.finish import evaluate_sessions

    if _is_joint(run, file, as_json=json):
        return
    folder = RunFolder.open(run)
    protocol = Protocol(seed=seed, n_bootstrap=bootstrap, n_masks=masks, behaviour_lag_ms=lag_ms)
    if file is None and reader.session is None and folder.read_record().sessions:
        if rates is not None:
            raise SettingsError(
                f"--rates {rates} is of one recording, and {run} has several sessions. Say of "
                "which with --session NAME."
            )
        with recorded_in(folder.log_path):
            found = evaluate_sessions(
                folder, which_set=which_set, ensemble=ensemble, protocol=protocol
            )
        _show(found, folder.path.name, as_json=json)
        return
    with recorded_in(folder.log_path):
        evaluation = _of_one_recording(
            folder, file, reader, which_set=which_set, rates=rates, ensemble=ensemble,
            protocol=protocol,
        )  # fmt: skip
    if json:
        print_json(to_json(evaluation))
        return
    print(score_lines(to_rows(evaluation)))
    for note in evaluation.notes:
        say(f"note: {note}")


def _of_one_recording(
    folder: RunFolder,
    file: Path | None,
    reader: ReaderArguments,
    *,
    which_set: WhichSet | None,
    rates: Path | None,
    ensemble: int | None,
    protocol: Protocol,
) -> Evaluation:
    """Of FILE, or of the run's own recording; of several sessions, of the one that is named."""
    from lfads_torch.workflows.evaluate import evaluate_run
    from lfads_torch.workflows.finish import reported_set
    from lfads_torch.workflows.infer_file import read_for_run
    from lfads_torch.workflows.lacking_arrays import lacking_note
    from lfads_torch.workflows.sessions.choose import run_of_file, run_of_session

    read = reader.read_options()
    if file is not None:
        folder = run_of_file(folder, file, read)
    elif folder.read_record().sessions:
        folder = run_of_session(folder, reader.session)
    folder.require("settings.yaml", "split.json", "model.json", "checkpoints/best.safetensors")
    recording, is_new = None, False
    if file is not None:
        if note := lacking_note(folder, file, read):
            say(f"note: {note}")
        recording, is_new = read_for_run(folder, file, read)
    has_sets = not is_new or (recording is not None and recording.split is not None)
    default: WhichSet = reported_set(folder) if not is_new else "test" if has_sets else "all"
    return evaluate_run(
        folder,
        which_set=which_set or default,
        recording=recording,
        rates_path=rates,
        ensemble=ensemble,
        protocol=protocol,
    )


def _is_joint(run: Path, file: Path | None, *, as_json: bool) -> bool:
    """Whether the folder is one of sessions left out; then its stored scores are printed.

    Raises SettingsError for the folder of a search over shapes, whose best run has scores.
    """
    from lfads_torch.cli.joint_folder import joint_record, joint_scores
    from lfads_torch.outputs.left_out_file import LEFT_OUT, LeftOutRecord

    record = joint_record(run)
    if record is None:
        return False
    if not isinstance(record, LeftOutRecord):
        best = run / (record.best or record.shapes[0].folder)
        raise SettingsError(
            f"{run}: holds a search over shapes, each a run of its own; `lfads status {run}` has "
            f"the table. Name one of them, such as {best}."
        )
    if file is not None:
        raise SettingsError(
            f"{run}: holds models that leave sessions out; name the run to apply to {file}, such "
            f"as {run / next(iter(record.sessions[0].runs.values()))}."
        )
    if as_json:
        print_json(record)
        return True
    text = joint_scores(record)
    if not text:
        raise SettingsError(
            f"{run}: no session that was left out has a score yet; `lfads status {run}` says how "
            "they stand."
        )
    print(text)
    say(f"note: the scores are those stored in {run / LEFT_OUT}, of the sets named there")
    return True


def _show(found: Mapping[str, Evaluation], run_name: str, *, as_json: bool) -> None:
    """Of several sessions: pooled, then each."""
    from lfads_torch.analysis.report_scores import score_rows
    from lfads_torch.workflows.evaluate import to_rows
    from lfads_torch.workflows.sessions.scores import sessions_as_json

    content = sessions_as_json(found, run_name)
    if as_json:
        print_json(content)
        return
    print(f"all sessions:\n{score_lines(score_rows(content))}")
    for name, evaluation in found.items():
        print(f"\n{name}:\n{score_lines(to_rows(evaluation))}")
        for note in evaluation.notes:
            say(f"note: {name}: {note}")
