"""docs/search.md tells what is so: names, options, ranges, and code that runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lfads_torch.cli.app import run
from lfads_torch.config.declarations import declarations
from lfads_torch.config.sizes import DataSizes
from lfads_torch.config.space import SpaceChoice, choose_space
from lfads_torch.config.tree import Settings, section_types
from lfads_torch.outputs.history_file import write_history
from lfads_torch.search.space import MOVABLE, changes_shapes, published_space

PAGE = (Path(__file__).parents[2] / "docs" / "search.md").read_text(encoding="utf-8")
SIZES = DataSizes(
    n_trials_train=33, n_trials_valid=7, n_bins=11, n_encoded_bins=11, n_units=7, n_encoded_units=7
)


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_every_setting_that_is_named_exists() -> None:
    sections = "|".join(section_types())
    named = set(re.findall(rf"\b((?:{sections})\.[a-z][a-z0-9_]+)", PAGE))
    assert len(named) > 15
    assert named - {"search.md"} <= set(declarations())
    assert set(MOVABLE) <= named


def test_every_option_that_is_named_exists(capsys: pytest.CaptureFixture[str]) -> None:
    helps = ""
    for command in ("search", "resume", "infer", "compare"):
        assert run([command, "--help"]) == 0
        helps += capsys.readouterr().out
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE))
    assert len(named) > 10
    assert [each for each in sorted(named) if each not in helps] == []


def test_the_table_of_ranges_is_the_default_space() -> None:
    rows = {
        name: [cell.strip() for cell in line.split("|")[2:-1]]
        for line in PAGE.splitlines()
        if line.startswith("| `") and " .. " in line
        for name in re.findall(r"`([a-z0-9_.]+)`", line.split("|")[1])
    }
    for each in published_space():
        limits, first, weight, keeps = rows.pop(each.name)
        assert [float(limit) for limit in limits.split(" .. ")] == [each.low, each.high]
        told = each.first.replace("_", "-") if isinstance(each.first, str) else each.first
        assert (float(first) if first[0].isdigit() else first) == told
        assert (float(weight), keeps == "yes") == (each.weight, each.keeps_limits)
    assert rows == {}


def test_defaults_in_brackets_are_the_defaults() -> None:
    known = declarations()
    for name, default in re.findall(r"`(?:search\.)?([a-z_]+)` \[([\d.]+)\]", PAGE):
        assert float(default) == known[f"search.{name}"].default, name


def test_the_space_file_and_the_ranges_work(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(block("yaml"), encoding="utf-8")
    space = choose_space(SpaceChoice(path=path), Settings(), SIZES)
    assert [each.name for each in space] == ["training.learning_rate", "loss.l2_generator_scale"]
    ranges = tuple(re.findall(r"--search ([a-z_.]+=\S+?)[`\s]", PAGE))
    shapes = [text for text in ranges if changes_shapes(text.partition("=")[0])]
    assert (len(ranges), len(shapes)) == (5, 2)
    for text in ranges:
        if text in shapes:  # drawn for groups of members, not within a population
            continue
        choose_space(SpaceChoice(ranges=(text,)), Settings(), SIZES)


def test_the_code_follows_the_winning_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    Path("maze_search").mkdir()
    parents = {(-1, 3): 3, (-1, 4): 4, (0, 3): 3, (0, 4): 3, (1, 3): 4, (1, 4): 4}
    rows = [
        {"generation": g, "member": m, "parent": parent, "founder": 3, "score": 1.0 - g / 10,
         "best_score": None if g < 0 else 1.0 - g / 10 - m / 100, "training.learning_rate": 1e-3}
        for (g, m), parent in parents.items()
    ]  # fmt: skip
    write_history(Path("maze_search/history.csv"), rows)
    names: dict[str, object] = {}
    exec(block("python"), names)
    line = names["line"]
    assert isinstance(line, list)
    assert [(row.generation, row.member) for row in line] == [(1, 4), (0, 4), (-1, 3)]
    assert "training.learning_rate" in capsys.readouterr().out
