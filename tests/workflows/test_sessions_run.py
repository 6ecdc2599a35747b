"""Runs of several sessions, from training to one more session."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from run_cases import Watcher
from safetensors.torch import load_file
from session_cases import session, sessions, tiny_settings

from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.data.formats.ours import write_recording
from lfads_torch.data.splitting import split_recording
from lfads_torch.errors import DataError, RunError, SettingsError
from lfads_torch.outputs.rates_file import open_rates
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.workflows.estimator import LFADS
from lfads_torch.workflows.finish import finish_run, missing_results
from lfads_torch.workflows.fit import fit_run, resume_run
from lfads_torch.workflows.infer_file import InferRequest
from lfads_torch.workflows.kept_models import kept_models
from lfads_torch.workflows.listener import Listener
from lfads_torch.workflows.refit import refit_run
from lfads_torch.workflows.report import report_run
from lfads_torch.workflows.sessions.add import AddOptions, add_session
from lfads_torch.workflows.sessions.added_start import regressed_starts
from lfads_torch.workflows.sessions.folder import read_recordings_of, session_runs
from lfads_torch.workflows.sessions.infer import infer_files
from lfads_torch.workflows.stored import read_settings_of

SETTINGS = ("training.epochs=2", "inference.n_samples=2", "model.n_inferred_inputs=1")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("joint") / "run"
    run = fit_run(sessions(), tiny_settings(*SETTINGS, "run.n_seeds=2"), folder)

    def page(run: RunFolder, **given: object) -> Path:  # pages of single sessions take long
        return report_run(run) if run.read_record().sessions else run.report_path.touch()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lfads_torch.workflows.report.report_run", page)
        return finish_run(run, anew=True)


@pytest.fixture(scope="module")
def added(run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("added") / "run"
    return add_session(run, session("sunday", 4, 21, seed=9), folder)


def test_every_session_has_rates_in_the_users_order(run: RunFolder) -> None:
    assert missing_results(run) == ()
    for own, recording in zip(session_runs(run), sessions(), strict=True):
        with open_rates(own.rates_path) as rates:
            assert rates["trial_id"].values.tolist() == recording.trial_ids.tolist()
            assert rates["unit_id"].values.astype(str).tolist() == recording.unit_ids.tolist()
            assert rates.attrs["session"] == recording.session
            assert (
                rates["trial_set"].values.astype(str).tolist() == recording.split.trial_set.tolist()
            )


def test_a_sessions_folder_holds_its_weights_and_no_other_sessions(run: RunFolder) -> None:
    whole = load_file(run.best_checkpoint_path)
    own = load_file(session_runs(run)[1].best_checkpoint_path)
    missing = {name for name in whole if "monday" in name or "friday" in name}
    assert set(own) == set(whole) - missing
    assert all(torch.equal(own[name], whole[name]) for name in own)


def test_scores_are_of_each_session_and_pooled(run: RunFolder) -> None:
    scores = run.read_scores()
    name = "co_smoothing_bits_per_spike"
    pooled = {each["name"]: each for each in scores["scores"]}[name]
    each = [
        {one["name"]: one for one in part["scores"]}[name] for part in scores["sessions"].values()
    ]
    assert list(scores["sessions"]) == ["monday", "tuesday", "friday"]
    assert pooled["n_trials"] == sum(one["n_trials"] for one in each)
    values = [one["value"] for one in each]
    assert min(values) <= pooled["value"] <= max(values)
    spikes = [
        recording.counts[recording.split.trials("test")][:, :, ~recording.split.is_encoded].sum()
        for recording in sessions()
    ]
    assert pooled["value"] == pytest.approx(np.average(values, weights=spikes), rel=1e-5)
    assert pooled["low"] < pooled["value"] < pooled["high"]


def test_beta_of_a_session_goes_by_its_own_entries(run: RunFolder) -> None:
    record = run.read_record()
    for own, recording in zip(session_runs(run), sessions(), strict=True):
        share = own.read_record().beta["inputs"] / record.beta["inputs"]
        assert share == pytest.approx(recording.n_units / record.sizes["n_units"])


def test_the_page_names_the_sessions_and_links_to_theirs(run: RunFolder) -> None:
    page = run.report_path.read_text("utf-8")
    assert 'href="sessions/tuesday/report.html"' in page
    assert "Alignment of the sessions" in page
    alignment = json.loads((run.path / "alignment.json").read_text("utf-8"))
    assert [each["session"] for each in alignment["sessions"]] == ["monday", "tuesday", "friday"]


def test_recordings_come_back_in_their_order_with_their_splits(run: RunFolder) -> None:
    for found, given in zip(read_recordings_of(run), sessions(), strict=True):
        assert np.array_equal(found.counts, given.counts)
        assert np.array_equal(found.split.trial_set, given.split.trial_set)


def test_the_folder_of_a_session_does_not_train_alone(run: RunFolder, tmp_path: Path) -> None:
    own = session_runs(run)[0]
    with pytest.raises(RunError, match="is one session of the run run, two folders above"):
        resume_run(own.path)
    with pytest.raises(RunError, match="is one session of the run run"):
        refit_run(own, tmp_path / "refit")


def test_rates_of_all_sessions_go_to_a_folder_and_of_one_to_a_file(
    run: RunFolder, tmp_path: Path
) -> None:
    paths = infer_files(run, InferRequest(n_samples=0), (), tmp_path / "rates")
    assert [path.name for path in paths] == ["monday.nc", "tuesday.nc", "friday.nc"]
    (one,) = infer_files(run, InferRequest(n_samples=0), (), tmp_path / "one.nc", session="tuesday")
    with open_rates(one) as alone, open_rates(paths[1]) as among:
        np.testing.assert_array_equal(alone["rates"].values, among["rates"].values)
    with pytest.raises(SettingsError, match="several recordings are written"):
        infer_files(run, InferRequest(), (), tmp_path / "all.nc")
    with pytest.raises(RunError, match="no session 'sunday'; there is monday, tuesday, friday"):
        infer_files(run, InferRequest(), (), tmp_path / "x.nc", session="sunday")


def test_a_session_that_the_run_has_not_is_refused_whatever_the_file_holds(
    run: RunFolder, tmp_path: Path
) -> None:
    write_recording(sessions()[0], tmp_path / "first.h5")
    typo = InferRequest(
        source=tmp_path / "first.h5", read_options=ReadOptions(session="mondya"), n_samples=0
    )
    for sources in ([tmp_path / "first.h5"], [tmp_path / "first.h5", tmp_path / "second.h5"]):
        with pytest.raises(RunError, match=r"'mondya'.* trained on monday, tuesday, friday"):
            infer_files(run, typo, sources, tmp_path / "rates", session="mondya")
    asked = replace(typo, read_options=ReadOptions(session="monday"))
    (path,) = infer_files(run, asked, [tmp_path / "first.h5"], tmp_path / "rates.nc")
    with open_rates(path) as rates:
        assert rates.attrs["session"] == "monday"


def test_a_stopped_run_of_sessions_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    settings = tiny_settings(
        *SETTINGS, "sessions.batches=alternating", "training.checkpoint_interval_s=0"
    )
    whole = fit_run(sessions(), settings, tmp_path / "whole")

    def stop(report: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_run(sessions(), settings, tmp_path / "stopped", observer=Watcher(stop))
    resumed = resume_run(tmp_path / "stopped")
    one, two = (load_file(each.last_checkpoint_path) for each in (whole, resumed))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_frozen_read_ins_and_read_outs_keep_their_bits(tmp_path: Path) -> None:
    frozen = ("sessions.train_readin=false", "sessions.train_readout=false")
    settings = tiny_settings(*SETTINGS, *frozen, "training.weight_decay=0.1")
    stored = load_file(fit_run(sessions(), settings, tmp_path / "run").last_checkpoint_path)
    short = tiny_settings(*SETTINGS, *frozen, "training.epochs=1")
    start = load_file(fit_run(sessions(), short, tmp_path / "one").last_checkpoint_path)
    for name in (name for name in stored if name.startswith("weights/")):
        is_frozen = name.startswith(("weights/readin.", "weights/readout."))
        assert torch.equal(stored[name], start[name]) == is_frozen, name


def test_an_added_session_leaves_every_other_weight_its_bits(
    run: RunFolder, added: RunFolder
) -> None:
    member = kept_models(run)[0].member
    before, after = load_file(run.best_checkpoint_path), load_file(added.best_checkpoint_path)
    shared = [
        name for name in after
        if name.startswith("weights/") and "sunday" not in name
    ]  # fmt: skip
    assert len(shared) > 20
    for name in shared:
        assert torch.equal(after[name][0], before[name][member]), name
    start = load_file(added.path / "checkpoints" / "start.safetensors")
    for part in ("readin.sunday.weight", "readout.sunday.weight"):
        assert not torch.allclose(after[f"weights/{part}"][0].flatten(), start[part].flatten())


def test_an_added_session_is_a_run_like_any_other(added: RunFolder) -> None:
    (path,) = infer_files(added, InferRequest(), (), added.rates_path)
    with open_rates(path) as rates:
        assert rates["rates"].shape == (21, 11, 4)
    assert added.read_record().added_to["n_trials"] is None
    with pytest.raises(RunError, match="is a session added to"):
        refit_run(added, added.path.parent / "refit")


def test_a_read_out_is_not_regressed_on_another_members_factors(
    run: RunFolder, tmp_path: Path
) -> None:
    best, other = (model.member for model in kept_models(run))
    given = (run, session("sunday", 4, 21, seed=9))
    settings = read_settings_of(run)
    for member, has_start in ((best, True), (other, False)):
        watcher = Listener(is_printing=False)
        recording = given[1].with_split(split_recording(given[1], settings.split))
        found = regressed_starts(run, recording, settings, member, watcher)
        assert ("readout.sunday.weight" in found) == has_start
        assert "readin.sunday.weight" in found
        assert any("factors of member" in text for text in watcher.messages) != has_start


def test_few_trials_are_drawn_evenly_over_conditions(run: RunFolder, tmp_path: Path) -> None:
    recording = session("sunday", 4, 33, seed=9)
    few = add_session(run, recording, tmp_path / "few", asked=AddOptions(n_trials=6))
    trials = few.read_split()["trials"]
    used = np.isin(recording.trial_ids, trials["train"])
    assert np.unique(recording.condition[used], return_counts=True)[1].tolist() == [3, 3]
    assert sorted(trials["test"]) == sorted(
        recording.trial_ids[recording.split.trial_set == "test"].tolist()
    )


def test_what_cannot_be_added_says_why(run: RunFolder, tmp_path: Path) -> None:
    new = session("sunday", 4, 21, seed=9)
    with pytest.raises(DataError, match=r"'monday' is a session of .* already"):
        add_session(run, replace(new, session="monday"), tmp_path / "a")
    with pytest.raises(DataError, match=r"sunday: start, s from the event is 0\.5; .* with 0"):
        add_session(run, replace(new, start_s=0.5), tmp_path / "b")
    with pytest.raises(DataError, match=r"sunday: trial inputs is 2; .* with 0"):
        add_session(run, replace(new, trial_inputs=np.ones((21, 2))), tmp_path / "b2")
    with pytest.raises(SettingsError, match=r"model\.n_factors is part of the model"):
        add_session(run, new, tmp_path / "c", asked=AddOptions(overrides=("model.n_factors=4",)))
    with pytest.raises(SettingsError, match=r"n_trials \(--trials\) is 99; the new session has"):
        add_session(run, new, tmp_path / "d", asked=AddOptions(n_trials=99))
    plain = fit_run(sessions()[0], tiny_settings("training.epochs=1"), tmp_path / "plain")
    with pytest.raises(RunError, match="this model has no read-in"):
        add_session(plain, new, tmp_path / "e")


def test_the_estimator_takes_a_mapping_or_a_list(tmp_path: Path) -> None:
    given = {each.session: each.counts for each in sessions()[:2]}
    labels = {each.session: each.condition for each in sessions()[:2]}
    values = {
        "model.generator_size": 5, "model.n_factors": 3, "model.ic_encoder_size": 3,
        "model.n_inferred_inputs": 0, "training.epochs": 2, "inference.n_samples": 0,
    }  # fmt: skip
    model = LFADS(bin_width_s=0.01, preset="small", settings=values, run_folder=tmp_path / "run")
    model.fit(given, condition=labels)
    assert model.sessions_ == ("monday", "tuesday")
    rates = model.transform(given)
    assert {name: value.shape for name, value in rates.items()} == {
        name: counts.shape for name, counts in given.items()
    }
    listed = LFADS.load(tmp_path / "run").transform(list(given.values()))
    np.testing.assert_array_equal(listed[1], rates["tuesday"])
    assert model.infer({"monday": given["monday"]})["monday"].attrs["session"] == "monday"
    assert np.isfinite(model.score(given))
    with pytest.raises(DataError, match="this model has the sessions monday, tuesday"):
        model.transform(given["monday"])
    with pytest.raises(DataError, match="there is no session 'sunday'"):
        model.transform({"sunday": given["monday"]})


def test_a_session_alone_says_and_gets_what_it_lacks(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    from lfads_torch.cli.report import report
    from lfads_torch.outputs.run_status import status

    copy = RunFolder(Path(shutil.copytree(run.path, tmp_path / "run")))
    own = session_runs(copy)[0]
    own.rates_path.unlink()
    own.scores_path.unlink()
    found = status(own.path)
    assert found["missing"] == ["rates.nc", "scores.json"]
    assert found["next"] == f"lfads report {own.path}"
    monkeypatch.setattr("lfads_torch.analysis.report.render_report", lambda *a, **k: "<p>")
    report(own.path)
    assert missing_results(own) == ()
    assert status(own.path)["next"] is None
