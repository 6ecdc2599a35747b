"""Finds operations for which a GPU would have to answer before Python can go on."""

from __future__ import annotations

from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["NothingWaits"]


class NothingWaits(TorchDispatchMode):
    """Raises where a GPU would have to answer before Python can go on."""

    waits = ("_local_scalar_dense", "nonzero", "lift_fresh", "masked_select", "_unique2")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        assert name not in self.waits, f"{name} waits for the device"
        return func(*args, **(kwargs or {}))
