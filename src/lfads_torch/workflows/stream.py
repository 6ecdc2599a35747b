"""Rates while the counts come in, bin by bin, from a causal model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lfads_torch.errors import DataError, SettingsError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from lfads_torch.data.recording import Recording
    from lfads_torch.model.streaming import StreamState
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.model_card import ModelCard
    from lfads_torch.workflows.stored import TrainedModel

__all__ = ["RateStream", "StreamedBin", "open_stream"]


@dataclass(frozen=True, kw_only=True)
class StreamedBin:
    """What is known after one generated bin, averaged over posterior samples."""

    bin: int  # of the recording, from 0
    rates: NDArray[np.float32]  # [N] in spikes/s (else the counts' own unit), order of the fit
    factors: NDArray[np.float32]  # [F]
    inferred_input: NDArray[np.float32] | None  # [U], sampled; None without a controller


class RateStream:
    """One trial of a causal model, a bin at a time.

    `step` takes the counts of the next bin and gives its rates; the first `model.ic_bins` bins
    make the initial condition and give None. After the last known bin, `step(None)` predicts
    forward. Trials may be longer than those of the fit. `reset` begins the next trial.

    With the trial's number in X and the run's samples the numbers are those of
    `LFADS.transform(X)`, to rounding; forward bins of the model are then stepped with None. It is
    one model: of an ensemble, the rates of a single member.
    """

    def __init__(self, model: TrainedModel, *, n_samples: int, trial: int = 0) -> None:
        from lfads_torch.model.streaming import StreamWeights
        from lfads_torch.model.weights import ModelWeights
        from lfads_torch.workflows.families import counts_to_rates

        _require_causal(model)
        task = model.assembly.task
        named = task.named(model.weights)
        self._model, self._n_samples = model, n_samples
        self._weights = StreamWeights.of(
            ModelWeights.arrange(named, task.session_names, task.parts)
        )
        self._to_rates = counts_to_rates(model, model.card.bin_width_s)
        self.reset(trial=trial)

    def reset(self, *, trial: int = 0, trial_inputs: ArrayLike | None = None) -> None:
        """Begin a trial. `trial` numbers its random stream; `trial_inputs` [C] hold throughout."""
        self._trial, self._trial_inputs, self.bin = trial, trial_inputs, 0
        self._state: StreamState | None = None
        self._first: list[Tensor] = []
        self._has_ended = False
        self._noise: Tensor | None = None
        self._of_trial: Tensor | None = None

    def step(
        self, counts: ArrayLike | None, *, external_inputs: ArrayLike | None = None
    ) -> StreamedBin | None:
        """One more bin: counts [N] in the order of the fit (NaN: missing), external inputs [X].

        Raises DataError where their number is wrong, values cannot come from the model's
        observation, or counts come after a bin without.
        """
        import torch

        with torch.inference_mode():
            return self._step(counts, external_inputs)

    def _step(
        self, counts: ArrayLike | None, external_inputs: ArrayLike | None
    ) -> StreamedBin | None:
        task = self._model.assembly.task
        settings, sizes = task.model, task.sizes
        if self.bin == 0:
            self._of_trial = self._tensor(self._trial_inputs, sizes.n_trial_inputs, "trial_inputs")
        external = self._tensor(external_inputs, sizes.n_external_inputs, "external_inputs")
        x = self._read_in(counts, external)
        bin_, self.bin = self.bin, self.bin + 1
        if self._state is None:
            if x is None:
                raise DataError(
                    f"bin {bin_}: the first {settings.ic_bins} bins make the initial condition, so "
                    "their counts are needed."
                )
            self._first.append(x)
            if len(self._first) == settings.ic_bins:
                self._begin()
            return None
        return self._generated(bin_, x, external)

    def _begin(self) -> None:
        import torch

        from lfads_torch.model.streaming import begin_stream

        task = self._model.assembly.task
        x = torch.cat(self._first, 1)[:, None]
        shifts = "initial_condition" in task.model.trial_destinations
        self._state = begin_stream(
            x,
            self._normals("sample.initial_condition", task.model.initial_condition_size),
            self._weights,
            task.model,
            kernels=task.kernels,
            context=self._of_trial if shifts else None,
        )
        self._first = []

    def _generated(self, bin_: int, x: Tensor | None, external: Tensor | None) -> StreamedBin:
        from lfads_torch.model.sessions import read_out
        from lfads_torch.model.streaming import BinInput, step_stream

        task, state = self._model.assembly.task, self._state
        assert state is not None  # `_begin` made it
        given = BinInput(
            x=x,
            controller=self._known("controller", external),
            generator=self._known("generator", external),
            noise=self._noise_of(bin_ - task.model.ic_bins),
        )
        self._state = state = step_stream(state, given, self._weights, task.model)
        parameters = read_out(
            state.factors[:, None], task.sizes.sessions[0], self._weights.model.readouts[0]
        )
        counts = task.observations[0].mean(parameters)[0].mean((0, 1))
        inferred = state.inferred_input
        return StreamedBin(
            bin=bin_,
            rates=(_array(counts) * self._to_rates).astype(np.float32),
            factors=_array(state.factors[0].mean(0)),
            inferred_input=None if inferred is None else _array(inferred[0].mean(0)),
        )

    def _read_in(self, counts: ArrayLike | None, external: Tensor | None) -> Tensor | None:
        """The encoders' input of one bin, [1, 1, I]."""
        import torch

        from lfads_torch.model.sessions import read_in

        if counts is None:
            self._has_ended = True
            return None
        if self._has_ended:
            raise DataError(
                f"bin {self.bin}: counts come after a bin without; call reset for the next trial, "
                "or give missing counts as NaN."
            )
        task = self._model.assembly.task
        values = self._tensor(counts, len(self._model.card.unit_ids), "counts")
        assert values is not None  # a model has at least one unit
        if (wrong := task.observations[0].support_error(values)) is not None:
            self._refuse(values[0, 0], *wrong)
        values = torch.nan_to_num(values, nan=0.0)[:, :, None]
        x = read_in(values, task.sizes.sessions[0], self._weights.model.readins[0])[:, :, 0]
        known = self._known("encoders", external)
        return x if known is None else torch.cat([x, known], -1)

    def _refuse(self, values: Tensor, wrong: Tensor, needed: str) -> None:
        """Raise DataError for counts [N] that are outside the support of their family."""
        position = int(wrong.reshape(-1).nonzero()[0])
        unit = self._model.card.unit_ids[position]
        family = self._model.assembly.task.observations[0].of_units(len(values))[position].name
        raise DataError(
            f"bin {self.bin}: {int(wrong.sum())} values cannot come from a {family} observation, "
            f"the first is {values[position].item():g} at unit {unit}, position {position} from 0. "
            f"It needs {needed}; give a missing value as NaN."
        )

    def _known(self, part: str, external: Tensor | None) -> Tensor | None:
        """Known inputs of this bin for a part of the model, [1, 1, X]."""
        from lfads_torch.model.inputs import joined_inputs

        each = None if external is None else external[:, :, None]
        settings = self._model.assembly.task.model
        found = joined_inputs(part, each, self._of_trial, settings, 1)
        return None if found is None else found[:, :, 0]

    def _noise_of(self, place: int) -> Tensor | None:
        """Standard normals of the inferred input of one generated bin, [1, S, U]."""
        settings = self._model.assembly.task.model
        if settings.n_inferred_inputs == 0 or self._n_samples == 0:
            return None
        noise = self._noise
        if noise is None or place >= noise.shape[2]:
            n = max(self._model.card.n_bins, 2 * place)
            noise = self._noise = self._normals("sample.inputs", n, settings.n_inferred_inputs)
        return None if noise is None else noise[:, :, place]

    def _normals(self, site: str, *shape: int) -> Tensor | None:
        import torch

        from lfads_torch.outputs.posterior import SampleNoise
        from lfads_torch.training.streams import Streams

        if self._n_samples == 0:
            return None
        task, seed = self._model.assembly.task, self._model.settings.run.seed
        streams = Streams(seed, torch.tensor([self._model.member], device=task.device))
        rows = torch.tensor([[self._trial]], device=task.device)
        noise = SampleNoise(streams, "posterior", rows, self._n_samples, task.dtype)
        return noise.normal(site, *shape)

    def _tensor(self, values: ArrayLike | None, n: int, what: str) -> Tensor | None:
        """As [1, 1, n]; None where there are to be none."""
        import torch

        given = np.zeros(0) if values is None else np.asarray(values, dtype=np.float64).reshape(-1)
        if len(given) != n:
            raise DataError(
                f"bin {self.bin}: {what} has {len(given)} numbers; the model needs {n}."
            )
        task = self._model.assembly.task
        if n == 0:
            return None
        return torch.as_tensor(given).to(device=task.device, dtype=task.dtype).view(1, 1, n)


def open_stream(
    run: RunFolder,
    *,
    n_samples: int | None = None,
    trial: int = 0,
    member: int | None = None,
    session: str | None = None,
) -> RateStream:
    """A stream from the best member of a run, or the one named; of one session.

    `n_samples` stands for `inference.n_samples`; 0 takes the posterior mean, which is fastest.
    Raises SettingsError where the model is not causal or its sessions are several and none is
    named, RunError where there is no such member or session.
    """
    from lfads_torch.workflows.infer import n_posterior_samples
    from lfads_torch.workflows.model_card import read_card
    from lfads_torch.workflows.sessions.choose import run_of_session
    from lfads_torch.workflows.stored import load_model

    named = run.read_record().sessions
    if named and session is None:
        raise SettingsError(
            f"{run.path}: the model has the sessions {', '.join(named)}, and a stream is of one, "
            f"whose units it reads. Say which, such as stream(session={next(iter(named))!r})."
        )
    run = run_of_session(run, session)
    model = load_model(run, _blank(read_card(run)), member=member)
    usual = n_posterior_samples(model.settings)
    if n_samples is not None and model.settings.model.variational:
        usual = n_samples
    return RateStream(model, n_samples=usual, trial=trial)


def _blank(card: ModelCard) -> Recording:
    """One trial of zeros that fits the model: what is to come is not known yet."""
    from lfads_torch.data.formats.arrays import recording_from_arrays

    shape = (1, card.n_bins)
    blank = recording_from_arrays(
        np.zeros((*shape, len(card.unit_ids))),
        bin_width_s=card.bin_width_s,
        unit_ids=np.array(card.unit_ids),
        external_inputs=np.zeros((*shape, card.n_external_inputs))
        if card.n_external_inputs
        else None,
        trial_inputs=np.zeros((1, card.n_trial_inputs)) if card.n_trial_inputs else None,
    )
    return replace(blank, session=card.session, start_s=card.start_s)


def _require_causal(model: TrainedModel) -> None:
    settings = model.settings.model
    if settings.is_causal:
        return
    raise SettingsError(
        f"{model.run_path}: the model is not causal (model.ic_bins is {settings.ic_bins}, "
        f"model.causal_controller is {str(settings.causal_controller).lower()}), so rates of a bin "
        "follow from later ones too. To stream, fit with model.causal_controller=true and "
        "model.ic_bins of at least 1, without model.generate_initial_segment."
    )


def _array(value: Tensor) -> NDArray[np.float32]:
    found: NDArray[np.float32] = value.float().cpu().numpy()
    return found
