"""The random cases of kernels work on another device, as benchmarks/gpu_check.py needs them.

No GPU here: `meta` tensors have no numbers, and refuse those of the processor just as a GPU's do.
"""

from __future__ import annotations

import decoder_cases
import gru_cases
import poisson_cases
import torch

from lfads_torch.kernels.decoder import reference as decoder_reference
from lfads_torch.kernels.gru import reference as gru_reference

META = torch.device("meta")


def test_encoder_cases_stay_on_their_device():
    case = gru_cases.random_case((2, 3, 5, 4, 3))
    case = case.with_tensors([t.to(META) for t in case.tensors()])
    found = gru_cases.values_and_gradients(case, gru_reference.gru_scan)
    assert {each.device for each in found} == {META}


def test_decoder_cases_stay_on_their_device():
    case = decoder_cases.random_case(decoder_cases.SIZES["external"]).map(lambda t: t.to(META))
    found = decoder_cases.values_and_gradients(case, decoder_reference.decoder_scan)
    assert {each.device for each in found.values()} == {META}


def test_likelihood_cases_stay_on_their_device():
    case = poisson_cases.random_case((2, 3, 5, 4, 3), "present and gradient")
    found = poisson_cases.values_and_gradients(
        case.to(torch.float64, META), poisson_cases.definition
    )
    assert {each.device for each in found.values()} == {META}
