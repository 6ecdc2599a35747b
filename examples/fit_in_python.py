"""Fit LFADS from Python to counts whose true rates are known, and see how near it comes.

Run it with `python examples/fit_in_python.py`. It takes under a minute on one processor core and
writes nothing. With your own recording the counts come from you, everything else stays as it is.
"""

from __future__ import annotations

import numpy as np

from lfads_torch import LFADS
from lfads_torch.analysis.metrics.r_squared import pooled_r2
from lfads_torch.data.synthetic.choose import synthesise

# 160 trials of 40 bins of 10 ms from 40 units that follow a Lorenz attractor.
recording = synthesise(
    "demo", seed=0, n_conditions=16, n_trials_per_condition=10, n_valid_per_condition=2, n_steps=400
)
counts, true_rates = recording.counts, recording.true_rates
is_test = recording.split.trial_set == "test"

# The test trials are kept from the fit altogether. Of the others, a fifth choose the best epoch.
model = LFADS(preset="demo", settings={"training.epochs": 60}, threads=1)
model.fit(counts[~is_test], bin_width_s=recording.bin_width_s)
rates = model.transform(counts[is_test])  # [trial, bin, unit], spikes/s

# A constant rate, each unit's mean, has an R2 of 0 by definition.
r2 = pooled_r2(true_rates[is_test], rates, label="true rates")
print(f"trials: {np.sum(~is_test)} to fit, {np.sum(is_test)} to test")
print(f"R2 of the true rates, test trials, mean over units: {r2.value:.2f}")
print(f"masked bits per spike, test trials: {model.score(counts[is_test]):.3f}")

results = model.infer(counts[is_test])  # an xarray.Dataset
for name in ("rates", "factors", "inferred_input_mean", "initial_condition_mean"):
    print(f"{name}: {dict(results[name].sizes)}")
