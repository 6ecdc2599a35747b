"""lfads-torch itself beside our steps: its own code, from a folder, in a process of its own.

`kernel_steps.py --incumbent FOLDER` starts this file as a program, with a Python that has what
lfads-torch imports (PyTorch Lightning and torchmetrics beside PyTorch). The folder holds the
package `lfads_torch` of https://github.com/arsedler9/lfads-torch; that process reads it there and
never ours, which has the same name. None of its code is part of this repository.

A step: its `training_step`, `backward`, PyTorch's clipping at the norm of the settings, the
optimiser of its `configure_optimizers`. Left out, all in its favour: Lightning's trainer and its
logging (`log` does nothing), the loader and the collation of batches. Its `training_step` works out
a metric (bits per spike) that ours works out once an epoch. Of its gradient only the number of
weights is checked.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from step_shapes import OperatorCalls, Shape, counts
from torch import nn

__all__ = ["IncumbentProcess", "IncumbentSettings"]


@dataclass(frozen=True, kw_only=True)
class IncumbentSettings:
    """What its model needs beside sizes; the numbers are those of our own variants."""

    clip: float
    lag: int
    dropout_rate: float
    hidden_rate: float  # of coordinated dropout
    kl_initial_condition: float
    kl_inputs: float
    l2_generator: float
    l2_controller: float
    initial_condition_variance: float
    time_constant_bins: float
    input_variance: float
    variance_floor: float
    scale: float
    learning_rate: float
    max_gradient_norm: float
    n_weights: int  # trained ones, of our model: its own must have as many


class IncumbentProcess:
    """Its steps on request, timed where they are made."""

    def __init__(
        self, folder: Path, python: Path, shape: Shape, settings: IncumbentSettings, *, threads: int
    ) -> None:
        given = {"shape": asdict(shape), "settings": asdict(settings), "threads": threads}
        without_ours = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        without_ours |= _FREED_MEMORY_KEPT
        self._process = subprocess.Popen(
            [str(python), __file__, str(folder.resolve()), json.dumps(given)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=without_ours,
        )  # fmt: skip
        self.said = self._answer()

    def times(self) -> tuple[float, float]:
        """Of one more step: seconds of the processor, and of the clock."""
        assert self._process.stdin is not None
        self._process.stdin.write("step\n")
        self._process.stdin.flush()
        processor, clock = self._answer()["times"]
        return processor, clock

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> dict[str, Any]:  # JSON values
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(_MARK):
                found: dict[str, Any] = json.loads(line[len(_MARK) :])
                return found
        return sys.exit("lfads-torch could not be timed; its process said why, above")


# As `training/memory.py` does for ours: large arrays are not returned to the system.
_FREED_MEMORY_KEPT = {
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
    "MALLOC_MMAP_THRESHOLD_": str(2**31 - 1),
}
_MARK = "answer: "  # its libraries print too


def main() -> None:
    """The process: warm up, say what was built, then a timed step for every line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("given", type=json.loads)
    arguments = parser.parse_args()
    given = arguments.given
    torch.set_num_threads(given["threads"])
    _check_package(arguments.folder)
    step = _step(Shape(**given["shape"]), IncumbentSettings(**given["settings"]))
    step()
    with OperatorCalls() as calls:
        step()
    _say({"backend": "lfads-torch", "operator_calls": calls.n, "versions": _versions()})
    for _ in sys.stdin:
        processor, clock = time.process_time(), time.perf_counter()
        step()
        _say({"times": (time.process_time() - processor, time.perf_counter() - clock)})


def _say(answer: dict[str, Any]) -> None:
    print(_MARK + json.dumps(answer), flush=True)


def _check_package(folder: Path) -> None:
    """That the folder's package is the one that is imported, and surely not ours."""
    if not (folder / "lfads_torch" / "model.py").exists():
        sys.exit(f"{folder}: no lfads_torch/model.py there; give a checkout of lfads-torch")
    sys.path.insert(0, str(folder))
    found = Path(import_module("lfads_torch").__file__ or "").parent
    if found != folder / "lfads_torch":
        sys.exit(f"lfads_torch was imported from {found}, not from {folder}")


def _peers(module: str) -> Any:  # its modules have no types
    # Not by `import`: to every tool that reads this file that name is our own package.
    return import_module(f"lfads_torch.{module}")


def _versions() -> dict[str, str]:
    lightning = import_module("pytorch_lightning")
    return {"torch": torch.__version__, "pytorch_lightning": lightning.__version__}


def _step(shape: Shape, settings: IncumbentSettings) -> Callable[[], None]:
    torch.manual_seed(0)
    model = _model(shape, settings)
    trained = [p for p in model.parameters() if p.requires_grad]
    n_weights = sum(p.numel() for p in trained)
    if n_weights != settings.n_weights:
        sys.exit(f"lfads-torch has {n_weights} weights, our model {settings.n_weights}")
    optimiser = model.configure_optimizers()
    batch = _batch(shape)

    def step() -> None:
        optimiser.zero_grad()
        loss = model.training_step(batch, 0)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_gradient_norm)
        model.on_before_optimizer_step(optimiser, 0)
        optimiser.step()

    return step


def _batch(shape: Shape) -> dict[int, tuple[Any, tuple[()]]]:
    values = torch.as_tensor(counts(shape, shape.trials), dtype=torch.float32)
    seen = values[:, : shape.encoded_bins, : shape.encoded_units].contiguous()
    nothing = torch.zeros(shape.trials, shape.bins, 0)
    record = _peers("tuples").SessionBatch
    return {0: (record(seen, values, nothing, nothing, torch.ones_like(seen)), ())}


def _model(shape: Shape, settings: IncumbentSettings) -> Any:  # its class is not known here
    augmentations, priors = _peers("modules.augmentations"), _peers("modules.priors")
    hidden = augmentations.CoordinatedDropout(settings.hidden_rate, 0.0, 0)
    read_out = _peers("modules.readin_readout").FanInLinear(shape.factors, shape.units)
    model = _peers("model").LFADS(
        **_sizes(shape),
        **_rates(settings),
        reconstruction=nn.ModuleList([_peers("modules.recons").Poisson()]),
        co_prior=priors.AutoregressiveMultivariateNormal(
            settings.time_constant_bins, settings.input_variance, shape.inferred
        ),
        ic_prior=priors.MultivariateNormal(
            0.0, settings.initial_condition_variance, shape.initial_condition
        ),
        train_aug_stack=augmentations.AugmentationStack([hidden], [0], [0]),
        infer_aug_stack=augmentations.AugmentationStack(),
        readin=nn.ModuleList([nn.Identity()]),
        readout=nn.ModuleList([read_out]),
    )
    model.log = model.log_dict = _without_log
    return model.train()


def _without_log(*_: object, **__: object) -> None:
    """In place of Lightning's logging, which needs its trainer."""


def _sizes(shape: Shape) -> dict[str, int]:
    return dict(
        encod_data_dim=shape.encoded_units, encod_seq_len=shape.encoded_bins,
        recon_seq_len=shape.bins, ext_input_dim=0, ic_enc_seq_len=0, ic_enc_dim=shape.encoder,
        ci_enc_dim=shape.controller_encoder, con_dim=shape.controller, co_dim=shape.inferred,
        ic_dim=shape.initial_condition, gen_dim=shape.generator, fac_dim=shape.factors,
    )  # fmt: skip


def _rates(settings: IncumbentSettings) -> dict[str, Any]:
    return dict(
        dropout_rate=settings.dropout_rate, variational=True, ci_lag=settings.lag,
        ic_post_var_min=settings.variance_floor, cell_clip=settings.clip,
        loss_scale=settings.scale, recon_reduce_mean=True,
        lr_scheduler=False, lr_init=settings.learning_rate, lr_stop=1e-5, lr_decay=0.95,
        lr_patience=6, lr_adam_beta1=0.9, lr_adam_beta2=0.999, lr_adam_epsilon=1e-8,
        weight_decay=0.0, l2_start_epoch=0, l2_increase_epoch=80, l2_ic_enc_scale=0.0,
        l2_ci_enc_scale=0.0, l2_gen_scale=settings.l2_generator,
        l2_con_scale=settings.l2_controller, kl_start_epoch=0, kl_increase_epoch=80,
        kl_ic_scale=settings.kl_initial_condition, kl_co_scale=settings.kl_inputs,
    )  # fmt: skip


if __name__ == "__main__":
    main()
