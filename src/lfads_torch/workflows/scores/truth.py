"""Agreement with known truth: rates, latents, and the coverage of the bands of the rates."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lfads_torch.counted import counted
from lfads_torch.errors import DataError
from lfads_torch.workflows.scores.gain import ensemble_gain
from lfads_torch.workflows.scores.measure import Measured, absent, measured, need_train
from lfads_torch.workflows.scores.record import Score
from lfads_torch.workflows.scores.trials import Case

if TYPE_CHECKING:
    from lfads_torch.analysis.metrics.intervals import TrialScore

__all__ = ["truth_scores"]

LEVELS = (0.5, 0.9)
COVERAGE_NOTE = (
    "share of true rates within the nominal band of rate_posterior_std, which is a spread over "
    "posterior samples at the beta in use and no confidence interval"
)


def truth_scores(case: Case) -> Iterator[Score]:
    """In all generated bins."""
    recording = case.evaluated.recording
    if recording.true_rates is None:
        reason = "true rates are not known"
        for name in ("true_rates_r2", *(_coverage_name(level) for level in LEVELS)):
            yield absent(case, name, reason)
    else:
        yield measured(case, "true_rates_r2", partial(_rates, case))
        yield from ensemble_gain(case, "true_rates_r2", partial(_with_and_without, case))
        for level in LEVELS:
            yield measured(case, _coverage_name(level), partial(_coverage, case, level))
    if recording.true_latents is None:
        yield absent(case, "true_latents_r2", "true latents are not known")
    else:
        yield measured(case, "true_latents_r2", partial(_latents, case))


def _coverage_name(level: float) -> str:
    return f"coverage_of_{100 * level:.0f}_percent_band"


def _rates(case: Case) -> Measured:
    from lfads_torch.analysis.metrics.truth import true_rate_r2

    own = case.evaluated
    score = true_rate_r2(own.signals.rates, _true_rates(case))
    note = (
        f"{counted(score.n_excluded, 'unit')} of constant true rate left out"
        if score.n_excluded
        else ""
    )
    return Measured(trial_score=score, note=note, details={"per_unit": score.per_column})


def _with_and_without(case: Case) -> tuple[TrialScore, TrialScore]:
    """Of the ensemble's rates and of its best member's."""
    from lfads_torch.analysis.metrics.truth import true_rate_r2

    ensemble, alone = case.evaluated.signals.rates, case.of_best_model.signals.rates
    true = _true_rates(case)
    return true_rate_r2(ensemble, true), true_rate_r2(alone, true)


def _coverage(case: Case, level: float) -> Measured:
    from lfads_torch.analysis.metrics.coverage import band_coverage

    # Band and rates of one model: the spread of its samples says nothing of the ensemble's mean.
    signals = case.of_best_model.signals
    if signals.rate_posterior_std is None:
        if not case.model.settings.model.variational:
            raise DataError("the model is not variational: its rates have no spread")
        raise DataError("fewer than two posterior samples give no spread: set inference.n_samples")
    (score,) = band_coverage(
        signals.rates, signals.rate_posterior_std, true_rates=_true_rates(case), levels=(level,)
    )
    beside = {"nominal": level}
    return Measured(trial_score=score, note=COVERAGE_NOTE, beside=beside, is_of_rates=False)


def _true_rates(case: Case) -> NDArray[np.floating]:
    own = case.evaluated
    return np.asarray(own.recording.true_rates)[:, own.first_bin :]


def _latents(case: Case) -> Measured:
    from lfads_torch.analysis.metrics.truth import true_latent_r2

    train, own = need_train(case), case.evaluated
    if train.recording.true_latents is None:
        raise DataError("the true latents of the training trials are not known")
    score = true_latent_r2(
        train.signals.factors,
        train.recording.true_latents[:, train.first_bin :],
        factors=own.signals.factors,
        latents=np.asarray(own.recording.true_latents)[:, own.first_bin :],
    )
    return Measured(
        trial_score=score,
        note="after an affine regression from factors, fitted on training trials",
        details={"per_dimension": score.per_column},
        is_of_rates=False,
    )
