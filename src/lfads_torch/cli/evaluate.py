"""`lfads evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from lfads_torch.cli.outcome import recorded_in
from lfads_torch.cli.reader_arguments import ReaderArguments
from lfads_torch.cli.scores_table import score_lines
from lfads_torch.cli.streams import print_json, say

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
        Parameter(help="score the mean rates of this many models of different lines"),
    ] = None,
    reader: ReaderArguments = ReaderArguments(),  # noqa: B008 - frozen
) -> None:
    """Give every score of a run, with intervals; nothing is written.

    Validation trials chose the best epoch: their scores are marked as used for selection.
    """
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.evaluate import evaluate_run, to_json, to_rows
    from lfads_torch.workflows.finish import reported_set
    from lfads_torch.workflows.infer_file import read_for_run

    folder = RunFolder.open(run)
    folder.require("settings.yaml", "split.json", "model.json", "checkpoints/best.safetensors")
    with recorded_in(folder.log_path):
        recording, is_new = None, False
        if file is not None:
            recording, is_new = read_for_run(folder, file, reader.read_options())
        has_sets = not is_new or (recording is not None and recording.split is not None)
        default = reported_set(folder) if not is_new else "test" if has_sets else "all"
        evaluation = evaluate_run(
            folder,
            which_set=which_set or default,
            recording=recording,
            seed=seed,
            n_bootstrap=bootstrap,
            n_masks=masks,
            behaviour_lag_ms=lag_ms,
            rates_path=rates,
            ensemble=ensemble,
        )
    if json:
        print_json(to_json(evaluation))
        return
    print(score_lines(to_rows(evaluation)))
    for note in evaluation.notes:
        say(f"note: {note}")
