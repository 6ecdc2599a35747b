"""The compiled kernels' tests once more, with memory and arithmetic checked while they run."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lfads_torch.kernels.compiled.library import INSTRUCTION_SETS, Absent, find_library

ROOT = Path(__file__).parents[2]
NATIVE = Path("src/lfads_torch/kernels/compiled/native")
TESTS = (
    "tests/kernels/test_compiled.py",
    "tests/kernels/test_compiled_bf16.py",
    "tests/training/test_compiled_step.py",  # batch, random numbers, likelihood, optimiser
)


def sanitizer(name: str) -> str:
    found = subprocess.run(
        ["c++", f"-print-file-name=lib{name}.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not os.path.isabs(found):
        pytest.skip(f"this compiler has no lib{name}.so")
    return os.path.realpath(found)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_kernels_under_the_address_and_undefined_behaviour_sanitizers(tmp_path):
    """Builds a copy of the tree, emulated instruction sets included; takes minutes."""
    if sys.platform != "linux" or not shutil.which("cmake") or not shutil.which("c++"):
        pytest.skip("needs Linux, CMake and a C++ compiler")
    preloaded = " ".join(sanitizer(name) for name in ("asan", "ubsan"))
    for folder in ("src", "tests"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder,
            ignore=shutil.ignore_patterns("*.so", "__pycache__", "*.part"),
        )  # fmt: skip
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    build = tmp_path / "build"
    configured = ["cmake", "-S", NATIVE, "-B", build, "-DCMAKE_BUILD_TYPE=Release"]
    # Little optimisation: checked code takes long to compile.
    switches = ["-DLFADS_SANITIZE=ON", "-DLFADS_EMULATED=ON", "-DCMAKE_CXX_FLAGS_RELEASE=-O1"]
    switches += ["-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"]
    library = find_library()
    usable = () if isinstance(library, Absent) else library.instruction_sets
    unusable = [name for name in INSTRUCTION_SETS[1:] if usable and name not in usable]
    switches += [f"-DLFADS_HAS_{name.upper()}=OFF" for name in unusable]
    for command in ([*configured, *switches], ["cmake", "--build", build, "--parallel"]):
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    commands = (build / "compile_commands.json").read_text()
    assert " -O1 " in commands
    assert "-O3" not in commands
    environment = {
        **os.environ,
        "LD_PRELOAD": preloaded,
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": "src",
    }
    must_have = [
        sys.executable, "-c",
        "from lfads_torch.kernels.compiled.library import find_library; "
        "assert 'amx_emulated' in find_library().emulated, find_library()",
    ]  # fmt: skip
    if platform.machine() in ("x86_64", "AMD64"):
        subprocess.run(must_have, cwd=tmp_path, env=environment, check=True)
    found = subprocess.run(
        [sys.executable, "-m", "pytest", *TESTS, "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, (found.stdout + found.stderr)[-8000:]
    assert " passed" in found.stdout
