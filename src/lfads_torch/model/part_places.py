"""Names of the model's parts, and where they are; importing this costs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["CELLS", "ENCODERS", "ENTRY_POINTS", "READ_OUTS"]

CELLS: Mapping[str, str] = MappingProxyType({"gru": "lfads_torch.model.cells.gru:GRUGenerator"})
ENCODERS: Mapping[str, str] = MappingProxyType({"gru": "lfads_torch.model.encoders.gru:GRUEncoder"})
READ_OUTS: Mapping[str, str] = MappingProxyType(
    {"linear": "lfads_torch.model.read_outs.linear:LinearReadOut"}
)

ENTRY_POINTS: Mapping[str, str] = MappingProxyType(
    {
        "model.generator": "lfads_torch.generators",
        "model.ic_encoder": "lfads_torch.encoders",
        "model.controller_encoder": "lfads_torch.encoders",
        "model.read_out": "lfads_torch.read_outs",
    }
)
