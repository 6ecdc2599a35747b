"""What every kept epoch predicts: nats per entry of each set of trials, [epoch, member].

`all`, `held_out` and `encoded` are what the training loop's score counts, with its noise (one
posterior sample). `masked` is of encoded entries while hidden from the encoder, one of five
complementary masks after the other, from the posterior mean. It, and everything of `train` and the
reported set, is measured at every eighth epoch only and NaN elsewhere.
"""

from __future__ import annotations

import numpy as np
import torch
from epoch_weights import TrainedEpochs
from numpy.typing import NDArray

from lfads_torch.analysis.metrics.masked import complementary_masks
from lfads_torch.model.weights import ModelWeights
from lfads_torch.outputs.posterior import PosteriorOptions, posterior_averages
from lfads_torch.training.resident import ResidentTrials
from lfads_torch.training.score import counted_entries, forward, validation_noise

__all__ = ["MEASURES", "measures_of"]

ENTRIES = ("all", "held_out", "encoded")
N_MASKS, AT_ONCE, EVERY = 5, 45, 8
MEASURES = (
    *(f"{name}, {entries}" for name in ("valid", "train", "test") for entries in ENTRIES),
    "valid, masked",
)


def measures_of(trained: TrainedEpochs, reported: str) -> dict[str, NDArray[np.float64]]:
    """Every measure of every epoch; each epoch is measured once and stored."""
    split, trials = trained.assembly.split, trained.assembly.trials
    n_epochs, folder = trained.assembly.settings.training.epochs, trained.folder / "measures"
    folder.mkdir(exist_ok=True)
    found: dict[str, list[NDArray[np.float64]]] = {key: [] for key in MEASURES}
    missing = np.full(trained.assembly.settings.run.n_seeds, np.nan)
    for epoch in range(n_epochs):
        path = folder / f"epoch_{epoch:04d}.npz"
        if not path.exists():
            is_looked_at = epoch % EVERY == 0
            names = dict.fromkeys(("valid", "train", reported) if is_looked_at else ("valid",))
            parts = {name: trials.take(torch.as_tensor(split.trials(name))) for name in names}
            measured = {
                f"{name}, {entries}": value
                for name, part in parts.items()
                for entries, value in one_epoch(trained, epoch, part).items()
            }
            if is_looked_at:
                measured["valid, masked"] = masked_nats(trained, epoch, parts["valid"])
            np.savez(path, **measured)
        with np.load(path) as stored:
            for key in MEASURES:
                found[key].append(stored.get(key, missing))
    return {key: np.array(value) for key, value in found.items()}


def one_epoch(
    trained: TrainedEpochs, epoch: int, part: ResidentTrials
) -> dict[str, NDArray[np.float64]]:
    """Nats per entry [P] for these trials, by entries."""
    with torch.no_grad():
        sampled = sampled_nats(trained, epoch, part)
    task = trained.assembly.task
    return {
        entries: sampled[:, :, counted_entries(task, 0, entries)].mean((1, 2)).numpy()
        for entries in ENTRIES
    }


def sampled_nats(trained: TrainedEpochs, epoch: int, part: ResidentTrials) -> torch.Tensor:
    """The validation pass of the training loop, [P, B, T, N]."""
    task, state = trained.assembly.task, trained.state(epoch)
    weights = ModelWeights.arrange(task.layout.views(state.weights), task.session_names)
    family, seed = task.observations[0], trained.assembly.settings.run.seed
    chunks = []
    for start in range(0, part.n_trials, AT_ONCE):
        chunk = torch.arange(start, min(start + AT_ONCE, part.n_trials))
        index = chunk.expand(state.n_members, -1)
        noise = validation_noise(state, task, part.rows[index], seed)
        output = forward(task, part, index, 0, weights, noise)
        target = part.counts[index][:, :, task.model.ic_bins :]
        nats = family.negative_log_likelihood(output.parameters[0], target)
        chunks.append((nats + family.constant(target)).double())
    return torch.cat(chunks, 1)


def masked_nats(trained: TrainedEpochs, epoch: int, part: ResidentTrials) -> NDArray[np.float64]:
    """Encoded entries, each predicted while one of five complementary masks hid it, [P]."""
    task, state, split = trained.assembly.task, trained.state(epoch), trained.assembly.split
    hidden_by = torch.as_tensor(
        complementary_masks(
            part.n_trials,
            N_MASKS,
            is_encoded=split.is_encoded,
            is_encoded_bin=np.arange(task.sizes.n_bins) < split.n_encoded_bins,
            rng=np.random.Generator(np.random.Philox(0)),
        )
    )
    nats = torch.zeros(state.n_members, dtype=torch.float64)
    for member in range(state.n_members):
        weights = state.weights[member : member + 1]
        for mask in range(N_MASKS):
            is_hidden = hidden_by == mask
            parts = posterior_averages(
                weights, member, task, part, PosteriorOptions(n_samples=0),
                is_visible=~is_hidden[:, : split.n_encoded_bins],
            )  # fmt: skip
            rates = torch.cat([each.mean_counts for each in parts]).double()
            counts = part.counts.double()
            nll = rates - torch.xlogy(counts, rates) + torch.lgamma(counts + 1)
            nats[member] += nll[is_hidden].sum()
    return (nats / (hidden_by >= 0).sum()).numpy()
