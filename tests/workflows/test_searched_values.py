"""Values that a search found, as settings to train with anew."""

from __future__ import annotations

import numpy as np
import pytest
from run_cases import recording, settings

from lfads_torch.config.space import SpaceChoice
from lfads_torch.errors import RunError, SettingsError
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.workflows.kept_models import kept_models
from lfads_torch.workflows.search import search_run
from lfads_torch.workflows.searched_values import values_of_best
from lfads_torch.workflows.sessions.add import AddOptions, settings_to_add_with
from lfads_torch.workflows.sessions.leave_out_source import settings_of_run


@pytest.fixture(scope="module")
def searched(tmp_path_factory) -> RunFolder:
    given = settings(
        "model.generator=member_parts:LeakyCell", "sessions.readin_size=2", "search.population=3",
        "search.generations=2", "search.generation_epochs=1", "search.stop_generations=0",
    )  # fmt: skip
    ranges = ("leak.share=0.1..0.9", "training.learning_rate=0.001..0.01")
    folder = tmp_path_factory.mktemp("searched") / "run"
    return search_run(recording(), given, folder, choice=SpaceChoice(ranges=ranges))


def test_a_session_is_added_with_the_values_of_the_member_asked_for(searched):
    models = kept_models(searched)
    for model in models:
        found = settings_to_add_with(searched, AddOptions(member=model.member))
        own = found.own.per_member()["leak.share"]
        assert np.float32(own) == model.hyperparameters["leak.share"]
        rate = model.hyperparameters["training.learning_rate"]
        assert np.float32(found.training.learning_rate) == rate
    assert len({model.hyperparameters["leak.share"] for model in models}) == len(models) == 3
    best = settings_to_add_with(searched, AddOptions())
    assert best == settings_to_add_with(searched, AddOptions(member=models[0].member))
    assert best.own == settings_of_run(searched, ()).own
    with pytest.raises(RunError, match="there is no member 9"):
        settings_to_add_with(searched, AddOptions(member=9))


@pytest.mark.parametrize(
    ("name", "stored", "expected"),
    [
        ("narrow.share", np.float32(0.1), 0.1),
        ("narrow.share", np.float32(1 / 90), 1 / 90),
        ("narrow.share", np.float32(0.07), 0.07),
        ("narrow.share", 0.07 + 1e-12, 0.07 + 1e-12),
        ("narrow.rate", np.float32(0.9), np.nextafter(0.9, 0.0)),
        ("narrow.rate", np.float32(0.7), np.nextafter(0.7, 1.0)),
    ],
)
def test_a_value_on_its_limit_is_taken_whatever_its_float32_reads_as(name, stored, expected):
    given = settings("augmentation.order=member_parts:NarrowFade")
    search = {"best": {"hyperparameters": {name: float(stored)}}}
    found = values_of_best(given, search).own.per_member()[name]
    assert found == expected
    if isinstance(stored, np.float32):
        assert np.float32(found) == stored


def test_a_value_beyond_its_limits_is_still_told():
    given = settings("augmentation.order=member_parts:NarrowFade")
    with pytest.raises(SettingsError, match=r"narrow\.share .*is 0\.2; needed is a number"):
        values_of_best(given, {"best": {"hyperparameters": {"narrow.share": 0.2}}})
