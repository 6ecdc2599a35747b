"""Sessions left out of their model in turn: runs, scores, resumption, refusals."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from run_cases import Watcher
from safetensors.torch import load_file
from session_cases import session, sessions, tiny_settings

from lfads_torch.data.formats import by_trial
from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.data.formats.ours import write_recording
from lfads_torch.errors import DataError, DivergenceError, OutputError, RunError, SettingsError
from lfads_torch.outputs.inspect import describe
from lfads_torch.outputs.left_out_file import (
    LEFT_OUT,
    LeftOutRecord,
    read_left_out,
    write_left_out,
)
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.workflows.fit import fit_run
from lfads_torch.workflows.scores.record import Score
from lfads_torch.workflows.sessions import left_out_runs
from lfads_torch.workflows.sessions.leave_out import (
    LeaveOutRequest,
    _new_record,
    _require_training_of_added,
    leave_one_out,
)
from lfads_torch.workflows.sessions.leave_out_source import request_of_run
from lfads_torch.workflows.sessions.left_out_identity import require_same
from lfads_torch.workflows.sessions.left_out_scores import _compared
from lfads_torch.workflows.stored import read_settings_of

SETTINGS = tiny_settings("training.epochs=2", "inference.n_samples=2", "run.n_seeds=1")
CO_SMOOTHING = "co_smoothing_bits_per_spike"


@contextmanager
def watching(folder: Path) -> Iterator[Watcher]:
    yield Watcher()


def request(folder: Path, **values: object) -> LeaveOutRequest:
    given = {"recordings": tuple(sessions()), "settings": SETTINGS, "folder": folder}
    return LeaveOutRequest(**{**given, **values})


def run(asked: LeaveOutRequest, said: list[str] | None = None) -> LeftOutRecord:
    return leave_one_out(asked, watching, say=([] if said is None else said).append)


@pytest.fixture(scope="module")
def joint(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return fit_run(sessions(), SETTINGS, tmp_path_factory.mktemp("joint") / "run")


@pytest.fixture(scope="module")
def done(joint: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("left_out") / "out"
    run(request_of_run(joint, folder, with_alone=True, only=("monday", "tuesday")))
    return folder


def test_every_session_is_added_to_a_model_that_has_not_seen_it(done: Path) -> None:
    record = read_left_out(done / LEFT_OUT)
    assert [each.session for each in record.sessions] == ["monday", "tuesday"]
    for each in record.sessions:
        assert each.status == "finished"
        without = RunFolder.open(done / f"without_{each.session}")
        names = {"monday", "tuesday", "friday"} - {each.session}
        assert set(without.read_record().sessions) == names
        added = RunFolder.open(done / f"added_{each.session}")
        assert added.read_record().added_to["run"] == str(without.path.resolve())
        shared, own = load_file(without.best_checkpoint_path), load_file(added.best_checkpoint_path)
        assert np.array_equal(
            shared["weights/generator.recurrent"], own["weights/generator.recurrent"]
        )


def test_a_model_alone_has_no_read_in_and_as_many_updates(done: Path) -> None:
    for each in read_left_out(done / LEFT_OUT).sessions:
        alone = RunFolder.open(done / each.runs["alone"])
        assert read_settings_of(alone).sessions.readin_size == 0
        assert not [n for n in load_file(alone.best_checkpoint_path) if "readin" in n]
        per_epoch = alone.metrics.read()[0]["step"]
        assert abs(each.updates["alone"] - each.updates["without"]) <= per_epoch / 2


def test_scores_are_of_test_trials_and_compared_on_the_same_ones(
    done: Path, joint: RunFolder
) -> None:
    record = read_left_out(done / LEFT_OUT)
    for each, recording in zip(record.sessions, sessions()[:2], strict=True):
        row = {one["name"]: one for one in each.scores}[CO_SMOOTHING]
        assert (each.set, row["set"]) == ("test", "test")
        assert row["n_trials"] == len(recording.split.trials("test"))
        stored = RunFolder.open(done / each.runs["added"]).read_scores()["scores"]
        assert row["added"] == {one["name"]: one for one in stored}[CO_SMOOTHING]["value"]
        assert row["low"] <= row["added"] <= row["high"]
        for kind in ("together", "alone"):
            pair = row[kind]
            assert pair["difference"] == pytest.approx(row["added"] - pair["value"])
            assert pair["low"] <= pair["difference"] <= pair["high"]
    pooled = {one["name"]: one for one in record.pooled}[CO_SMOOTHING]
    rows = [{one["name"]: one for one in each.scores}[CO_SMOOTHING] for each in record.sessions]
    assert pooled["n_trials"] == sum(row["n_trials"] for row in rows)
    for kind in ("together", "alone"):
        values = [row[kind]["value"] for row in rows]
        assert min(values) <= pooled[kind]["value"] <= max(values)
        difference = pooled["added"] - pooled[kind]["value"]
        assert pooled[kind]["difference"] == pytest.approx(difference)
    assert record.run == str(joint.path.resolve())
    assert not list(done.rglob("recording.h5"))  # the run's own are read
    assert describe(done / LEFT_OUT)["what"] == "leave-one-out"


def test_what_was_stopped_goes_on_and_gives_the_same_scores(
    done: Path, joint: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(done, tmp_path / "out")
    shutil.rmtree(folder / "alone_tuesday")
    expected = read_left_out(folder / LEFT_OUT)
    waiting = replace(expected.sessions[1], status="waiting", updates={}, set=None, scores=())
    record = replace(expected, sessions=(expected.sessions[0], waiting), pooled=())
    write_left_out(folder / LEFT_OUT, record)
    asked = request_of_run(joint, folder, with_alone=True, only=("monday", "tuesday"))
    with pytest.raises(RunError, match="1 of 2 are finished"):
        run(asked)
    going_on = replace(asked, resume_if_exists=True)
    with pytest.raises(RunError, match=r"begun with other training trials \(--trials\)"):
        run(replace(going_on, n_trials=2))

    whole = left_out_runs.fit_run

    def interrupted(given: object, settings: object, place: Path, **named: object) -> RunFolder:
        stopped = shutil.copytree(folder / "alone_monday", place)
        RunFolder(stopped).set_status("interrupted", reason="SIGTERM")
        (stopped / "checkpoints/last.safetensors").unlink()
        return RunFolder(stopped)

    monkeypatch.setattr(left_out_runs, "fit_run", interrupted)
    record = run(going_on)
    assert [each.status for each in record.sessions] == ["finished", "interrupted"]
    assert (record.sessions[1].reason, record.pooled) == ("SIGTERM", ())
    monkeypatch.setattr(left_out_runs, "fit_run", whole)
    before = (folder / "without_monday/metrics.jsonl").stat().st_mtime_ns
    again = run(going_on)
    assert (folder / "without_monday/metrics.jsonl").stat().st_mtime_ns == before
    assert (again.sessions, again.pooled) == (expected.sessions, expected.pooled)


def test_another_split_or_other_settings_do_not_go_on(
    done: Path, joint: RunFolder, tmp_path: Path
) -> None:
    folder = shutil.copytree(done, tmp_path / "out")
    given = {"with_alone": True, "only": ("monday", "tuesday"), "resume_if_exists": True}
    asked = request_of_run(joint, folder, **given)
    with pytest.raises(RunError, match=r"other settings \({'training.epochs': 2}, now .*: 4}"):
        run(request_of_run(joint, folder, overrides=("training.epochs=4",), **given))
    with pytest.raises(RunError, match=r"\(--set-added\) \(\[\], now \['training.epochs=1'\]"):
        run(replace(asked, added_overrides=("training.epochs=1",)))
    with pytest.raises(RunError, match=r"options for reading .*'counts': 'spikes'"):
        run(replace(asked, read_options=ReadOptions(counts="spikes")))
    first, *rest = asked.recordings
    turned = replace(first.split, trial_set=np.roll(first.split.trial_set, 1))
    with pytest.raises(RunError, match=r"other splits \(hashes\) \({'monday'"):
        run(replace(asked, recordings=(first.with_split(turned), *rest)))
    counts = first.counts.copy()
    counts[0, 0, 0] += 1
    with pytest.raises(RunError, match=r"other recordings \(fingerprints\) \({'monday': '\w{16}'}"):
        run(replace(asked, recordings=(replace(first, counts=counts), *rest)))
    # Of an earlier version, and on another device: what is finished stays.
    stored = read_left_out(folder / LEFT_OUT)
    elsewhere = replace(asked.settings, run=replace(asked.settings.run, threads=1))
    new = _new_record(replace(asked, settings=elsewhere))
    require_same(stored, new, folder)
    require_same(replace(stored, begun_with={}), new, folder)


def test_averages_that_do_not_fit_are_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_trial, "LEAST_BYTES", 1)
    given = []
    for each in sessions():
        path = tmp_path / f"{each.session}.h5"
        write_recording(each, path)
        options = ReadOptions(read_by="trial", memory_gb=1e-7)
        given.append(read_recording(path, options=options).with_split(each.split))
    asked = request(tmp_path / "out", recordings=tuple(given))
    with pytest.raises(DataError, match=r"monday: adding a session .*begin at random"):
        run(asked)
    assert not (tmp_path / "out").exists()
    # The added session's settings say how it begins, where they say it.
    random = replace(asked.settings.sessions, initialisation="random")
    first = replace(asked, settings=replace(asked.settings, sessions=random))
    _require_training_of_added(first)
    with pytest.raises(DataError, match="begin at random"):
        run(replace(first, added_overrides=("sessions.initialisation=auto",)))
    few = replace(asked, only=("monday",), n_trials=1, recordings=tuple(given[:1]))
    _require_training_of_added(few)
    with pytest.raises(DataError, match="begin at random"):
        _require_training_of_added(replace(few, n_trials=None))


def test_scores_of_other_trials_are_not_paired() -> None:
    class Never:
        value, n_trials = 1.0, 3

        def resample(self, weights: object) -> np.ndarray:
            raise AssertionError("is not reached")

    one = Score(
        name=CO_SMOOTHING, value=1.0, set="test", is_used_for_selection=False, n_trials=3,
        trial_score=Never(), trial_ids=np.arange(3),
    )  # fmt: skip
    with pytest.raises(DataError, match="of other trials than that it is compared with"):
        _compared(one, replace(one, trial_ids=np.arange(3)[::-1]))


def test_what_overwrite_has_not_reached_is_not_taken_as_new(
    done: Path, joint: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(done, tmp_path / "out")
    overrides = ("training.epochs=3",)
    asked = request_of_run(joint, folder, only=("monday",), overrides=overrides)

    def killed(*given: object, **named: object) -> RunFolder:
        raise KeyboardInterrupt

    whole = left_out_runs.fit_run
    monkeypatch.setattr(left_out_runs, "fit_run", killed)
    with pytest.raises(KeyboardInterrupt):
        run(replace(asked, overwrite=True))
    monkeypatch.setattr(left_out_runs, "fit_run", whole)
    for kind in ("without", "added", "alone"):  # of all that the old record named
        old = RunFolder.open(folder / f"{kind}_tuesday")
        assert old.read_record().status == "interrupted"
        assert not old.best_checkpoint_path.is_file()
        assert not old.metrics_path.is_file()
    record = run(replace(asked, resume_if_exists=True))
    without = RunFolder.open(folder / record.sessions[0].runs["without"])
    assert read_settings_of(without).training.epochs == 3
    assert len(without.metrics.read()) == 3


def test_few_trials_of_one_session_and_settings_of_its_training(tmp_path: Path) -> None:
    asked = request(tmp_path, only=("friday",), n_trials=3, added_overrides=("training.epochs=1",))
    said: list[str] = []
    record = run(asked, said)
    assert [each.session for each in record.sessions] == ["friday"]
    added = RunFolder.open(tmp_path / "added_friday")
    assert added.read_record().added_to["n_trials"] == 3
    assert record.sessions[0].updates["added"] == 1
    row = {one["name"]: one for one in record.sessions[0].scores}[CO_SMOOTHING]
    assert not {"together", "alone"} & row.keys()
    assert said[0] == "left out in turn: friday; runs of each: without, added"


def test_a_session_that_diverges_is_recorded_and_the_next_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    def diverging(given: object, settings: object, folder: Path, **named: object) -> RunFolder:
        begun.append(folder.name)
        raise DivergenceError("the loss is not finite")

    monkeypatch.setattr(left_out_runs, "fit_run", diverging)
    record = run(request(tmp_path, only=("monday", "friday")))
    assert begun == ["without_monday", "without_friday"]
    assert [each.status for each in record.sessions] == ["failed", "failed"]
    assert record.sessions[0].reason == "the loss is not finite"
    assert record.pooled == ()


def test_two_sessions_and_no_held_out_units_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"2 sessions \(monday, tuesday\).* takes at least 3"):
        run(request(tmp_path / "out", recordings=tuple(sessions()[:2])))
    first, *rest = sessions()
    everything = replace(first.split, is_encoded=np.ones(first.n_units, dtype=bool))
    with pytest.raises(DataError, match="monday: no unit is held out"):
        run(request(tmp_path / "out", recordings=(first.with_split(everything), *rest)))
    with pytest.raises(
        SettingsError, match=r"only \(--only\) names 'sunday'; the sessions are monday"
    ):
        run(request(tmp_path / "out", only=("sunday",)))
    with pytest.raises(DataError, match="2 recordings have the session name 'monday'"):
        run(request(tmp_path / "out", recordings=(first, first, *rest)))
    with pytest.raises(
        SettingsError, match=r"n_trials \(--trials\) is 0; monday has 14 training trials"
    ):
        run(request(tmp_path / "out", n_trials=0))
    with pytest.raises(
        SettingsError, match=r"n_trials \(--trials\) is 10; tuesday has 9 training trials"
    ):
        run(request(tmp_path / "out", n_trials=10, only=("tuesday",)))
    with pytest.raises(SettingsError, match="is part of the model that the session"):
        run(request(tmp_path / "out", added_overrides=("model.n_factors=2",)))
    with pytest.raises(SettingsError, match="epochs"):
        run(request(tmp_path / "out", added_overrides=("training.epochs=0",)))
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"holds notes\.txt"):
        run(request(tmp_path))


def test_runs_of_one_recording_or_not_finished_are_refused(
    joint: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    single = fit_run(session("sunday", 4, 9, seed=9), SETTINGS, tmp_path / "single")
    with pytest.raises(RunError, match="is a run of one recording"):
        request_of_run(single, tmp_path / "out")
    with pytest.raises(SettingsError, match=r"split\.valid_fraction says how"):
        request_of_run(joint, tmp_path / "out", overrides=("split.valid_fraction=0.3",))
    with pytest.raises(SettingsError, match=r"data\.read_by says how recordings are read"):
        request_of_run(joint, tmp_path / "out", overrides=("data.read_by=trial",))
    record = replace(joint.read_record(), status="interrupted")
    monkeypatch.setattr(RunFolder, "read_record", lambda self: record)
    with pytest.raises(RunError, match="the run is interrupted"):
        request_of_run(joint, tmp_path / "out")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": "other"}', '{"sessions": 1}'])
def test_a_damaged_record_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / LEFT_OUT
    path.write_text(text)
    with pytest.raises(RunError, match="cannot be read"):
        read_left_out(path)
    newer = json.dumps({"format": "lfads-torch leave-one-out", "format_version": 2})
    path.write_text(newer)
    with pytest.raises(ValueError, match="Update lfads-torch"):
        read_left_out(path)
