"""Which family a unit is of: the setting, the recording's own word, the default."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lfads_torch.data.fingerprint import fingerprint
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.data.formats.ours import write_recording
from lfads_torch.data.recording import Recording
from lfads_torch.data.unit_families import (
    COUNT_OBSERVATIONS,
    SIGNAL_OBSERVATIONS,
    asked_families,
    asked_text,
    unit_families,
)
from lfads_torch.errors import DataError, FormatError, SettingsError
from lfads_torch.loss.observations.choose import OBSERVATIONS

UNITS = np.array(["a", "b", "emg1", "emg2", "7"])


def recording(observation=None) -> Recording:
    return Recording(
        counts=np.ones((2, 3, 5)),
        bin_width_s=0.01,
        trial_ids=np.arange(2),
        unit_ids=UNITS,
        observation=None if observation is None else np.array(observation),
    )


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("", "poisson poisson poisson poisson poisson"),
        ("gamma=emg*", "poisson poisson gamma gamma poisson"),
        ("gamma=emg1; gaussian=7", "poisson poisson gamma poisson gaussian"),
        ("gamma=2:4, b", "poisson gamma gamma gamma poisson"),
        ("gamma=3:", "poisson poisson poisson gamma gamma"),
        ("gamma=:; my.lab:Family = 0:1 ;", "my.lab:Family gamma gamma gamma gamma"),
    ],
)
def test_what_the_setting_says(asked, expected):
    assert unit_families(recording(), "poisson", asked) == tuple(expected.split())


def test_the_recordings_own_word_stands_between_setting_and_default():
    own = recording(["", "bernoulli", "gamma", "gamma", ""])
    assert unit_families(own, "poisson") == ("poisson", "bernoulli", "gamma", "gamma", "poisson")
    found = unit_families(own, "poisson", "gaussian=emg1")
    assert found == ("poisson", "bernoulli", "gaussian", "gamma", "poisson")


@pytest.mark.parametrize("word", ["emg9", "9:", "x*", "5:9"])
def test_units_that_are_not_there_are_told(word):
    with pytest.raises(SettingsError) as caught:
        unit_families(recording(), "poisson", f"gamma={word}")
    assert f"names the units {word!r}" in str(caught.value)
    assert "its 5 units are a, b, emg1, emg2, 7" in str(caught.value)


@pytest.mark.parametrize("text", ["gamma", "=1:2", "gamma=", "gamma=,"])
def test_a_text_of_another_form_is_told(text):
    with pytest.raises(SettingsError, match="FAMILY=UNITS"):
        asked_families(text)


@pytest.mark.parametrize(
    "families", [["p"] * 5, ["g"] * 5, ["p", "g", "g", "p", "g"], ["z", "p", "g", "z", "g"]]
)
def test_the_text_that_gives_families_back(families):
    assert unit_families(recording(), "p", asked_text(families, "p")) == tuple(families)


def test_files_carry_the_families(tmp_path):
    own = recording(["", "poisson", "gamma", "gamma", "zero_inflated_gamma"])
    write_recording(own, tmp_path / "ours.h5")
    assert read_recording(tmp_path / "ours.h5").observation.tolist() == own.observation.tolist()
    np.savez(tmp_path / "any.npz", counts=own.counts, bin_width_s=0.01, observation=own.observation)
    assert read_recording(tmp_path / "any.npz").observation.tolist() == own.observation.tolist()
    np.savez(tmp_path / "short.npz", counts=own.counts, bin_width_s=0.01, observation=["gamma"] * 2)
    with pytest.raises((DataError, FormatError), match="observation family of each of 5 units"):
        read_recording(tmp_path / "short.npz")


def test_units_keep_their_family_when_they_are_taken():
    own = recording(["a", "b", "c", "d", "e"])
    assert own.take_units(np.array([4, 0])).observation.tolist() == ["e", "a"]
    with pytest.raises(DataError, match="observation has shape"):
        recording(["a", "b"])


def test_other_families_are_another_recording():
    assert fingerprint(recording()) != fingerprint(recording(["gamma"] * 5))
    plain = recording()
    assert fingerprint(plain) == fingerprint(replace(plain, observation=None))


def test_each_family_of_ours_is_of_counts_or_of_signals():
    assert sorted([*COUNT_OBSERVATIONS, *SIGNAL_OBSERVATIONS]) == sorted(OBSERVATIONS)
