"""What `lfads inspect --system` says of the processor."""

from __future__ import annotations

from lfads_torch.kernels.compiled.library import INSTRUCTION_SETS, Absent, find_library
from lfads_torch.kernels.compiled.processor import WIDER, describe_wider, processor_flags
from lfads_torch.workflows.system import describe_system


def test_flags_are_those_of_the_first_processor(tmp_path):
    (tmp_path / "cpuinfo").write_text(
        "processor\t: 0\nflags\t\t: fpu avx2 amx_bf16\n\nprocessor\t: 1\nflags\t\t: fpu\n"
    )
    assert processor_flags(tmp_path / "cpuinfo") == {"fpu", "avx2", "amx_bf16"}
    assert processor_flags(tmp_path / "nothing") == frozenset()


def test_what_is_used_what_could_be_and_what_is_absent():
    told = describe_wider(("generic", "avx2", "avx512"), frozenset({"avx512dq", "amx_bf16"}))
    assert told["avx512"].startswith("present, and used: ")
    assert told["amx"].startswith("present, but not used: ")
    assert describe_wider((), frozenset())["amx"].startswith("absent; it would bring products of")


def test_every_wider_set_is_one_of_the_library():
    assert {each.name for each in WIDER} < set(INSTRUCTION_SETS)


def test_the_system_tells_of_them():
    described = describe_system()
    library = find_library()
    usable = () if isinstance(library, Absent) else library.instruction_sets
    for name, told in describe_wider(usable, processor_flags()).items():
        assert described[f"processor_{name}"] == told
