"""Which setting somebody probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher

__all__ = ["nearest_setting", "nearest_word"]

_LIKE_ENOUGH = 0.6  # difflib's own cutoff for close matches


def nearest_setting(name: str, known: Iterable[str]) -> str | None:
    """The known dotted name most like `name`, or None where nothing is like it.

    The last part counts most, so that a setting in a wrong section, or in none, is found in its
    own; the section decides between equals. Names of lfads-torch 1 and autolfads-tf2 are known.
    """
    section, _, key = name.rpartition(".")
    if (translated := _PEER_NAMES.get(key.lower())) is not None:
        return translated

    def likeness(candidate: str) -> tuple[float, float]:
        its_section, _, its_key = candidate.rpartition(".")
        return _ratio(key, its_key), _ratio(section, its_section)

    best = max(known, key=likeness, default=None)
    return best if best is not None and likeness(best)[0] >= _LIKE_ENOUGH else None


def nearest_word(word: str, known: Iterable[str]) -> str | None:
    """The known word most like `word`, or None where nothing is like it."""
    best = max(known, key=lambda candidate: _ratio(word, candidate), default=None)
    return best if best is not None and _ratio(word, best) >= _LIKE_ENOUGH else None


def _ratio(first: str, second: str) -> float:
    return SequenceMatcher(None, first.lower(), second.lower(), autojunk=False).ratio()


_PEER_NAMES = {
    "lr": "training.learning_rate",
    "lr_init": "training.learning_rate",
    "lr_stop": "training.learning_rate_floor",
    "lr_decay": "training.plateau_factor",
    "lr_patience": "training.plateau_patience",
    "lr_adam_beta1": "training.beta1",
    "lr_adam_beta2": "training.beta2",
    "lr_adam_epsilon": "training.epsilon",
    "max_epochs": "training.epochs",
    "gradient_clip_val": "training.max_gradient_norm",
    "max_grad_norm": "training.max_gradient_norm",
    "ic_enc_dim": "model.ic_encoder_size",
    "ci_enc_dim": "model.controller_encoder_size",
    "ci_lag": "model.controller_lag_bins",
    "con_dim": "model.controller_size",
    "co_dim": "model.n_inferred_inputs",
    "ic_dim": "model.initial_condition_size",
    "gen_dim": "model.generator_size",
    "fac_dim": "model.n_factors",
    "ic_enc_seq_len": "model.ic_bins",
    "ic_post_var_min": "model.initial_condition_variance_floor",
    "kl_ic_scale": "loss.kl_initial_condition_scale",
    "kl_co_scale": "loss.kl_input_scale",
    "kl_start_epoch": "loss.kl_ramp_start",
    "kl_increase_epoch": "loss.kl_ramp_increase",
    "l2_start_epoch": "loss.l2_ramp_start",
    "l2_increase_epoch": "loss.l2_ramp_increase",
    "l2_ic_enc_scale": "loss.l2_ic_encoder_scale",
    "l2_ci_enc_scale": "loss.l2_controller_encoder_scale",
    "l2_con_scale": "loss.l2_controller_scale",
    "l2_gen_scale": "loss.l2_generator_scale",
    "loss_scale": "loss.scale",
    "recon_reduce_mean": "loss.reconstruction",
    "cd_rate": "augmentation.coordinated_dropout_rate",
    "cd_pass_rate": "augmentation.coordinated_dropout_pass_rate",
    "gen_scale": "loss.l2_generator_scale",
    "con_scale": "loss.l2_controller_scale",
    "co_weight": "loss.kl_input_scale",
    "ic_weight": "loss.kl_initial_condition_scale",
    "num_workers": "search.population",
    "num_trials": "search.population",
    "epochs_per_generation": "search.generation_epochs",
    "perturbation_interval": "search.generation_epochs",
    "min_improvement_ratio": "search.stop_tolerance",
    "quantile_fraction": "search.truncation_share",
}
