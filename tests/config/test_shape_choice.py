"""Settings that change shapes: what can be asked for, and what is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from lfads_torch.config.read import read_settings
from lfads_torch.config.shape_choice import ShapeRange, draw_shapes, part_shapes
from lfads_torch.config.space import SpaceChoice, choose_space
from lfads_torch.errors import SettingsError
from lfads_torch.search.space import MOVABLE, changes_shapes

GENERATOR = ShapeRange("model.generator_size", 64, 256)


def asked(*ranges: str):
    return part_shapes(SpaceChoice(ranges=ranges, dropped=("augmentation.dropout_rate",)))


def test_shapes_are_parted_from_what_members_move():
    rate = "training.learning_rate=1e-4..1e-2"
    rest, shapes = asked("model.generator_size=64..256", rate, "training.batch_size=8..32")
    assert rest == SpaceChoice(ranges=(rate,), dropped=("augmentation.dropout_rate",))
    assert shapes == (GENERATOR, ShapeRange("training.batch_size", 8, 32))


@pytest.mark.parametrize("name", ["model.generator_size", "model.n_factors", "training.batch_size"])
def test_what_changes_shapes(name):
    assert changes_shapes(name)


@pytest.mark.parametrize("name", [*MOVABLE, "model.cell_clip", "training.epochs", "run.threads"])
def test_what_does_not(name):
    assert not changes_shapes(name)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("training.learning_rate=1e-4..1e-2", "no setting that changes shapes is searched"),
        ("model.generator_size=64.5..256", "needed are whole numbers"),
        ("model.generator_size=0..256", "a low of at least 1"),
        ("model.generator_size=9..9", "below high"),
        ("model.generator_size=9..4", "below high"),
        ("model.generator_size=4..9,first=5", "leave first out"),
        ("model.generator_size=4..9,weight=1,limits=no", "leave keeps_limits, weight out"),
    ],
)
def test_what_is_wrong_is_told(text, told):
    with pytest.raises(SettingsError, match=told):
        asked(text)


def test_a_shape_given_twice_is_told():
    with pytest.raises(SettingsError, match=r"gives model\.n_factors twice"):
        asked("model.n_factors=2..3", "model.n_factors=4..5")


def test_draws_are_whole_numbers_in_range_different_and_the_same_again():
    ranges = (GENERATOR, ShapeRange("model.n_factors", 1, 3))
    drawn = draw_shapes(ranges, 33, seed=5)
    assert drawn == draw_shapes(ranges, 33, seed=5) != draw_shapes(ranges, 33, seed=6)
    assert len({tuple(each.values()) for each in drawn}) == 33
    for each in drawn:
        assert list(each) == ["model.generator_size", "model.n_factors"]
        assert 64 <= each["model.generator_size"] <= 256
        assert 1 <= each["model.n_factors"] <= 3
        assert all(type(value) is int for value in each.values())


def test_draws_are_uniform_in_the_logarithm():
    """Half of the draws lie below the geometric mean; one draw per seed."""
    sizes = [draw_shapes((GENERATOR,), 1, seed=n)[0]["model.generator_size"] for n in range(2000)]
    share = np.mean(np.array(sizes) < 128)
    assert abs(share - 0.5) < 3 * np.sqrt(0.25 / 2000)


def test_every_shape_of_a_small_range_comes():
    drawn = draw_shapes((ShapeRange("model.n_factors", 1, 3),), 3, seed=0)
    assert sorted(each["model.n_factors"] for each in drawn) == [1, 2, 3]


def test_more_shapes_than_there_are_are_refused():
    with pytest.raises(SettingsError, match="only 3 different shapes"):
        draw_shapes((ShapeRange("model.n_factors", 1, 3),), 4, seed=0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("model.generator_size=64..256", "--method random --search model.generator_size=LOW..HIGH"),
        ("bin_width_s=0.005..0.02", "scores per entry of different bins cannot be compared"),
    ],
)
def test_a_population_refuses_it_and_says_the_way_out(text, told, sizes):
    with pytest.raises(SettingsError) as caught:
        choose_space(SpaceChoice(ranges=(text,)), read_settings(preset="small"), sizes)
    assert told in str(caught.value)


@pytest.fixture
def sizes():
    from run_cases import recording

    from lfads_torch.config.sizes import sizes_of

    return sizes_of(recording())
