"""What the page says in words: the run, its training, its sets, its warnings.

Everything comes from the files of a run as read (docs/formats.md), which may lack any piece; then
a fact is left out or says that it is not known.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lfads_torch.analysis.figures import aligned
from lfads_torch.analysis.figures.base import FigureInputs
from lfads_torch.analysis.figures.loss_curves import chosen_epoch, member_ids, term
from lfads_torch.analysis.search_history import is_search
from lfads_torch.counted import counted

__all__ = [
    "beta_rows",
    "facts",
    "finding_rows",
    "headline",
    "set_remarks",
    "set_rows",
    "settings_text",
    "status",
    "title",
    "version_rows",
    "warnings",
]

_ROLES = {
    "train": "gradients, averages, regressions",
    "valid": "chose the best epoch",
    "test": "nothing was selected on it",
    "new": "inferred only, the run has not trained on it",
    "unused": "served for nothing",
}
_WARNED_TERMS = ("reconstruction", "kl_initial_condition", "kl_inputs", "l2", "loss",
                 "gradient_norm", "valid_reconstruction")  # fmt: skip


def title(inputs: FigureInputs) -> str:
    """The session's name, or "run"."""
    if inputs.recording is not None:
        return inputs.recording.session
    attributes = {} if inputs.rates is None else inputs.rates.attrs
    of_several = ", ".join(inputs.run.get("sessions") or {})
    return str(attributes.get("session") or of_several or "run")


def status(inputs: FigureInputs) -> str:
    """How the run stands, as it says itself."""
    return str(inputs.run.get("status", "unknown"))


def headline(inputs: FigureInputs) -> list[str]:
    """The outcome of training in two or three sentences."""
    if not inputs.metrics:
        return [_status_sentence(inputs), "No epoch is on record."]
    return [_status_sentence(inputs), *_training_sentences(inputs)]


def _status_sentence(inputs: FigureInputs) -> str:
    reason = inputs.run.get("reason")
    because = f": {str(reason).rstrip('.')}" if reason else ""
    n_epochs = len(inputs.metrics)
    after = f" after {n_epochs} epoch{'s' if n_epochs != 1 else ''}" if n_epochs else ""
    seconds = sum(float(row.get("seconds") or 0.0) for row in inputs.metrics)
    took = f" and {_duration(seconds)} of training" if seconds else ""
    words = {
        "finished": "Training finished",
        "running": "The run is still going on, or was killed",
        "interrupted": "The run was interrupted",
        "failed": "The run failed",
    }
    return f"{words.get(status(inputs), 'How the run ended is not known')}{after}{took}{because}."


def _training_sentences(inputs: FigureInputs) -> list[str]:
    refit = inputs.run.get("refit")
    if refit:
        return [
            f"It is a refit of {refit.get('run', 'another run')}: the number of epochs was set "
            "beforehand and the last one is kept. Its score is of training trials; nothing was "
            "selected on it."
        ]
    best = chosen_epoch(inputs)
    if best is None:
        return [
            "No epoch counted as the best one: the ramps were not over, or no score was finite."
        ]
    row, member = best
    score, ids = term(inputs.metrics, "valid_score"), member_ids(inputs.metrics)
    word = "slot" if is_search(inputs.run, inputs.history) else "member"
    of_members = f", {word} {ids[member]} of {len(ids)}" if len(ids) > 1 else ""
    sentence = (
        f"The best epoch is {inputs.metrics[row]['epoch']}{of_members}: smoothed validation score "
        f"{score[row, member]:.5g} (reconstruction in nats, lower is better; used for selection)."
    )
    if is_search(inputs.run, inputs.history):
        return [sentence, "How it was found is told under “The search”."]
    if row == len(inputs.metrics) - 1 and len(inputs.metrics) > 1:
        return [sentence, "It is the last epoch: the score was still falling, so train longer."]
    return [sentence]


def warnings(inputs: FigureInputs) -> list[str]:
    """What a reader must know before trusting the rest."""
    found = [str(text) for text in inputs.run.get("warnings", ())]
    if status(inputs) not in ("finished", "unknown"):
        found.append(
            f"The run is marked {status(inputs)!r}: everything below is as of the last epoch on "
            "record. `lfads resume` goes on exactly."
        )
    for row in inputs.metrics:
        found += [f"Epoch {row.get('epoch')}: {text}" for text in row.get("messages") or ()]
    if not is_search(inputs.run, inputs.history):  # its story names the members that were frozen
        found += _not_finite(inputs.metrics)
    sets = set() if inputs.rates is None else set(aligned.trial_sets(inputs))
    if sets and "test" not in sets and "new" not in sets and "valid" not in sets:
        found.append(
            "Every trial below served for training: no figure here says how the model does on new "
            "trials. Evaluate it on a recording kept aside."
        )
    elif sets and "test" not in sets and "new" not in sets:
        found.append(
            "There is no test set: the validation figures below were used for selection and "
            "flatter the model. Set split.test_fraction, or evaluate on a recording kept aside."
        )
    return found


def _not_finite(metrics: Sequence[Mapping[str, Any]]) -> list[str]:
    found = []
    for key in _WARNED_TERMS:
        if not any(key in row for row in metrics):
            continue
        wrong = [
            row.get("epoch")
            for row in metrics
            if any(number is None for number in _as_list(row.get(key)))
        ]
        if wrong:
            found.append(
                f"{key} was not finite in {len(wrong)} epoch{'s' if len(wrong) > 1 else ''} "
                f"(first: {wrong[0]}): the member went back to the start of the epoch and on at "
                "half its learning rate, or was given up."
            )
    return found


def facts(inputs: FigureInputs) -> list[tuple[str, str]]:
    """What ran: a label and a value per line; what is not on record is left out."""
    run, attributes = inputs.run, {} if inputs.rates is None else inputs.rates.attrs
    command = run.get("command")
    sizes = run.get("sizes") or {}
    rows = [
        ("Version", run.get("version") or (run.get("versions") or {}).get("lfads-torch")
         or attributes.get("version")),
        ("Command", command if isinstance(command, str) else shlex.join(map(str, command or ()))),
        ("Started", run.get("start")),
        ("Ended", run.get("end")),
        ("Seed", run.get("seed")),
        ("Members", run.get("n_members")),
        ("Data", run.get("data_path")),
        ("Data fingerprint", run.get("data_fingerprint")),
        ("Session", title(inputs) if attributes or inputs.recording else None),
        ("Observation", attributes.get("observation")),
        ("Sizes", ", ".join(f"{name.replace('_', ' ')} {size}" for name, size in sizes.items())),
        ("Causal", "yes: rates follow from earlier bins alone" * int(attributes.get("causal", 0))),
        ("Posterior samples", attributes.get("n_posterior_samples")),
        ("Member of the rates", attributes.get("member")),
        ("Members whose rates are averaged",
         ", ".join(map(str, _as_list(attributes.get("ensemble_members", []))))),
        ("Device", ", ".join(str(run[key]) for key in ("device", "backend", "precision", "machine")
                             if run.get(key))),
        ("Threads", run.get("threads")),
    ]  # fmt: skip
    return [(label, str(value)) for label, value in rows if value not in (None, "")]


def beta_rows(inputs: FigureInputs) -> list[tuple[str, str, str]]:
    """Name, value and a one-line reading of both divergences' weights in units of the bound."""
    attributes = {} if inputs.rates is None else inputs.rates.attrs
    recorded = inputs.run.get("beta") or {}
    rows = []
    for key, name in (("initial_condition", "initial condition"), ("inputs", "inferred inputs")):
        value = attributes.get(f"beta_{key}")
        value = recorded.get(key, recorded.get(f"beta_{key}")) if value is None else value
        numbers = [float(number) for number in _as_list(value) if number is not None]
        if numbers:
            low, high = min(numbers), max(numbers)
            text = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g} over members"
            rows.append((name, text, _reading(float(np.median(numbers)), inputs)))
    return rows


def _reading(beta: float, inputs: FigureInputs) -> str:
    if not inputs.settings.get("model", {}).get("variational", True):
        return "not variational: means alone, nothing is sampled and no divergence weighs"
    if beta == 0:
        return "switched off: nothing keeps the posterior near its prior"
    if beta < 0.1:
        return (
            "weak, far below the evidence bound's 1 (usual for LFADS): the posterior may carry "
            "much of a trial's detail, and its spread is no calibrated uncertainty"
        )
    if beta < 1:
        return "moderate, below the evidence bound's 1: detail is favoured over the prior"
    return "strong, at or above the evidence bound's 1: only what pays for itself leaves the prior"


def set_rows(inputs: FigureInputs) -> list[tuple[str, int, str]]:
    """Set, number of trials and what it served for."""
    if inputs.rates is not None:
        labels = aligned.trial_sets(inputs)
    elif inputs.recording is not None and inputs.recording.split is not None:
        labels = inputs.recording.split.trial_set
    else:
        return []
    names = [*_ROLES, *sorted(set(labels) - set(_ROLES))]
    counted = [(name, int((labels == name).sum())) for name in names]
    shown = {**aligned.SET_WORDS, "unused": "unused"}
    roles = dict(_ROLES)
    if is_search(inputs.run, inputs.history):
        roles["valid"] = "drove the search and chose the best epoch"
    return [(shown.get(name, name), n, roles.get(name, "")) for name, n in counted if n]


def set_remarks(inputs: FigureInputs) -> list[str]:
    """Units and bins: how many, held out, predicted only."""
    if inputs.rates is None:
        return []
    seen, seen_bins = aligned.is_encoded(inputs), aligned.is_encoded_bin(inputs)
    held_out, forward = int((~seen).sum()), int((~seen_bins).sum())
    width_ms = 1e3 * aligned.bin_width_s(inputs)
    return [
        f"{counted(len(seen), 'unit')}, {held_out or 'none'} of them held out (never "
        "shown to the encoder).",
        f"{counted(len(seen_bins), 'bin')} of {width_ms:g} ms in every trial, "
        f"{forward or 'none'} of them "
        "forward bins (predicted, not shown to the encoder).",
    ]


def finding_rows(check: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Severity, what was found and the remedy, of each finding of the data check."""
    findings = check.get("findings", ())
    rows = []
    for finding in findings:
        if not isinstance(finding, Mapping):
            rows.append(("note", str(finding), ""))
            continue
        severity = finding.get("severity", finding.get("level", "note"))
        texts = [finding.get(key) for key in ("found", "message", "text", "what", "name")]
        text = next((text for text in texts if text), "")
        rows.append((str(severity), str(text), str(finding.get("remedy") or "")))
    return rows


def settings_text(settings: Mapping[str, Any]) -> str:
    """The resolved settings as YAML; empty if they are not on record."""
    if not settings:
        return ""
    import yaml

    return str(yaml.safe_dump(json.loads(json.dumps(settings, default=str)), sort_keys=False))


def version_rows(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Versions of libraries on record."""
    return [(str(name), str(version)) for name, version in (run.get("versions") or {}).items()]


def _as_list(value: Any) -> list[Any]:  # a JSON number, null, or a list of them
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple, np.ndarray)) else [value]


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
