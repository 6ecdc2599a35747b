"""docs/from_lfads_torch.md tells what is so: its tables are those of the mapping's own code."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from lfads_torch.cli.app import COMMANDS, run
from lfads_torch.config.declarations import declarations
from lfads_torch.config.tree import section_types
from lfads_torch.workflows.from_lfads_torch.options import OPTIONS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "from_lfads_torch.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tables", DOCS / "lfads_torch_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_up_to_date(tables: ModuleType) -> None:
    assert tables.with_tables(PAGE) == PAGE, "run `python docs/lfads_torch_tables.py`"
    assert "| `model.gen_dim` | `model.generator_size` |" in PAGE
    assert "| `Gamma` | `loss.observation` |" in PAGE


def test_every_option_of_lfads_torch_is_in_them() -> None:
    options = """encod_data_dim encod_seq_len recon_seq_len ext_input_dim ic_enc_seq_len ic_enc_dim
    ci_enc_dim ci_lag con_dim co_dim ic_dim gen_dim fac_dim dropout_rate variational
    ic_post_var_min cell_clip loss_scale recon_reduce_mean lr_scheduler lr_init lr_stop lr_decay
    lr_patience lr_adam_beta1 lr_adam_beta2 lr_adam_epsilon weight_decay l2_start_epoch
    l2_increase_epoch l2_ic_enc_scale l2_ci_enc_scale l2_gen_scale l2_con_scale kl_start_epoch
    kl_increase_epoch kl_ic_scale kl_co_scale"""
    assert [name for name in options.split() if f"`model.{name}`" not in PAGE] == []


def test_settings_and_commands_that_are_named_exist(capsys: pytest.CaptureFixture[str]) -> None:
    sections = "|".join(section_types())
    here = set(re.findall(rf"`(?:--set )?((?:{sections})\.[a-z][a-z0-9_]+)=?[^`]*`", PAGE))
    theirs = set(re.findall(r"^\| `([\w.]+)` \|", PAGE, re.MULTILINE))
    assert here - theirs - {"run.json"} - set(declarations()) == set()
    assert set(re.findall(r"`?lfads ([\w-]+)[ `]", PAGE)) <= set(COMMANDS)
    assert run(["import", "--help"]) == 0
    printed = capsys.readouterr().out
    used = set(re.findall(r"--(?:data|config|of-session|set|bin-width|out)\b", PAGE))
    assert all(option in printed for option in used)


def test_an_option_said_to_be_a_setting_sets_it_for_some_value() -> None:
    values = (0, 1, 3, 0.5, False, True)
    for name, option in OPTIONS.items():
        if option.setting and option.value:
            assert any(option.value(value) is not None for value in values), name
