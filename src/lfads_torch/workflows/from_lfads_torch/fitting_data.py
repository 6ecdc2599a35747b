"""The recordings that a checkpoint of lfads-torch was trained on: found, read and compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lfads_torch.errors import DataError, RunError

if TYPE_CHECKING:
    from lfads_torch.config.tree import Settings
    from lfads_torch.data.formats.base import ReadOptions
    from lfads_torch.data.recording import Recording
    from lfads_torch.workflows.from_lfads_torch.checkpoint import Checkpoint
    from lfads_torch.workflows.from_lfads_torch.configuration import Configuration
    from lfads_torch.workflows.from_lfads_torch.weights import CheckpointSizes

__all__ = ["data_paths", "need_fitting", "read_trained_on"]


def data_paths(
    given: Sequence[Path], sessions: Sequence[int], configuration: Configuration, source: Path
) -> tuple[Path, ...]:
    """One file for each of the sessions: those given, or those that the data module read.

    Raises RunError where there is none, or another number.
    """
    if len(given) == len(sessions):
        return tuple(given)
    if given:
        raise RunError(
            f"{source}: has {len(sessions)} sessions, and data (--data) gives {len(given)} files. "
            "Give one for each, in the model's order, or choose one session (session; "
            "--of-session)."
        )
    module = _data_module(configuration)
    named = module.get("data_paths")
    listed = [str(each) for each in named] if isinstance(named, list) else []
    wanted = [Path(listed[n]) for n in sessions if n < len(listed)]
    if len(wanted) == len(sessions) and all(path.is_file() for path in wanted):
        return tuple(wanted)
    told = f" It was trained on {', '.join(map(str, wanted))}." if wanted else ""
    n_files = "it" if len(sessions) == 1 else f"{len(sessions)} files, one for each session,"
    raise RunError(
        f"{source}: the recording is needed too, for a run knows its units and trials.{told} Give "
        f"{n_files} as data (--data FILE.h5)."
    )


def read_trained_on(
    path: Path, options: ReadOptions | None, configuration: Configuration
) -> Recording:
    """A recording with the trials in the sets that lfads-torch's data module put them into."""
    from lfads_torch.data.formats.choose import read_recording

    recording = read_recording(path, options=options)
    module = _data_module(configuration)
    seed = module.get("reshuffle_tv_seed")
    if isinstance(seed, int):
        return _reshuffled(recording, seed, module.get("reshuffle_tv_ratio"))
    return recording


def need_fitting(
    recording: Recording, sizes: CheckpointSizes, settings: Settings, found: Checkpoint
) -> None:
    """Raise DataError unless the recording has the units and inputs that the tensors are for."""
    from lfads_torch.loss.observations.choose import choose_observation

    n_parameters = choose_observation(settings.loss.observation).n_parameters
    split, external = recording.split, recording.external_inputs
    n_encoded = recording.n_units if split is None else int(split.is_encoded.sum())
    has: dict[str, tuple[int, float]] = {
        "units that the encoder sees": (n_encoded, sizes.n_encoded_units),
        "units": (recording.n_units, sizes.n_outputs / n_parameters),
        "external inputs": (0 if external is None else external.shape[2], sizes.external_inputs),
    }
    model = found.configuration.values.get("model", {})
    for name, option in (("bins", "recon_seq_len"), ("encoded bins", "encod_seq_len")):
        if isinstance(model.get(option), int):
            own = recording.n_bins if split is None or name == "bins" else split.n_encoded_bins
            has[name] = (own, model[option])
    wrong = [f"{own} {name} instead of {n:g}" for name, (own, n) in has.items() if own != n]
    if wrong:
        raise DataError(
            f"{recording.session}: the recording has {', '.join(wrong)}, which {found.path.name} "
            f"needs with {n_parameters} parameter(s) per unit ({settings.loss.observation}). Give "
            "the recording that the model was trained on as data (--data); of a model of several "
            "sessions, choose one with --of-session."
        )


def _data_module(configuration: Configuration) -> Mapping[str, Any]:
    module = configuration.values.get("datamodule")
    return module if isinstance(module, Mapping) else {}


def _reshuffled(recording: Recording, seed: int, ratio: Any) -> Recording:
    """Both sets drawn from all their trials with scikit-learn, as there."""
    from sklearn.model_selection import train_test_split

    split = recording.split
    if split is None:
        return recording
    both = np.concatenate([split.trials("train"), split.trials("valid")])
    size = ratio if isinstance(ratio, (int, float)) else len(split.trials("valid"))
    train, valid = train_test_split(both, test_size=size, random_state=seed)
    trial_set = split.trial_set.astype("U6")
    trial_set[train], trial_set[valid] = "train", "valid"
    provenance = {**split.provenance, "reshuffle_tv_seed": seed}
    return recording.with_split(replace(split, trial_set=trial_set, provenance=provenance))
