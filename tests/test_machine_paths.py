"""No tracked file holds a path of somebody's machine: home folders, work folders, /tmp."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Only where a path begins: `tests/work/a` and `~/work/a` are nobody's. A placeholder, as in
# `/home/NAME`, and the name of such a folder alone are left for documentation.
MACHINE_PATH = re.compile(
    rb"(?<![\w.~})>$-])"
    rb"(?:/(?:work|tmp|root|scratch)/[\w.-]|(?:/home|/Users|[A-Z]:\\+Users)[/\\]+(?!NAME\b|you\b)\w)"
)


def machine_paths(content: bytes) -> list[tuple[int, str]]:
    """Line number, from 1, and the line of each path; a line counts once."""
    return [
        (number, line.decode("utf-8", "replace").strip()[:120])
        for number, line in enumerate(content.split(b"\n"), 1)
        if MACHINE_PATH.search(line)
    ]


def tracked_files() -> list[Path]:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("needs git and a checkout: which files are tracked is not known")
    # A checkout of another user, as in a container, is read all the same.
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    paths = [ROOT / name.decode() for name in listed.split(b"\0") if name]
    return [path for path in paths if path.is_file()]


def test_no_tracked_file_names_a_path_of_a_machine() -> None:
    files = tracked_files()
    assert len(files) > 100
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line}"
        for path in files
        for number, line in machine_paths(path.read_bytes())
    ]
    assert not found, "write paths from the repository's root, ~/..., or tmp_path:\n" + "\n".join(
        found
    )


@pytest.mark.parametrize("folder", ["work", "tmp", "root", "home", "scratch", "Users"])
@pytest.mark.parametrize("before", ["", "cd ", '"', "'", "=", "(", "file://", ":"])
def test_such_a_path_is_found_wherever_it_begins(folder: str, before: str) -> None:
    line = f"{before}/{folder}/anna/run"
    assert machine_paths(f"first\n{line}\n".encode()) == [(2, line)]


def test_such_a_path_of_windows_is_found() -> None:
    for separator in ("\\", "\\\\"):  # written as it is, or in a text of JSON
        assert machine_paths(separator.join(["C:", "Users", "anna"]).encode())


@pytest.mark.parametrize(
    "line",
    ["~/work/a", "tests/tmp/a", "../root/a", "$TMPDIR/tmp/a", "{folder}/work/a", "<folder>/tmp/a",
     "/home/NAME/data", "the folder /tmp", "and/or/work/a", "/data/a"],
)  # fmt: skip
def test_what_belongs_to_nobody_is_left_alone(line: str) -> None:
    assert machine_paths(line.encode()) == []
