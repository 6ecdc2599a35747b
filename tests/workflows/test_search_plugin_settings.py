"""A search that moves numbers of plug-ins: chosen, copied, stored, resumed, applied, refitted."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from run_cases import Watcher, differences, recording, settings

from lfads_torch import AutoLFADS
from lfads_torch.config.space import SpaceChoice
from lfads_torch.errors import SettingsError
from lfads_torch.outputs.history_file import read_history
from lfads_torch.outputs.posterior import PosteriorOptions, posterior_averages
from lfads_torch.outputs.rates_file import open_rates
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.workflows.fit import resume_run
from lfads_torch.workflows.infer import infer_to_file
from lfads_torch.workflows.kept_models import kept_models
from lfads_torch.workflows.search import search_run
from lfads_torch.workflows.searched_values import values_of_best
from lfads_torch.workflows.stored import load_models, read_settings_of

PARTS = (
    "augmentation.order=member_parts:Fade,coordinated_dropout",
    "model.initial_condition_prior=member_parts:WidePrior",
    "model.generator=member_parts:LeakyCell",
    "fade.strength=0.2",
    "search.population=3",
    "search.generations=3",
    "search.generation_epochs=1",
    "search.stop_generations=0",
    "run.seed=5",
)
SPACE = SpaceChoice(
    ranges=("fade.strength=0.05..0.9", "wide.variance=0.01..2", "leak.share=0.05..1.0")
)
NAMES = ("fade.strength", "wide.variance", "leak.share")


def searched(folder: Path, *, stop: int | None = None) -> RunFolder:
    def after(report):
        if report.epoch == stop:
            signal.raise_signal(signal.SIGTERM)

    return search_run(recording(), settings(*PARTS), folder, choice=SPACE, observer=Watcher(after))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> RunFolder:
    return searched(tmp_path_factory.mktemp("whole") / "run")


def test_members_begin_apart_and_losers_change_what_they_copy(whole):
    rows = read_history(whole.history_path)
    for name in NAMES:
        first = [row[name] for row in rows if row["generation"] == 0]
        assert len(set(first)) == 3
        copied = [row for row in rows if row["parent"] != row["member"]]
        assert copied
        for row in copied:
            (parent,) = (
                each[name]
                for each in rows
                if each["generation"] == row["generation"] - 1 and each["member"] == row["parent"]
            )
            assert row[name] != parent
            assert row[name] == pytest.approx(parent, rel=0.85)


def test_it_resumes_bit_for_bit(whole, tmp_path):
    half = searched(tmp_path / "run", stop=2)
    assert half.read_record().status == "interrupted"
    assert differences(resume_run(half.path), whole) == []


def test_what_is_kept_is_applied_with_its_own_numbers(whole, tmp_path):
    kept = kept_models(whole)
    best = whole.read_record().search["best"]
    values = {name: kept[0].hyperparameters[name] for name in NAMES}
    assert values == {name: best["hyperparameters"][name] for name in NAMES}
    (model,) = load_models(whole, recording(), (kept[0].member,))
    own = model.assembly.task.own_values
    assert {name: float(own[name]) for name in NAMES} == pytest.approx(values)
    found = infer_to_file(whole, recording(), tmp_path / "rates.nc", is_new=False)
    with open_rates(found) as rates:
        stored = rates["rates"].values
    task, options = model.assembly.task, PosteriorOptions(n_samples=5, seed=5)

    def rates_with(own):
        trials = model.assembly.trials
        (chunk,) = posterior_averages(model.weights, model.member, own, trials, options)
        return chunk.mean_counts.numpy() / 0.01

    np.testing.assert_allclose(rates_with(task), stored, rtol=1e-5)
    other = {**own, "leak.share": own["leak.share"] * 0.5}
    assert not np.allclose(rates_with(replace(task, own_values=other)), stored, rtol=1e-3)


def test_a_refit_takes_them_from_the_winner(whole):
    best = whole.read_record().search["best"]["hyperparameters"]
    chosen = values_of_best(read_settings_of(whole), whole.read_record().search)
    own = {name: np.float32(value) for name, value in chosen.own.per_member().items()}
    assert own == {name: best[name] for name in NAMES}
    assert chosen.model.own == chosen.augmentation.own == chosen.search.own


def test_in_python(tmp_path):
    counts = np.random.default_rng(0).poisson(0.8, (11, 7, 5))
    given = dict(each.partition("=")[::2] for each in PARTS[:3])
    tiny = {
        "model.ic_encoder_size": 3, "model.controller_encoder_size": 3, "model.controller_size": 2,
        "model.generator_size": 5, "model.n_factors": 2, "model.n_inferred_inputs": 1,
        "model.initial_condition_size": 3, "loss.kl_ramp_increase": 0, "loss.l2_ramp_increase": 0,
        "inference.n_samples": 3,
    }  # fmt: skip
    small = {"population": 2, "generations": 2, "generation_epochs": 1, "threads": 1}
    model = AutoLFADS(
        settings={**tiny, **given}, space={"leak.share": "0.1..0.9"}, run_folder=tmp_path / "run",
        **small,
    ).fit(counts, bin_width_s=0.01)  # fmt: skip
    assert 0.1 <= model.best_hyperparameters_["leak.share"] <= 0.9
    again = AutoLFADS.load(tmp_path / "run")
    np.testing.assert_array_equal(again.transform(counts), model.transform(counts))
    wrong = AutoLFADS(settings={**tiny, **given}, space={"fade.n_bins": "1..3"}, **small)
    with pytest.raises(SettingsError, match="one for all members, for it may change shapes"):
        wrong.fit(counts, bin_width_s=0.01)
