"""The L2 penalty against its definition, member by member."""

from __future__ import annotations

import pytest
import torch

from lfads_torch.loss.penalty import recurrent_penalty

SHAPES = {"ic_encoder": (2, 3, 9), "controller": (5, 15), "generator": (7, 21)}


def matrices() -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    named = {
        f"{part}.recurrent": torch.randn(4, *shape, generator=random, dtype=torch.float64)
        for part, shape in SHAPES.items()
    }
    return {**named, "generator.input": torch.full((4, 2, 21), 1e6, dtype=torch.float64)}


SCALES = {
    "ic_encoder": [0.0, 0.3, 0.0, 0.0],
    "controller_encoder": [5.0, 5.0, 5.0, 5.0],  # a part this model lacks
    "controller": [0.2, 0.4, 0.0, 0.0],
    "generator": [1.5, 0.1, 2.0, 0.0],
}


def test_the_penalty_is_its_definition_for_every_member():
    """Matrices with a scale of 0 count neither above nor below the line; with none it is 0."""
    named = matrices()
    scales = {
        f"{part}.recurrent": torch.tensor(s, dtype=torch.float64) for part, s in SCALES.items()
    }
    found = recurrent_penalty(scales, named)
    for p in range(4):
        above, below = 0.0, 0
        for part in SHAPES:
            matrix, scale = named[f"{part}.recurrent"][p], SCALES[part][p]
            if scale > 0:
                above += scale * 0.5 * float((matrix * matrix).sum())
                below += matrix.numel()
        assert float(found[p]) == pytest.approx(above / below if below else 0.0, rel=1e-12)
    assert float(found[3]) == 0.0


def test_a_part_without_a_scale_gets_no_gradient():
    named = {name: value.requires_grad_() for name, value in matrices().items()}
    scales = {
        f"{part}.recurrent": torch.tensor(s, dtype=torch.float64) for part, s in SCALES.items()
    }
    total = recurrent_penalty(scales, named).sum()
    (encoder,) = torch.autograd.grad(total, named["ic_encoder.recurrent"])
    assert encoder.flatten(1).any(1).tolist() == [False, True, False, False]


def test_a_model_without_recurrent_matrices_has_no_penalty():
    found = recurrent_penalty({"generator.recurrent": torch.ones(3)}, {})
    assert found.tolist() == [0.0, 0.0, 0.0]
