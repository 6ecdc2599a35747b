"""The choice of a backend."""

from __future__ import annotations

import pytest

from lfads_torch.errors import SettingsError
from lfads_torch.kernels.choose import BACKENDS, choose_kernels
from lfads_torch.kernels.decoder import portable as decoder_portable
from lfads_torch.kernels.decoder import reference as decoder_reference
from lfads_torch.kernels.gru import portable as gru_portable
from lfads_torch.kernels.gru import reference as gru_reference


def test_portable_is_the_default():
    kernels = choose_kernels()
    assert kernels.name == "portable"
    assert kernels.gru_scan is gru_portable.gru_scan
    assert kernels.decoder_scan is decoder_portable.decoder_scan
    assert kernels.reason != choose_kernels("portable").reason == "forced"


def test_the_reference_can_be_forced():
    kernels = choose_kernels("reference")
    assert (kernels.name, kernels.reason) == ("reference", "forced")
    assert kernels.gru_scan is gru_reference.gru_scan
    assert kernels.decoder_scan is decoder_reference.decoder_scan


@pytest.mark.parametrize("name", BACKENDS)
def test_every_backend_can_be_forced_by_its_name(name):
    assert choose_kernels(name).name == name


@pytest.mark.parametrize("name", ["", "cuda", "Portable"])
def test_an_unknown_backend_is_an_error_that_names_the_known_ones(name):
    with pytest.raises(SettingsError) as error:
        choose_kernels(name)
    message = str(error.value)
    assert repr(name) in message
    assert all(known in message for known in ("auto", *BACKENDS))
