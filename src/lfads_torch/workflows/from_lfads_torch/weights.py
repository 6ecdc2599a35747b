"""Tensors of lfads-torch's model under our names, such that both give the same rates.

A cell there has rows of gates z, r, n and two biases; ours has columns, and one bias. The reset
gate acts before the recurrent product in both, so their second bias (`bias_hh`) is added to the
gate's input outside every product, and the two biases are one: their sum.

    theirs                                                   ours
    encoder.{ic,ci}_enc.{fwd,bwd}_gru.cell.weight_ih [3H,I]  {ic,controller}_encoder.input [2,I,3H]
                                           .weight_hh [3H,H]                       .recurrent
                                           .bias_ih + .bias_hh                     .bias
    encoder.{ic,ci}_enc_h0 [2,1,H]                           ... .initial_state [2,H]
    encoder.ic_linear [2Z,2H]                                initial_condition.weight [2H,2Z]
    decoder.ic_to_g0 [G,Z]                                   generator_start.weight [Z,G]
    decoder.rnn.cell.gen_cell, .con_cell                     generator, controller
    decoder.rnn.cell.fac_linear.weight [F,G]                 factors.weight, rows of length 1 in use
    decoder.rnn.cell.co_linear [2U,C]                        controller.output_weight [C,2U]
    decoder.con_h0 [1,C]                                     controller.initial_state [C]
    readin.S [I,N], readout.S [K*N,F]                        {readin,readout}.NAME.weight, turned
    ic_prior.mean; co_prior.logtaus, .lognvars               initial_condition_prior, input_prior
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lfads_torch.errors import FormatError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lfads_torch.workflows.from_lfads_torch.checkpoint import Checkpoint

__all__ = ["CheckpointSizes", "session_weights", "shared_weights", "sizes_of_checkpoint"]


@dataclass(frozen=True, kw_only=True)
class CheckpointSizes:
    """Every size, read off the tensors themselves; of one session what belongs to sessions."""

    session: int  # from 0
    has_readin: bool  # of any session, or several sessions
    n_encoder_inputs: int
    n_encoded_units: int  # of the session; the encoder's inputs where it has no read-in
    ic_encoder: int
    controller_encoder: int  # 0 without controller, and so below
    controller: int
    generator: int
    factors: int
    initial_condition: int
    inferred_inputs: int
    external_inputs: int
    n_outputs: int  # of the session: units times parameters of the observation
    n_sessions: int

    @property
    def has_controller(self) -> bool:
        return self.inferred_inputs > 0


def sizes_of_checkpoint(found: Checkpoint, session: int) -> CheckpointSizes:
    """Raises FormatError where a tensor that says a size is missing."""
    cell = "decoder.rnn.cell"
    generator_rows, driving = _matrix(found, f"{cell}.gen_cell.weight_ih")
    encoder_rows, n_inputs = _matrix(found, "encoder.ic_enc.fwd_gru.cell.weight_ih")
    factors, _ = _matrix(found, f"{cell}.fac_linear.weight")
    initial, _ = _matrix(found, "encoder.ic_linear.weight")
    n_sessions = _n_sessions(found)
    if not 0 <= session < n_sessions:
        raise FormatError(
            f"{found.path}: there is no session {session}; the model has {n_sessions}, counted "
            "from 0. Choose one of them."
        )
    n_outputs, _ = _matrix(found, f"readout.{session}.weight")
    has_controller = f"{cell}.co_linear.weight" in found.tensors
    inferred = controller = controller_encoder = 0
    if has_controller:
        rows, controller = _matrix(found, f"{cell}.co_linear.weight")
        inferred = rows // 2
        controller_encoder = _matrix(found, "encoder.ci_enc.fwd_gru.cell.weight_ih")[0] // 3
    readin = found.shape(f"readin.{session}.weight")
    has_readin = any(name.startswith("readin.") for name in found.tensors)
    return CheckpointSizes(
        session=session,
        has_readin=has_readin or n_sessions > 1,
        n_encoder_inputs=n_inputs,
        n_encoded_units=n_inputs if readin is None else readin[-1],
        ic_encoder=encoder_rows // 3,
        controller_encoder=controller_encoder,
        controller=controller,
        generator=generator_rows // 3,
        factors=factors,
        initial_condition=initial // 2,
        inferred_inputs=inferred,
        external_inputs=driving - inferred,
        n_outputs=n_outputs,
        n_sessions=n_sessions,
    )


def _matrix(found: Checkpoint, name: str) -> tuple[int, int]:
    shape = found.shape(name)
    if shape is None or len(shape) != 2:
        has = "nothing" if shape is None else f"the shape {shape}"
        raise FormatError(
            f"{found.path}: for {name!r} the state has {has}; a matrix is needed. Give a "
            "checkpoint of lfads-torch's LFADS model."
        )
    return shape


def _n_sessions(found: Checkpoint) -> int:
    n = 0
    while f"readout.{n}.weight" in found.tensors:
        n += 1
    if n == 0:
        raise FormatError(
            f"{found.path}: the state has no read-out (readout.0.weight). Give a checkpoint of "
            "lfads-torch's LFADS model."
        )
    return n


def shared_weights(found: Checkpoint, sizes: CheckpointSizes) -> dict[str, NDArray[np.float32]]:
    """Our weights that all sessions share, but those of the priors, without member axis."""
    named = {
        **_encoder(found, "ic_enc", "ic_encoder", sizes.ic_encoder, sizes),
        **_linear(
            found, "encoder.ic_linear", "initial_condition",
            (2 * sizes.ic_encoder, 2 * sizes.initial_condition),
        ),
        **_linear(
            found, "decoder.ic_to_g0", "generator_start", (sizes.initial_condition, sizes.generator)
        ),
        **_cell(
            found, "decoder.rnn.cell.gen_cell", "generator",
            (sizes.inferred_inputs + sizes.external_inputs, sizes.generator),
        ),
        "factors.weight": found.array(
            "decoder.rnn.cell.fac_linear.weight", (sizes.factors, sizes.generator)
        ),
    }  # fmt: skip
    if sizes.has_controller:
        named |= _controller(found, sizes)
    return named


def _controller(found: Checkpoint, sizes: CheckpointSizes) -> dict[str, NDArray[np.float32]]:
    size = sizes.controller_encoder
    seen = 2 * size + sizes.factors
    output = _linear(
        found, "decoder.rnn.cell.co_linear", "co", (sizes.controller, 2 * sizes.inferred_inputs)
    )
    return {
        **_encoder(found, "ci_enc", "controller_encoder", size, sizes),
        **_cell(found, "decoder.rnn.cell.con_cell", "controller", (seen, sizes.controller)),
        "controller.initial_state": found.array("decoder.con_h0", (1, sizes.controller))[0],
        "controller.output_weight": output["co.weight"],
        "controller.output_bias": output["co.bias"],
    }


def _encoder(
    found: Checkpoint, theirs: str, ours: str, size: int, sizes: CheckpointSizes
) -> dict[str, NDArray[np.float32]]:
    """Both directions, stacked."""
    each = [
        _cell(
            found, f"encoder.{theirs}.{way}_gru.cell", ours, (sizes.n_encoder_inputs, size)
        )
        for way in ("fwd", "bwd")
    ]  # fmt: skip
    start = found.array(f"encoder.{theirs}_h0", (2, 1, size))[:, 0]
    stacked = {name: np.stack([way[name] for way in each]) for name in each[0]}
    return {**stacked, f"{ours}.initial_state": start}


def _cell(
    found: Checkpoint, theirs: str, ours: str, shape: tuple[int, int]
) -> dict[str, NDArray[np.float32]]:
    n_inputs, size = shape
    bias = found.array(f"{theirs}.bias_ih", (3 * size,))
    return {
        f"{ours}.input": found.array(f"{theirs}.weight_ih", (3 * size, n_inputs)).T,
        f"{ours}.recurrent": found.array(f"{theirs}.weight_hh", (3 * size, size)).T,
        f"{ours}.bias": bias + found.array(f"{theirs}.bias_hh", (3 * size,)),
    }


def _linear(
    found: Checkpoint, theirs: str, ours: str, shape: tuple[int, int]
) -> dict[str, NDArray[np.float32]]:
    n_inputs, n_outputs = shape
    has_bias = f"{theirs}.bias" in found.tensors
    bias = found.array(f"{theirs}.bias", (n_outputs,)) if has_bias else np.zeros(n_outputs)
    weight = found.array(f"{theirs}.weight", (n_outputs, n_inputs)).T
    return {f"{ours}.weight": weight, f"{ours}.bias": bias.astype(np.float32)}


def session_weights(
    found: Checkpoint, sizes: CheckpointSizes, name: str
) -> dict[str, NDArray[np.float32]]:
    """Read-out of a session under its name, and its read-in where there are any.

    Where lfads-torch passes the units of several sessions on as they are, the read-in is that.
    """
    session = sizes.session
    shape = (sizes.factors, sizes.n_outputs)
    readout = _linear(found, f"readout.{session}", f"readout.{name}", shape)
    if not sizes.has_readin:
        return readout
    if f"readin.{session}.weight" in found.tensors:
        shape = (sizes.n_encoded_units, sizes.n_encoder_inputs)
        return {**readout, **_linear(found, f"readin.{session}", f"readin.{name}", shape)}
    same = np.eye(sizes.n_encoder_inputs, dtype=np.float32)
    return {**readout, f"readin.{name}.weight": same, f"readin.{name}.bias": 0.0 * same[0]}
