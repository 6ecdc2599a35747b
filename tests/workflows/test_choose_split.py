"""Which split a recording gets, and what is said about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from run_cases import Watcher

from lfads_torch.config.read import read_settings
from lfads_torch.data.formats.ours import write_recording
from lfads_torch.data.recording import Recording, Split
from lfads_torch.data.settings import SplitSettings
from lfads_torch.data.split_file import write_split
from lfads_torch.data.splitting import folds, split_recording
from lfads_torch.errors import DataError, SettingsError
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.workflows.choose_split import SplitChoice, with_chosen_split
from lfads_torch.workflows.fit import FitOptions
from lfads_torch.workflows.fit_file import FitRequest, train_file

SETTINGS = SplitSettings(seed=3)


@pytest.fixture
def recording() -> Recording:
    rng = np.random.Generator(np.random.Philox(1))
    return Recording(
        counts=rng.poisson(1.0, (15, 7, 4)),
        bin_width_s=0.01,
        trial_ids=np.arange(15) * 10,
        unit_ids=np.arange(4),
    )


def own_split(recording: Recording) -> Split:
    trial_set = np.where(np.arange(15) < 5, "valid", "train")
    return Split(trial_set=trial_set, is_encoded=np.ones(4, dtype=bool), n_encoded_bins=7)


def sets_of(recording: Recording) -> list[str]:
    assert recording.split is not None
    return [str(name) for name in recording.split.trial_set]


def test_without_a_split_the_settings_divide(recording: Recording) -> None:
    found = with_chosen_split(recording, SplitChoice(), SETTINGS)
    assert sets_of(found) == split_recording(recording, SETTINGS).trial_set.tolist()


def test_the_own_split_holds_unless_another_is_asked_for(recording: Recording) -> None:
    said: list[str] = []
    recording = recording.with_split(own_split(recording))
    assert with_chosen_split(recording, SplitChoice(), SETTINGS, said.append) is recording
    assert said == []
    asked = SplitChoice(asked=("--test-fraction",))
    found = with_chosen_split(recording, asked, replace(SETTINGS, test_fraction=0.2), said.append)
    assert sets_of(found).count("test") == 3
    assert len(said) == 1
    assert said[0].startswith("the file's own split is replaced, as --test-fraction asks for: its ")
    assert "its sets (0 test and 5 valid trials) are drawn anew" in said[0]


def test_a_file_holds_over_the_own_split(recording: Recording, tmp_path: Path) -> None:
    write_split(tmp_path / "split.json", own_split(recording), recording)
    bare = recording.with_split(split_recording(recording, SETTINGS))
    found = with_chosen_split(bare, SplitChoice(path=tmp_path / "split.json"), SETTINGS)
    assert sets_of(found) == own_split(recording).trial_set.tolist()


def test_of_several_recordings_the_one_meant_is_named(recording: Recording, tmp_path: Path) -> None:
    paths = tmp_path / "a.h5", tmp_path / "b.h5"
    write_recording(recording, paths[0])
    write_recording(recording.with_split(own_split(recording)), paths[1])
    request = FitRequest(
        source=paths[0], more_sources=(paths[1],), session_names=("monday", "tuesday"),
        folder=tmp_path / "run", settings=read_settings(),
        split=SplitChoice(asked=("--seed", "--held-out")),
    )  # fmt: skip
    watcher = Watcher()

    def train(recordings: Sequence[Recording], options: FitOptions) -> RunFolder:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_file(request, watcher, train=train)
    assert [each.partition(":")[2].partition(":")[0] for each in watcher.said] == [
        " the file's own split is replaced, as --seed, --held-out ask for"
    ]
    assert watcher.said[0].startswith("tuesday: ")


@pytest.mark.parametrize("fold", [0, 2])
def test_a_fold(recording: Recording, fold: int) -> None:
    found = with_chosen_split(recording, SplitChoice(n_folds=3, fold=fold), SETTINGS)
    assert sets_of(found) == folds(recording, 3, 3)[fold].trial_set.tolist()


@pytest.mark.parametrize(
    ("choice", "text"),
    [
        (SplitChoice(n_folds=3), "belong together"),
        (SplitChoice(fold=0), "belong together"),
        (SplitChoice(n_folds=3, fold=3), "0 to 2 exist"),
        (SplitChoice(n_folds=3, fold=-1), "0 to 2 exist"),
        (SplitChoice(n_folds=99, fold=1), "99 folds of 15 trials"),
        (SplitChoice(path=Path("s.json"), asked=("--held-out",)), "--held-out would draw"),
        (SplitChoice(path=Path("s.json"), n_folds=3, fold=1), r"n_folds \(--folds\) would draw"),
    ],
)
def test_what_cannot_be(recording: Recording, choice: SplitChoice, text: str) -> None:
    with pytest.raises((SettingsError, DataError), match=text):
        with_chosen_split(recording, choice, SETTINGS)
