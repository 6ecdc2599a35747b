"""Ensembles: mean rates of models chosen on validation trials, everything else of the best."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray
from chosen_ensembles import with_choice
from run_cases import Watcher, recording, settings
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lfads_torch.data.fingerprint import fingerprint
from lfads_torch.errors import RunError, SettingsError
from lfads_torch.outputs.ensemble_file import read_ensemble
from lfads_torch.outputs.rates_file import open_rates
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.outputs.settings import InferenceSettings
from lfads_torch.workflows.choose_ensemble import candidates_of, chosen_models
from lfads_torch.workflows.ensemble import ensemble_note, load_ensemble
from lfads_torch.workflows.finish import finish_run
from lfads_torch.workflows.fit import fit_run
from lfads_torch.workflows.infer import infer_to_file
from lfads_torch.workflows.infer_file import InferRequest, infer_file
from lfads_torch.workflows.kept_models import every_model, kept_models
from lfads_torch.workflows.search import search_run
from lfads_torch.workflows.stored import members_of

THREE = InferenceSettings(n_samples=5, ensemble=3)
TWO = InferenceSettings(n_samples=5, ensemble=2)
ONE = InferenceSettings(n_samples=5)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("ensemble") / "run"
    return fit_run(recording(), settings("run.n_seeds=3", "model.ic_bins=2"), folder)


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory) -> RunFolder:
    """The same, where all three were chosen, in the order of their scores."""
    return with_choice(trained, tmp_path_factory.mktemp("chosen") / "run", slice(None))


def inferred(run, folder: Path, inference=None, **options) -> xarray.Dataset:
    target = infer_to_file(
        run, recording(), folder / "rates.nc", is_new=False, inference=inference, **options
    )
    with open_rates(target) as rates:
        return rates.load()


@pytest.fixture(scope="module")
def alone(run, tmp_path_factory) -> dict[int, xarray.Dataset]:
    folder = tmp_path_factory.mktemp("alone")
    return {member: inferred(run, folder, ONE, member=member) for member in (0, 1, 2)}


def ranked(run: RunFolder) -> list[int]:
    return [each.member for each in kept_models(run)]


# --- the rates file ---


def test_rates_are_the_mean_over_the_members_and_their_spread_is_told(run, alone, tmp_path):
    found = inferred(run, tmp_path, THREE)
    members = np.stack([alone[member]["rates"].values.astype(np.float64) for member in (0, 1, 2)])
    np.testing.assert_allclose(found["rates"], members.mean(0), rtol=1e-6)
    np.testing.assert_allclose(found["rate_member_std"], members.std(0), rtol=1e-4, atol=1e-4)
    assert found["rate_member_std"].dims == ("trial", "time", "unit")
    assert found["rate_member_std"].attrs["units"] == "spikes/s"
    assert found.attrs["ensemble_members"].tolist() == ranked(run)


def test_everything_else_is_of_the_best_member(run, alone, tmp_path):
    found, best = inferred(run, tmp_path, THREE), ranked(run)[0]
    assert found.attrs["member"] == best
    others = set(found.data_vars) - {"rates", "rate_member_std"}
    assert {"factors", "rate_posterior_std", "inferred_input_mean"} <= others
    for name in others:
        np.testing.assert_array_equal(found[name], alone[best][name], err_msg=name)
    assert "Of the best member alone" in found["rate_posterior_std"].attrs["comment"]
    assert "Of the best" not in alone[best]["rate_posterior_std"].attrs["comment"]


def test_the_best_are_taken_by_their_scores(run, alone, tmp_path):
    scores = np.array([each.score for each in kept_models(run)])
    assert (np.diff(scores) >= 0).all()
    first, second, _ = ranked(run)
    found = inferred(run, tmp_path, TWO)
    assert found.attrs["ensemble_members"].tolist() == [first, second]
    mean = (alone[first]["rates"] + alone[second]["rates"]) / 2
    np.testing.assert_allclose(found["rates"], mean, rtol=1e-6)


def test_one_model_is_no_ensemble(run, alone, tmp_path):
    found = inferred(run, tmp_path, ONE)
    for name in found.data_vars:
        np.testing.assert_array_equal(found[name], alone[ranked(run)[0]][name], err_msg=name)
    assert "rate_member_std" not in found
    assert "ensemble_members" not in found.attrs


@pytest.mark.parametrize("batch_size", [1, 5])
def test_chunks_change_nothing(run, tmp_path, batch_size):
    found = inferred(run, tmp_path, replace(THREE, batch_size=batch_size))
    whole = inferred(run, tmp_path, THREE)
    for name in ("rates", "rate_member_std", "factors"):
        np.testing.assert_allclose(found[name], whole[name], rtol=2e-4, atol=2e-4, err_msg=name)


def test_a_member_asked_for_is_alone(run, alone, tmp_path):
    found = inferred(run, tmp_path, THREE, member=2)
    np.testing.assert_array_equal(found["rates"], alone[2]["rates"])
    with pytest.raises(
        SettingsError, match=r"--member\) is 1, one model, and ensemble \(--ensemble\) 2 aver"
    ):
        infer_file(run, InferRequest(member=1, ensemble=2), tmp_path / "none.nc")
    with pytest.raises(
        SettingsError, match=r"ensemble \(--ensemble\) is 0; a whole number of at least 1"
    ):
        infer_file(run, InferRequest(ensemble=0), tmp_path / "none.nc")


def test_more_than_there_are_takes_what_there_is_and_says_so(run, tmp_path):
    found = inferred(run, tmp_path, replace(THREE, ensemble=7))
    assert found.attrs["ensemble_members"].tolist() == ranked(run)
    listed = ", ".join(map(str, ranked(run)))
    assert ensemble_note(run, 1) is None
    assert ensemble_note(run, 7) == (
        f"an ensemble of up to 7 models was asked for: members {listed} are averaged, of 3 that "
        "run keeps; no other improves the likelihood of the mean rates on the 3 validation trials "
        f"(0.02 nats per entry better there than member {ranked(run)[0]} alone)"
    )
    two = ", ".join(map(str, ranked(run)[:2]))
    assert f"members {two} are averaged, of 3 that run keeps; one after" in ensemble_note(run, 2)


def test_where_no_other_helps_the_best_is_alone_and_that_is_said(trained, alone, tmp_path):
    one = with_choice(trained, tmp_path / "run", slice(1))
    best = ranked(one)[0]
    found = inferred(one, tmp_path, THREE)
    np.testing.assert_array_equal(found["rates"], alone[best]["rates"])
    assert "ensemble_members" not in found.attrs
    assert "rate_member_std" not in found
    assert ensemble_note(one, 3) == (
        "an ensemble of up to 3 models was asked for: of the other 2 that run keeps, none improves "
        f"the likelihood of the rates of member {best} on the 3 validation trials, so nothing is "
        "averaged"
    )


# --- the choice ---


def test_the_choice_is_forward_selection_on_validation_trials(trained, alone, tmp_path):
    own = RunFolder(shutil.copytree(trained.path, tmp_path / "run"))
    chosen = chosen_models(own)
    is_valid = recording().split.trial_set == "valid"
    counts = recording().counts[is_valid][:, 2:].astype(float)

    def nats(members) -> float:
        rates = np.mean([alone[m]["rates"].values[is_valid].astype(float) for m in members], axis=0)
        expected = rates * recording().bin_width_s
        return float((expected - counts * np.log(expected)).mean())

    taken = [ranked(own)[0]]
    while rest := [m for m in (0, 1, 2) if m not in taken]:
        best = min(rest, key=lambda m: nats([*taken, m]))
        if nats([*taken, best]) >= nats(taken):
            break
        taken.append(best)
    assert chosen.members == tuple(taken)
    assert chosen.n_trials == is_valid.sum()
    for n, value in enumerate(chosen.nats, start=1):
        assert value == pytest.approx(nats(taken[:n]), rel=1e-5)


def test_a_choice_is_stored_and_made_again_for_other_models(trained, tmp_path):
    own = RunFolder(shutil.copytree(trained.path, tmp_path / "run"))
    chosen = chosen_models(own)
    stored = tmp_path / "run" / "ensemble.json"
    text = stored.read_text()
    # A newer recording, or none at all, is not asked for what is stored.
    (own.path / "recording.h5").rename(tmp_path / "away.h5")
    assert chosen_models(own) == chosen
    path = own.best_checkpoint_path
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    tensors["clock/best_score"][:2] = tensors["clock/best_score"][:2].flip(0)
    save_file(tensors, path, metadata)
    with pytest.raises(RunError, match="chosen by its validation trials, and they are not at hand"):
        chosen_models(own)
    assert chosen_models(own, recording()).members[0] == candidates_of(own)[0].member
    assert stored.read_text() != text


def test_test_trials_are_never_looked_at(trained, tmp_path):
    changed = recording()
    counts = changed.counts.copy()
    counts[changed.split.trial_set == "test"] = 0
    models = [RunFolder(shutil.copytree(trained.path, tmp_path / name)) for name in ("a", "b")]
    for run, given in zip(models, (recording(), replace(changed, counts=counts)), strict=True):
        (run.path / "recording.h5").unlink()
        record = run.read_record()
        run.write_record(replace(record, data_fingerprint=fingerprint(given)))
        chosen_models(run, given)
    first, second = (read_ensemble(run.path / "ensemble.json") for run in models)
    assert first == second is not None


def test_members_without_a_score_do_not_count_beside_those_with_one(run, tmp_path):
    copy = RunFolder(tmp_path / "run")
    shutil.copytree(run.path, copy.path)
    path, best = copy.best_checkpoint_path, ranked(run)[0]
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    tensors["clock/best_score"][best] = torch.nan
    save_file(tensors, path, metadata)
    models = load_ensemble(copy, recording(), n_models=3)
    assert {model.member for model in models} <= set(ranked(run)[1:])
    assert models[0].member == ranked(run)[1]
    tensors["clock/best_score"][:] = torch.inf
    save_file(tensors, path, metadata)
    (copy.path / "ensemble.json").unlink()
    with_sets = copy.read_split()
    with_sets["trials"]["train"] += with_sets["trials"].pop("valid")
    copy.write_split(with_sets | {"trials": with_sets["trials"] | {"valid": []}})
    assert [model.member for model in load_ensemble(copy, recording(), n_models=2)] == [0, 1]
    assert ensemble_note(copy, 2) == (
        "an ensemble of up to 2 models was asked for: run had no validation trials to choose by, "
        "so the first 2 of 3 are averaged: members 0, 1"
    )


# --- from Python and from the command line ---


def test_the_estimators_average_too(tmp_path):
    from lfads_torch import LFADS
    from lfads_torch.workflows.masked_score import masked_score

    both_kept = settings("run.n_seeds=2", "inference.ensemble=2")
    fitted_run = fit_run(recording(), both_kept, tmp_path / "fitted")
    run = with_choice(fitted_run, tmp_path / "run", slice(None))
    estimator, given = LFADS.load(run.path), recording()
    members = estimator.transform(given, members="all")
    rates = estimator.transform(given)
    np.testing.assert_allclose(rates, members.astype(np.float64).mean(0), rtol=1e-6)
    np.testing.assert_array_equal(estimator.infer(given)["rates"], rates)
    both = load_ensemble(run, given)
    aligned = both[0].card.aligned(given)
    assert estimator.score(given) == masked_score(both, aligned)
    assert estimator.score(given) != masked_score(both[:1], aligned)


def test_the_commands_take_a_number_of_models(run, tmp_path, capsys):
    from lfads_torch.cli.evaluate import evaluate as evaluate_command
    from lfads_torch.cli.infer import infer as infer_command

    source = RunFolder(shutil.copytree(run.path, tmp_path / "run")).path
    infer_command(source, out=tmp_path / "rates.nc", ensemble=9)
    printed = capsys.readouterr()
    assert printed.out.strip() == str(tmp_path / "rates.nc")
    assert "note: an ensemble of up to 9 models was asked for: members" in printed.err
    with open_rates(tmp_path / "rates.nc") as rates:
        assert len(rates.attrs["ensemble_members"]) == 3
    evaluate_command(source, which_set="valid", masks=2, bootstrap=20, ensemble=2)
    printed = capsys.readouterr()
    assert "ensemble gain masked bits per spike" in printed.out
    assert "rates are averaged over members" in printed.err


# --- from a search to the end ---


def test_a_search_ends_with_the_rates_of_the_chosen_models(tmp_path, monkeypatch):
    monkeypatch.setattr("lfads_torch.analysis.report.render_report", lambda *a, **k: "<p>")
    wanted = settings(
        "search.population=3", "search.generations=1", "search.generation_epochs=1",
        "search.method=random", "inference.ensemble=5",
    )  # fmt: skip
    run = search_run(recording(), wanted, tmp_path / "run")
    watcher = Watcher()
    finish_run(run, recording=recording(), observer=watcher)
    assert any("ensemble of up to 5 models was asked for" in text for text in watcher.said)
    chosen = read_ensemble(run.path / "ensemble.json")
    assert chosen is not None
    assert chosen.members[0] == run.read_record().search["best"]["member"]
    with open_rates(run.rates_path) as rates:
        averaged = np.atleast_1d(rates.attrs.get("ensemble_members", rates.attrs["member"]))
        assert averaged.tolist() == list(chosen.members)
    is_several = len(chosen.members) > 1
    assert ("ensemble_gain_masked_bits_per_spike" in run.scores_path.read_text()) == is_several


def test_members_of_a_line_that_has_won_can_be_averaged_too(tmp_path):
    wanted = settings(
        "search.population=5", "search.generations=4", "search.generation_epochs=2",
        "search.selection=truncation", "search.truncation_share=0.5", "search.stop_generations=0",
    )  # fmt: skip
    run = search_run(recording(), wanted, tmp_path / "run")
    own = [model for model in every_model(run) if not model.is_of_line]
    assert own, "no member has a best of its own: choose another seed"
    lines = kept_models(run)
    assert members_of(run) == sorted(model.member for model in lines)
    assert min(model.member for model in own) >= 5
    assert {model.member - 5 for model in own} == {model.slot for model in own}
    by_line = {model.line: model for model in lines}
    assert all(model.score >= by_line[model.line].score for model in own)
    one = inferred(run, tmp_path, ONE, member=own[0].member)
    assert one.attrs["member"] == own[0].member
    everyone = with_choice(run, tmp_path / "chosen", slice(None))
    note = ensemble_note(everyone, 10)
    assert f"{own[0].member} is slot {own[0].slot}'s own best, of line {own[0].line}" in note
