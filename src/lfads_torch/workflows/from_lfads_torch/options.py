"""Options of lfads-torch that are one number, text or truth value, and the settings they become.

Every option that lfads-torch knows stands in this table or in `parts.py`; the page
`docs/from_lfads_torch.md` is made from both. Sources: the arguments of its model, data module and
trainer, and the names that earlier versions gave them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lfads_torch.config.tree import SettingValue

__all__ = ["OPTIONS", "Option"]


@dataclass(frozen=True)
class Option:
    """One option: the setting of ours, or what happens instead.

    `value` says how the value changes; without it, it stays. It gives None where this value needs
    no setting; `note` says why, or what there is to know of the setting.
    """

    setting: str | None = None
    note: str = ""
    value: Callable[[Any], SettingValue | None] | None = None

    def settings(self, given: Any) -> Mapping[str, SettingValue]:
        if self.setting is None or given is None:
            return {}
        value = given if self.value is None else self.value(given)
        return {} if value is None else {self.setting: value}


_DATA = "read off the recording; nobody types it"
_NO_DECAY = "without effect where lr_scheduler is off"


def _whole(value: Any) -> SettingValue | None:
    return int(value)


def _real(value: Any) -> SettingValue | None:
    return float(value)


_MODEL = {
    "encod_data_dim": Option(note=_DATA),
    "recon_data_dim": Option(note=_DATA),
    "data_dim": Option(note=_DATA),
    "encod_seq_len": Option(note=_DATA),
    "recon_seq_len": Option(note=_DATA),
    "seq_len": Option(note=_DATA),
    "ext_input_dim": Option(note=_DATA),
    "ic_enc_seq_len": Option("model.ic_bins", value=_whole),
    "ic_enc_dim": Option("model.ic_encoder_size", value=_whole),
    "ci_enc_dim": Option("model.controller_encoder_size", value=lambda size: int(size) or None,
                         note="0: no controller, as model.n_inferred_inputs=0"),
    "ci_lag": Option("model.controller_lag_bins", value=_whole),
    "con_dim": Option("model.controller_size", value=lambda size: int(size) or None,
                      note="0: no controller, as model.n_inferred_inputs=0"),
    "co_dim": Option("model.n_inferred_inputs", value=_whole),
    "ic_dim": Option("model.initial_condition_size", value=_whole),
    "gen_dim": Option("model.generator_size", value=_whole),
    "fac_dim": Option("model.n_factors", value=_whole),
    "dropout_rate": Option("augmentation.dropout_rate", value=_real),
    "ic_post_var_min": Option("model.initial_condition_variance_floor", value=_real),
    "cell_clip": Option("model.cell_clip", value=_real),
    "loss_scale": Option("loss.scale", value=_real),
    "recon_reduce_mean": Option(
        "loss.reconstruction", value=lambda is_mean: "mean" if is_mean else "sum"
    ),
    "lr_init": Option("training.learning_rate", value=_real),
    "lr_stop": Option("training.learning_rate_floor", value=_real, note=_NO_DECAY),
    "lr_decay": Option("training.plateau_factor", value=_real, note=_NO_DECAY),
    "lr_patience": Option("training.plateau_patience", value=_whole, note=_NO_DECAY),
    "lr_scheduler": Option(
        "training.plateau_factor", value=lambda is_on: None if is_on else 1.0,
        note="on: as lr_decay, lr_patience and lr_stop say",
    ),
    "lr_adam_beta1": Option("training.beta1", value=_real),
    "lr_adam_beta2": Option("training.beta2", value=_real),
    "lr_adam_epsilon": Option("training.epsilon", value=_real),
    "weight_decay": Option("training.weight_decay", value=_real),
    "l2_start_epoch": Option("loss.l2_ramp_start", value=_whole),
    "l2_increase_epoch": Option("loss.l2_ramp_increase", value=_whole),
    "l2_ic_enc_scale": Option("loss.l2_ic_encoder_scale", value=_real),
    "l2_ci_enc_scale": Option("loss.l2_controller_encoder_scale", value=_real),
    "l2_gen_scale": Option("loss.l2_generator_scale", value=_real),
    "l2_con_scale": Option("loss.l2_controller_scale", value=_real),
    "kl_start_epoch": Option("loss.kl_ramp_start", value=_whole),
    "kl_increase_epoch": Option("loss.kl_ramp_increase", value=_whole),
    "kl_ic_scale": Option("loss.kl_initial_condition_scale", value=_real),
    "kl_co_scale": Option("loss.kl_input_scale", value=_real),
    "cd_rate": Option("augmentation.coordinated_dropout_rate", value=_real),
    "cd_pass_rate": Option("augmentation.coordinated_dropout_pass_rate", value=_real),
    "sv_rate": Option("augmentation.sample_validation_rate", value=_real),
    "sv_seed": Option(note="run.seed is the one seed of everything random but the split"),
    "variational": Option("model.variational", value=bool),
    "sample_posteriors": Option(note="posteriors are sampled in training and averaged at the end"),
    "gen_type": Option(
        note="the generator is a GRU; another cell is a plug-in, model.generator",
    ),
}  # fmt: skip

_DATAMODULE = {
    "batch_size": Option("training.batch_size", value=_whole,
                         note="at most; an epoch's last, smaller batch is not dropped"),
    "data_paths": Option(note="give the file to the command"),
    "datafile_pattern": Option(note="give the files to the command"),
    "dataset_name": Option(note="give the prepared file to the command"),
    "phase": Option(note="give the prepared file to the command"),
    "bin_width": Option(note="of the recording: `--bin-width SECONDS` where the file has none"),
    "batch_keys": Option(note="further arrays of the file are carried along in the recording"),
    "attr_keys": Option(note="further arrays of the file are carried along in the recording"),
    "reshuffle_tv_seed": Option(
        note="importing a checkpoint draws the same training and validation trials again; for a "
        "new fit use split.seed"
    ),
    "reshuffle_tv_ratio": Option(
        "split.valid_fraction", value=lambda ratio: float(ratio) if 0 < ratio < 1 else None,
        note="where a new split is drawn",
    ),
    "sv_rate": Option("augmentation.sample_validation_rate", value=_real),
    "dm_sv_rate": Option("augmentation.sample_validation_rate", value=_real),
    "sv_seed": Option(note="run.seed is the one seed of everything random but the split"),
    "dm_sv_seed": Option(note="run.seed is the one seed of everything random but the split"),
    "dm_ic_enc_seq_len": Option(
        note="as model.ic_enc_seq_len; external inputs stay where they are"
    ),
    "num_workers": Option(note="the recording lies on the device as a whole"),
    "n_train": Option(note="the split says which trials train"),
}  # fmt: skip

_TRAINER = {
    "max_epochs": Option("training.epochs", value=_whole),
    "gradient_clip_val": Option("training.max_gradient_norm", value=_real),
    "gpus": Option(note="run.device; auto: the accelerator where there is one"),
    "accelerator": Option(note="run.device; auto: the accelerator where there is one"),
    "devices": Option(note="one device; a population is one tensor program on it"),
    "precision": Option(note="run.precision: float32, float64, or bf16 for products"),
    "log_every_n_steps": Option(note="metrics.jsonl has every epoch"),
    "track_grad_norm": Option(note="metrics.jsonl has the norm of every epoch"),
    "enable_checkpointing": Option(note="checkpoints are always kept"),
    "enable_progress_bar": Option(note="--quiet"),
    "enable_model_summary": Option(note="lfads inspect RUN"),
    "num_sanity_val_steps": Option(note="data are checked as a whole before training"),
    "weights_summary": Option(note="lfads inspect RUN"),
}

_OTHERS = {
    "seed": Option("run.seed", value=_whole),
    "ignore_warnings": Option(note="--quiet"),
    "callbacks.early_stopping.patience": Option(
        "training.patience", value=_whole, note="never ends it before both ramps are over"
    ),
    "callbacks.early_stopping.monitor": Option(
        note="the smoothed validation reconstruction; which entries count: training.score_entries"
    ),
    "callbacks.early_stopping.mode": Option(note="lower scores are better"),
    "callbacks.early_stopping.min_delta": Option(note="any lower score counts as better"),
    "posterior_sampling.fn.num_samples": Option("inference.n_samples", value=_whole),
    "posterior_sampling.fn.filename": Option(note="rates.nc in the run folder"),
    "posterior_sampling.use_best_ckpt": Option(note="rates are those of the best epoch"),
    "posterior_sampling.best_ckpt": Option(note="rates are those of the best epoch"),
}

# Dotted name of theirs -> what it becomes.
OPTIONS: Mapping[str, Option] = {
    **{f"model.{name}": option for name, option in _MODEL.items()},
    **{f"datamodule.{name}": option for name, option in _DATAMODULE.items()},
    **{f"trainer.{name}": option for name, option in _TRAINER.items()},
    **_OTHERS,
}
