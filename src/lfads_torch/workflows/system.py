"""What this machine and installation would compute with."""

from __future__ import annotations

import platform
from typing import Any

__all__ = ["describe_system"]


def describe_system() -> dict[str, Any]:  # JSON values
    """Versions, processor, CUDA devices, and the kernels that `auto` chooses."""
    import os

    import torch

    from lfads_torch import __version__
    from lfads_torch.kernels.choose import choose_kernels, describe_compiled, describe_triton
    from lfads_torch.kernels.compiled.library import Absent, find_library
    from lfads_torch.kernels.compiled.processor import describe_wider, processor_flags
    from lfads_torch.outputs.run_record import library_versions, machine_text

    n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    kernels = choose_kernels("auto", device=torch.device("cuda" if n_devices else "cpu"))
    library = find_library()
    usable = () if isinstance(library, Absent) else library.instruction_sets
    wider = describe_wider(usable, processor_flags())
    return {
        "what": "system",
        "lfads_torch": __version__,
        "versions": library_versions(),
        "machine": f"{machine_text()}, {platform.release()}",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": "cuda" if n_devices else "cpu",
        "cuda_devices": [torch.cuda.get_device_name(index) for index in range(n_devices)],
        "kernels": f"{kernels.name} ({kernels.reason})",
        "kernels_compiled": describe_compiled(),
        **{f"processor_{name}": told for name, told in wider.items()},
        "kernels_triton": describe_triton(),
    }
