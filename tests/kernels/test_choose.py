"""The choice of a backend."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import replace

import pytest
import torch

from lfads_torch.errors import SettingsError
from lfads_torch.kernels.choose import (
    BACKENDS,
    choose_kernels,
    describe_compiled,
    describe_triton,
    require_one_precision,
    with_own_generator,
)
from lfads_torch.kernels.compiled import library as library_module
from lfads_torch.kernels.compiled.library import Absent, find_library
from lfads_torch.kernels.decoder import portable as decoder_portable
from lfads_torch.kernels.decoder import reference as decoder_reference
from lfads_torch.kernels.gru import portable as gru_portable
from lfads_torch.kernels.gru import reference as gru_reference

FLOAT64 = {"dtype": torch.float64}
GPU = {"device": torch.device("cuda")}


@pytest.fixture
def no_triton(monkeypatch):
    """As on a machine without Triton: importing it fails."""
    for name in [each for each in sys.modules if each.startswith("lfads_torch.kernels.triton")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "triton", None)


def test_without_triton_a_gpu_runs_the_portable_kernels_and_says_why(no_triton):
    assert "Triton cannot be imported" in choose_kernels(**GPU).reason
    assert describe_triton().startswith("not available: Triton cannot be imported")
    with pytest.raises(SettingsError, match=r"triton cannot run here: .*comes with a CUDA build"):
        choose_kernels("triton", **GPU)
    with pytest.raises(SettingsError, match="not in float64"):
        choose_kernels("triton-bf16", **FLOAT64)


def test_auto_takes_the_compiled_kernels_where_they_were_built():
    kernels = choose_kernels()
    library = find_library()
    if isinstance(library, Absent):
        assert kernels.name == "portable"
        assert library.reason in kernels.reason
    else:
        assert kernels.name == f"compiled-{library.best}"
        assert library.best in kernels.reason


@pytest.mark.parametrize(
    ("needs", "text"), [(FLOAT64, "not in float64"), (GPU, "not on cuda")], ids=["type", "device"]
)
def test_auto_is_portable_where_no_faster_kernels_can_compute(needs, text, no_triton):
    kernels = choose_kernels(**needs)
    assert kernels.name == "portable"
    assert kernels.gru_scan is gru_portable.gru_scan
    assert kernels.decoder_scan is decoder_portable.decoder_scan
    assert "the fastest that can run here" in kernels.reason
    with pytest.raises(SettingsError, match=rf"compiled cannot run here: .*{text}"):
        choose_kernels("compiled", **needs)


def test_without_the_library_auto_is_portable_and_says_how_to_build_it(monkeypatch, tmp_path):
    monkeypatch.setattr(library_module, "find_library", lambda: find_library(tmp_path))
    kernels = choose_kernels()
    assert kernels.name == "portable"
    assert "was not built; run `make compiled`" in kernels.reason
    with pytest.raises(SettingsError, match=r"was not built.*Choose auto"):
        choose_kernels("compiled")
    assert describe_compiled().startswith("not available")


def test_a_file_that_is_no_library_is_not_used(tmp_path):
    (tmp_path / "lfads_kernels.so").write_bytes(b"no library")
    found = find_library(tmp_path)
    assert isinstance(found, Absent)
    assert "cannot be loaded" in found.reason


def test_an_instruction_set_can_be_asked_for_and_is_part_of_the_name():
    library = find_library()
    if isinstance(library, Absent):
        pytest.skip(library.reason)
    assert choose_kernels("compiled-generic").name == "compiled-generic"
    assert choose_kernels("compiled").name == f"compiled-{library.best}"
    with pytest.raises(SettingsError, match="has no 'mmx' on this machine, but generic"):
        choose_kernels("compiled-mmx")


def with_library():
    library = find_library()
    if isinstance(library, Absent):
        pytest.skip(library.reason)
    return library


@pytest.mark.parametrize(
    ("wanted", "precision"), [("auto", "bf16"), ("compiled", "bf16"), ("compiled-bf16", "auto")]
)
def test_bf16_is_part_of_the_name_and_told_with_what_it_brings(wanted, precision):
    library = with_library()
    kernels = choose_kernels(wanted, precision=precision)
    assert kernels.name == f"compiled-{library.best_of_bf16}-bf16"
    assert kernels.precision == "bf16"
    assert kernels.gru_scan.bf16
    assert kernels.decoder_scan.bf16
    assert kernels.fused.gru.bf16
    has_amx = library.best_of_bf16 == "amx"
    assert ("on the tiles of AMX" if has_amx else "which is no faster") in kernels.reason
    # As it stands in the record of a run, whatever is asked for later.
    assert choose_kernels(kernels.name, precision="float32").precision == "bf16"


def test_precision_auto_is_float32_and_says_so():
    with_library()
    kernels = choose_kernels(precision="auto")
    assert kernels.precision == "float32"
    assert not kernels.fused.gru.bf16
    assert "products in float32, as run.precision auto means" in kernels.reason
    assert kernels.name == choose_kernels(precision="float32").name


def test_bf16_is_refused_where_no_kernels_have_it(monkeypatch, tmp_path, no_triton):
    for wanted in ("portable", "reference"):
        with pytest.raises(SettingsError, match=rf"{wanted} computes its products in float32"):
            choose_kernels(wanted, precision="bf16")
    with pytest.raises(SettingsError, match=r"run\.precision: bf16 cannot run here: Triton cannot"):
        choose_kernels(precision="bf16", **GPU)
    monkeypatch.setattr(library_module, "find_library", lambda: find_library(tmp_path))
    with pytest.raises(
        SettingsError, match=r"bf16 cannot run here: .*was not built.*Choose float32"
    ):
        choose_kernels(precision="bf16")


class Asked(ctypes.CDLL):
    """A library on a processor with AMX, whose system may refuse its tiles."""

    def __init__(self, grants: bool) -> None:
        super().__init__(None)
        self.asked: list[str] = []
        self._grants = grants

    def lfads_supports_bf16(self, number) -> bool:
        self.asked.append(library_module.INSTRUCTION_SETS[number.value])
        return self._grants or self.asked[-1] != "amx"


@pytest.mark.parametrize(("grants", "best"), [(True, "amx"), (False, "avx512")])
def test_tiles_are_asked_for_only_where_bf16_is_chosen(monkeypatch, grants, best):
    handle = Asked(grants)
    library = library_module.Library(handle, library_module.INSTRUCTION_SETS)
    monkeypatch.setattr(library_module, "find_library", lambda: library)
    assert choose_kernels().name == "compiled-avx512"
    assert choose_kernels("compiled-amx").name == "compiled-amx"
    assert handle.asked == []
    assert choose_kernels(precision="bf16").name == f"compiled-{best}-bf16"
    assert "amx" in handle.asked
    if not grants:
        with pytest.raises(SettingsError, match="does not grant this process the tiles of amx"):
            choose_kernels("compiled-amx-bf16")


def test_a_library_from_before_the_question_asked_while_it_was_loaded():
    library = library_module.Library(ctypes.CDLL(None), library_module.INSTRUCTION_SETS)
    assert library.best_of_bf16 == "amx"


def test_the_library_here_has_bf16_for_all_of_its_instruction_sets():
    library = find_library()
    if isinstance(library, Absent):
        pytest.skip(library.reason)
    names = library.instruction_sets + library.emulated
    assert all(library.may_use_bf16(name) for name in names if name != "amx")


def test_a_generator_of_ones_own_cannot_have_bf16():
    kernels = choose_kernels("portable")
    assert with_own_generator(kernels, "own").name == "portable"
    with pytest.raises(SettingsError, match=r"generator own .* no bf16 products.*--precision flo"):
        with_own_generator(replace(kernels, precision="bf16"), "own")


def test_a_name_and_the_setting_must_not_say_different_precisions():
    require_one_precision("compiled-avx2-bf16", "bf16")
    require_one_precision("triton-bf16", "auto")
    require_one_precision("compiled-avx2", "bf16")
    with pytest.raises(SettingsError, match=r"triton-bf16 asks for bf16, but run\.precision is fl"):
        require_one_precision("triton-bf16", "float32")


def test_what_is_emulated_is_never_chosen_by_itself():
    library = with_library()
    assert not set(library.emulated) & set(library.instruction_sets)
    assert library.best not in ("amx", *library.emulated)
    for name in library.emulated:
        assert choose_kernels(f"compiled-{name}-bf16").reason.startswith("forced")


def test_the_reference_can_be_forced():
    kernels = choose_kernels("reference")
    assert (kernels.name, kernels.reason) == ("reference", "forced")
    assert kernels.gru_scan is gru_reference.gru_scan
    assert kernels.decoder_scan is decoder_reference.decoder_scan


@pytest.mark.parametrize("name", ["reference", "portable"])
def test_every_backend_can_be_forced_by_its_name(name):
    assert choose_kernels(name).name == name


@pytest.mark.parametrize("name", ["", "cuda", "Portable", "compiled-", "triton-"])
def test_an_unknown_backend_is_an_error_that_names_the_known_ones(name):
    with pytest.raises(SettingsError) as error:
        choose_kernels(name)
    message = str(error.value)
    assert repr(name) in message
    assert all(known in message for known in ("auto", *BACKENDS))
