"""Every kind of mistake in settings, by its message."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lfads_torch.config.check import check_settings, replace_values, settings_from_values
from lfads_torch.config.declarations import declarations
from lfads_torch.config.nearest import nearest_setting
from lfads_torch.config.tree import Settings
from lfads_torch.errors import SettingsError
from lfads_torch.model.settings import ModelSettings

MALFORMED = [
    # wrong types
    ("model.n_factors", "abc", "is the text 'abc'; needed is a whole number, at least 1"),
    ("model.n_factors", 3.7, "is 3.7; needed is a whole number, at least 1"),
    ("model.n_factors", True, "is true; needed is a whole number, at least 1"),
    ("model.n_factors", None, "is empty; needed is a whole number, at least 1"),
    ("model.n_factors", [8], "is a list; needed is a whole number"),
    ("model.n_factors", {"a": 1}, "is a group of settings; needed is a whole number"),
    ("model.n_factors", "8", "is the text '8'; needed is a whole number, at least 1; leave out"),
    ("model.n_factors", 1 + 2j, "is a complex; needed is a whole number"),
    ("model.n_factors", math.inf, "is inf; needed is a whole number"),
    ("training.learning_rate", "fast", "is the text 'fast'; needed is a number, above 0"),
    ("training.learning_rate", True, "is true; needed is a number, above 0"),
    ("training.learning_rate", "0.1", "needed is a number, above 0; leave out the quotes"),
    ("training.learning_rate", math.nan, "is nan; needed is a number, above 0"),
    ("training.learning_rate", math.inf, "is inf; needed is a number, above 0"),
    ("inference.save_generator_states", 1, "is 1; needed is true or false"),
    ("inference.save_generator_states", "yes", "is the text 'yes'; needed is true or false"),
    ("loss.observation", 3, "is 3; needed is a text"),
    # out of range
    ("model.n_factors", 0, "is 0; needed is a whole number, at least 1"),
    ("model.n_inferred_inputs", -1, "is -1; needed is a whole number, at least 0"),
    ("training.learning_rate", 0, "is 0; needed is a number, above 0"),
    ("training.learning_rate", -1e-3, "is -0.001; needed is a number, above 0"),
    ("training.beta1", 1.0, "is 1.0; needed is a number, at least 0, below 1"),
    ("training.plateau_factor", 1.5, "is 1.5; needed is a number, above 0, at most 1"),
    ("augmentation.dropout_rate", 1, "is 1; needed is a number, at least 0, below 1"),
    ("split.valid_fraction", 0.0, "is 0.0; needed is a number, above 0, below 1"),
    ("training.epochs", 0, "is 0; needed is a whole number, at least 1 (epochs)"),
    ("run.seed", 2**32, "is 4294967296; needed is a whole number, at least 0, at most 4294967295"),
    # wrong words
    ("loss.reconstruction", "men", "one of mean, sum; did you mean mean?"),
    ("run.device", "cuda:0", "one of auto, cpu, cuda; did you mean cuda?"),
    ("run.device", "tpu0x", "is the text 'tpu0x'; needed is one of auto, cpu, cuda"),
    ("run.precision", 32, "is 32; needed is one of auto, float32, float64, bf16"),
    ("run.preset", "smal", "medium, small; did you mean small?"),
    # unknown names
    ("model.n_factor", 8, "is no setting; did you mean model.n_factors?"),
    ("loss.learning_rate", 1e-3, "is no setting; did you mean training.learning_rate?"),
    ("training.lerning_rte", 1e-3, "is no setting; did you mean training.learning_rate?"),
    ("model.dropout", 0.1, "is no setting; did you mean augmentation.dropout_rate?"),
    ("model.fac_dim", 8, "is no setting; did you mean model.n_factors?"),
    ("trainer.lr_init", 8, "trainer is no setting; did you mean the section training?"),
    ("learning_rate", 1e-3, "is no setting; did you mean training.learning_rate?"),
    (
        "run.qqqqqq",
        1,
        "is no setting; the settings of run are seed, n_seeds, members_at_once, memory_gb",
    ),
    ("zzz.seed", 1, "zzz is no setting; the sections are model, sessions, loss, augmentation"),
    ("model.n_factors.more", 1, "model.n_factors.more is no setting"),
    ("model", 5, "model is 5; needed are settings, indented below `model:`"),
    # in conflict with each other
    (
        "loss.observation",
        "my family",
        "zero_inflated_gamma, or a class of yours written as package.module:Class",
    ),
    ("loss.observation", "", "is the text ''; needed is poisson"),
    ("loss.observation", "gama", "zero_inflated_gamma, or a class of yours written as"),
    ("loss.observation", "gama", "did you mean gamma?"),
    ("loss.unit_observation", "emg*", "'emg*' does not say which units are of which family"),
    ("loss.unit_observation", "gama=emg*", "the family is the text 'gama'; needed is poisson"),
    ("model.input_prior", "studentt", "did you mean student_t?"),
    ("model.initial_condition_prior", "autoregressive", "needed is normal, student_t or laplace"),
    ("model.prior_degrees_of_freedom", 2.0, "needed is a number, above 2"),
    ("model.generator_size", 10**6, "recurrent weights alone would take 1.12e+04 GiB; needed is"),
]


@pytest.mark.parametrize(("name", "value", "message"), MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_setting_is_told(name: str, value: object, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        replace_values(Settings(), {name: value})
    text = str(caught.value)
    assert message in text
    assert name.split(".")[0] in text
    assert "pydantic" not in text
    assert "\n" not in text


def test_conflicts_are_told() -> None:
    with pytest.raises(SettingsError) as caught:
        replace_values(
            Settings(),
            {
                "split.valid_fraction": 0.6,
                "split.test_fraction": 0.4,
                "training.plateau_factor": 0.5,
                "training.learning_rate_floor": 0.1,
            },
        )
    text = str(caught.value)
    assert "2 mistakes" in text
    assert "split.valid_fraction + split.test_fraction is 1; needed is a sum below 1" in text
    assert "training.learning_rate_floor is 0.1, above training.learning_rate, 0.004" in text


def test_a_floor_does_not_matter_where_the_rate_never_falls() -> None:
    assert replace_values(Settings(), {"training.learning_rate_floor": 0.1})


def test_all_mistakes_are_told_at_once() -> None:
    wrong = {name: value for name, value, _ in MALFORMED[17:27]}
    with pytest.raises(SettingsError) as caught:
        replace_values(Settings(), wrong)
    assert f"settings: {len(wrong)} mistakes." in str(caught.value)
    for name in wrong:
        assert f"  - {name} is " in str(caught.value)


def test_records_made_by_hand_are_checked_too() -> None:
    with pytest.raises(SettingsError, match=r"model\.n_factors is -3; needed is a whole number"):
        check_settings(Settings(model=ModelSettings(n_factors=-3)))


def test_the_place_of_a_mistake_is_told() -> None:
    with pytest.raises(SettingsError, match=r"model\.n_factors \(a\.yaml, line 3\) is 0;"):
        settings_from_values(
            {"model": {"n_factors": 0}}, origins={"model.n_factors": "a.yaml, line 3"}
        )


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("training.learning_rate", "1e-3", 1e-3),  # as PyYAML hands it over
        ("training.learning_rate", "2.5E-4", 2.5e-4),
        ("training.learning_rate", 1, 1.0),
        ("training.learning_rate", np.float32(0.5), 0.5),
        ("training.learning_rate", np.float64(0.5), 0.5),
        ("training.epochs", 1e3, 1000),
        ("training.epochs", "1e3", 1000),
        ("training.epochs", 8.0, 8),
        ("training.epochs", np.int64(8), 8),
    ],
)
def test_numbers_of_other_kinds_become_plain_ones(
    name: str, value: object, expected: float
) -> None:
    section, key = name.split(".")
    found = getattr(getattr(replace_values(Settings(), {name: value}), section), key)
    assert found == expected
    assert type(found) is type(expected)


BOUNDED = [each for each in declarations().values() if each.range]


@pytest.mark.parametrize("declared", BOUNDED, ids=lambda declared: declared.name)
def test_every_bound_holds(declared) -> None:  # type: ignore[no-untyped-def]
    step = 1 if declared.kind is int else 1e-9
    inside = [declared.at_least, declared.at_most]
    outside = [declared.above, declared.below]
    outside += [None if declared.at_least is None else declared.at_least - step]
    outside += [None if declared.at_most is None else declared.at_most + step]
    for bound in (each for each in inside if each is not None):
        replace_values(Settings(), {declared.name: bound})
    wrong = [each for each in outside if each is not None]
    assert wrong
    for bound in wrong:
        with pytest.raises(SettingsError, match=declared.name.replace(".", r"\.")):
            replace_values(Settings(), {declared.name: bound})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("learning_rate", "training.learning_rate"),
        ("Model.N_Factors", "model.n_factors"),
        ("inference.batchsize", "inference.batch_size"),
        ("training.batchsize", "training.batch_size"),
        ("split.sed", "split.seed"),
        ("run.sed", "run.seed"),
        ("model.kl_co_scale", "loss.kl_input_scale"),
        ("con_dim", "model.controller_size"),
        ("model.xyzzy", None),
        ("", None),
    ],
)
def test_the_nearest_setting_is_found(name: str, meant: str | None) -> None:
    assert nearest_setting(name, declarations()) == meant


def test_names_of_peers_lead_to_settings_that_exist() -> None:
    from lfads_torch.config import nearest

    assert set(nearest._PEER_NAMES.values()) <= set(declarations())
    assert nearest_setting("anything", []) is None
