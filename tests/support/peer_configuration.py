"""A configuration folder as lfads-torch's repository has it, with groups and interpolations."""

from __future__ import annotations

from pathlib import Path

__all__ = ["write_configuration"]

SINGLE = """\
defaults:
  - model: small_model
  - datamodule: my_data
  - callbacks: default
  - override hydra/hydra_logging: colorlog
  - _self_

seed: 7
ignore_warnings: False

trainer:
  _target_: pytorch_lightning.Trainer
  gradient_clip_val: 150
  max_epochs: 1_200
  log_every_n_steps: 5
  gpus: 1

model:
  kl_ic_scale: 3e-6

callbacks:
  early_stopping:
    _target_: pytorch_lightning.callbacks.EarlyStopping
    monitor: valid/recon_smth
    mode: min
    patience: 200
    min_delta: 0

posterior_sampling:
  use_best_ckpt: True
  fn:
    _target_: lfads_torch.post_run.analysis.run_posterior_sampling
    filename: lfads_output.h5
    num_samples: 40
"""

MODEL = """\
_target_: lfads_torch.model.LFADS

encod_data_dim: 137
encod_seq_len: 35
recon_seq_len: 45
ext_input_dim: 0
ic_enc_seq_len: {ic_enc_seq_len}
ic_enc_dim: 64
ci_enc_dim: 48
ci_lag: 2
con_dim: ${{.ci_enc_dim}}
co_dim: 4
ic_dim: 32
gen_dim: 200
fac_dim: 40

readin:
  - _target_: torch.nn.Identity
readout:
  _target_: torch.nn.ModuleList
  modules:
    - _target_: lfads_torch.modules.readin_readout.FanInLinear
      in_features: ${{model.fac_dim}}
      out_features: 182

train_aug_stack:
  _target_: lfads_torch.modules.augmentations.AugmentationStack
  transforms:
    - _target_: lfads_torch.modules.augmentations.SelectiveBackpropThruTime
    - _target_: lfads_torch.modules.augmentations.CoordinatedDropout
      cd_rate: 0.45
      cd_pass_rate: 0.1
      ic_enc_seq_len: ${{model.ic_enc_seq_len}}
    - _target_: lfads_torch.modules.augmentations.SampleValidation
      sv_rate: 0.2
      ic_enc_seq_len: 0
      recon_reduce_mean: True
  batch_order: [0, 1]
  loss_order: [0, 1]
infer_aug_stack:
  _target_: lfads_torch.modules.augmentations.AugmentationStack
  transforms:
    - _target_: lfads_torch.modules.augmentations.SelectiveBackpropThruTime
  batch_order: [0]
  loss_order: [0]

reconstruction:
  - _target_: lfads_torch.modules.recons.Poisson
variational: True
co_prior:
  _target_: lfads_torch.modules.priors.AutoregressiveMultivariateNormal
  tau: 12.0
  nvar: 0.2
  shape: ${{model.co_dim}}
ic_prior:
  _target_: lfads_torch.modules.priors.MultivariateNormal
  mean: 0
  variance: 0.15
  shape: ${{model.ic_dim}}
ic_post_var_min: 1.0e-4

dropout_rate: 0.3
cell_clip: 5.0
loss_scale: 1.0e+4
recon_reduce_mean: True

lr_init: 4.0e-3
lr_stop: 1.0e-5
lr_decay: 0.95
lr_patience: 6
lr_adam_beta1: 0.9
lr_adam_beta2: 0.99
lr_adam_epsilon: 1.0e-8
lr_scheduler: {lr_scheduler}

weight_decay: 1e-3
l2_start_epoch: 1
l2_increase_epoch: 70
l2_ic_enc_scale: 0.0
l2_ci_enc_scale: 0.5
l2_gen_scale: 1e-2
l2_con_scale: 2e-2
kl_start_epoch: 2
kl_increase_epoch: 90
kl_ic_scale: 1.0e-7
kl_co_scale: 1.0e-7
"""

DATA = """\
_target_: lfads_torch.datamodules.BasicDataModule
data_paths:
  - ${relpath:datasets/my_data.h5}
batch_size: 96
reshuffle_tv_seed: 3
dm_ic_enc_seq_len: ${model.ic_enc_seq_len}
"""

CALLBACKS = """\
raster_plot:
  _target_: lfads_torch.callbacks.RasterPlot
  log_every_n_epochs: 200
"""


def write_configuration(
    folder: Path, *, ic_enc_seq_len: int = 0, lr_scheduler: bool = True
) -> Path:
    """The path of `single.yaml`, its groups beside it."""
    model = MODEL.format(ic_enc_seq_len=ic_enc_seq_len, lr_scheduler=lr_scheduler)
    texts = {
        "single.yaml": SINGLE,
        "model/small_model.yaml": model,
        "datamodule/my_data.yaml": DATA,
        "callbacks/default.yaml": CALLBACKS,
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder / "single.yaml"
