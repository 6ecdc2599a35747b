"""docs/formats.md names whatever the files hold."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from lfads_torch.data.check.report import CheckReport, Finding
from lfads_torch.data.formats import ours
from lfads_torch.outputs import history_file, left_out_file, run_folder, shapes_file
from lfads_torch.outputs.rates_file import RatesChunk
from lfads_torch.outputs.run_lock import LockHolder
from lfads_torch.outputs.run_record import RunRecord
from lfads_torch.training.loop import EpochReport
from lfads_torch.workflows.compare import ComparedPair, ComparedScore, Comparison
from lfads_torch.workflows.model_card import ModelCard
from lfads_torch.workflows.scores.record import Evaluation, to_json

PAGE = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
NAMED = {word for text in re.findall(r"`([^`\n]+)`", PAGE) for word in re.findall(r"[\w./]+", text)}

EVALUATION = Evaluation(
    run="run",
    member=0,
    set="test",
    session="monday",
    is_new_recording=False,
    trial_ids=np.arange(3),
    scores=(),
    beta={},
    rates_from="inferred",
    protocol={},
)


@pytest.mark.parametrize(
    "names",
    [
        [each.name for each in fields(RunRecord)],
        [each.name for each in fields(RatesChunk)],
        [each.name for each in fields(ModelCard)],
        [each.name for each in fields(LockHolder)],
        [each.name for each in fields(CheckReport)] + [each.name for each in fields(Finding)],
        ["counts", "trial_ids", "unit_ids", *ours.OPTIONAL],
        [run_folder.RECORD, run_folder.LOCK, *run_folder.OURS],
        list(EpochReport(0, 0, 0.0, (3,), {}, ("message",)).row()),
        list(history_file.COLUMNS),
        [shapes_file.SHAPES, *(each.name for each in fields(shapes_file.ShapesRecord)), "best"],
        [each.name for each in fields(shapes_file.Shape)],
        [left_out_file.LEFT_OUT, *(each.name for each in fields(left_out_file.LeftOutRecord))],
        [each.name for each in fields(left_out_file.LeftOut)],
        list(to_json(EVALUATION)),
        *(
            [each.name for each in fields(kind)]
            for kind in (Comparison, ComparedPair, ComparedScore)
        ),
    ],
)
def test_every_name_is_on_the_page(names: list[str]) -> None:
    assert len(names) > 2
    assert [name for name in names if name not in NAMED] == []
