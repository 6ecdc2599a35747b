"""Numbers of plug-ins that every member has for itself: trained with, gathered, stored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch
from member_parts import OWN, with_member_parts
from training_cases import Case, epochs, same_bits, state_tensors

from lfads_torch.declare import OwnSettings, PluginSettings, member_setting
from lfads_torch.errors import SettingsError
from lfads_torch.training.checkpoint import load_state, save_state
from lfads_torch.training.hyperparameters import Hyperparameters
from lfads_torch.training.score import validation_reconstruction
from lfads_torch.training.state import PopulationState

VALUES = {
    "fade.strength": [0.0, 0.9, 0.4],
    "wide.variance": [0.1, 2.0, 0.5],
    "leak.share": [0.2, 1.0, 0.6],
}
MEMBERS = (4, 0, 7)


def case() -> Case:
    return with_member_parts(Case())


def start(places: list[int], **values: list[float]) -> PopulationState:
    state = case().state(tuple(MEMBERS[p] for p in places))
    given = {**VALUES, **values}
    own = {
        name: torch.tensor([row[p] for p in places], dtype=torch.float64)
        for name, row in given.items()
    }
    state.hyperparameters = replace(state.hyperparameters, own=own)
    return state


def trained(places: list[int], **values: Any) -> PopulationState:
    state = start(places, **values)
    epochs(case(), state, 3)
    return state


def test_every_member_begins_with_the_settings_value() -> None:
    state = case().state((0, 1))
    assert state.hyperparameters.value("fade.strength").tolist() == [0.25, 0.25]
    assert state.hyperparameters.value("wide.variance").tolist() == [0.5, 0.5]
    assert "fade.n_bins" not in state.hyperparameters.as_dict()


def test_a_population_is_its_members_side_by_side() -> None:
    together = trained([0, 1, 2])
    for p in range(3):
        alone = state_tensors(trained([p]))
        for name, value in state_tensors(together).items():
            torch.testing.assert_close(value[p : p + 1], alone[name], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", VALUES)
def test_each_of_them_changes_what_a_member_learns_and_nobody_elses(name: str) -> None:
    usual = trained([0, 1, 2])
    other = trained([0, 1, 2], **{name: [VALUES[name][0], 0.7, VALUES[name][2]]})
    assert not torch.allclose(usual.weights[1], other.weights[1])
    assert torch.equal(usual.weights[[0, 2]], other.weights[[0, 2]])


def test_the_score_is_of_the_members_own_cell() -> None:
    state, data = start([0, 1, 2]), case().data().valid
    other = start([0, 1, 2], **{"leak.share": [0.2, 0.3, 0.6]})
    found, changed = (
        validation_reconstruction(each, case().task(), data, seed=0) for each in (state, other)
    )
    assert (found != changed).tolist() == [False, True, False]


def test_they_go_where_the_model_goes(tmp_path: Any) -> None:
    state, task = trained([0, 1, 2]), case().task()
    path = tmp_path / "state.safetensors"
    save_state(path, state, task.layout, seed=3)
    again = load_state(path, task.layout, task.device)
    assert same_bits(state_tensors(state), state_tensors(again)) == []
    epochs(case(), state, 2)
    epochs(case(), again, 2)
    assert same_bits(state_tensors(state), state_tensors(again)) == []
    state.take(torch.tensor([1, 1, 0]))
    assert state.hyperparameters.value("leak.share").tolist() == [1.0, 1.0, 0.2]


def test_a_file_from_before_the_plug_in_declared_them_has_the_settings_values() -> None:
    older = replace(start([0, 1]).hyperparameters, own={})
    filled = older.filled(OWN)
    assert filled.value("leak.share").tolist() == [0.5, 0.5]
    assert filled.filled(OWN) is filled
    state = start([0, 1])
    state.hyperparameters = older
    with pytest.raises(SettingsError, match=r"fade\.strength is no number of every member's own"):
        older.value("fade.strength")
    assert set(Hyperparameters.names()) == set(older.as_dict())


@dataclass(frozen=True, kw_only=True)
class HidingSettings(PluginSettings):
    section: ClassVar[str] = "generator"

    recurrent: float = member_setting(0.5, "hides a weight")


def test_a_section_that_hides_a_weight_is_refused() -> None:
    usual, own = case(), OwnSettings((*OWN.records, HidingSettings()))
    with pytest.raises(
        SettingsError, match=r"generator\.recurrent is a setting of a plug-in and a"
    ):
        replace(usual, model=replace(usual.model, own=own)).task()
