"""YAML of settings: plain values, exact numbers, mistakes with their lines."""

from __future__ import annotations

import math
import sys

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lfads_torch.config.yaml_text import (
    SettingsText,
    _composed_fast,
    read_mapping,
    read_scalar,
    scalar_text,
)
from lfads_torch.errors import SettingsError

# More than Python's limit of calls within calls; PyYAML's time goes with the square of it.
DEEP = sys.getrecursionlimit() + 100


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8", 8),
        ("-3", -3),
        ("010", 10),
        ("1_000", 1000),
        ("1e-3", 1e-3),
        ("1E3", 1e3),
        ("-2.5e+2", -250.0),
        (".5", 0.5),
        ("5.", 5.0),
        (".inf", math.inf),
        ("9" * 5000, math.inf),
        ("true", True),
        ("False", False),
        ("no", "no"),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("'8'", "8"),
        ('"true"', "true"),
        ("package.module:Class", "package.module:Class"),
        ("", None),
        ("~", None),
        ("null", None),
        ("[1, 2]", []),
        ("{a: 1}", {}),
    ],
)
def test_scalars_are_read_as_people_write_them(text: str, value: object) -> None:
    found = read_scalar(text, "--set")
    assert found == value
    assert type(found) is type(value)


# What YAML gives a meaning to, and any letter. `st.text()` alone would first sort all of Unicode
# into kinds, which takes seconds where no earlier run has left the table.
LETTERS = st.one_of(
    st.sampled_from(
        "abnoy01eE.+-_~:  ,?!&*#|>%@`'\"\\[]{}=<\t\n\r\x00\x0b\x7f\x85\u2028\ufeff\u00e9"
    ),
    st.integers(0, 0x10FFFF).map(chr).filter(lambda letter: not "\ud800" <= letter <= "\udfff"),
)
values = st.one_of(
    st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False),
    st.text(LETTERS, max_size=30),
)  # fmt: skip


@given(values.filter(lambda value: value not in (math.inf, -math.inf)))
def test_every_value_reads_back_exactly(value: bool | int | float | str) -> None:
    text = scalar_text(value)
    found = read_scalar(text, "here")
    assert found == value
    assert type(found) is type(value)
    assert read_mapping(f"model:\n  key: {text}  # remark\n", "here").values == {
        "model": {"key": value}
    }


@pytest.mark.parametrize("value", [1e-5, 1e22, 0.1, 3, True, "poisson", "no", "1e-3", "a.b:C"])
def test_readers_of_yaml_1_1_agree(value: bool | int | float | str) -> None:
    found = yaml.safe_load(scalar_text(value))
    assert found == value
    assert type(found) is type(value)


def test_lines_of_all_settings_are_known() -> None:
    text = "# why\nmodel:\n  n_factors: 8\n\n  ic_bins: 3\nrun:\n  seed: 1\n"
    found = read_mapping(text, "a.yaml")
    assert found.values == {"model": {"n_factors": 8, "ic_bins": 3}, "run": {"seed": 1}}
    assert found.lines == {
        "model": 2, "model.n_factors": 3, "model.ic_bins": 5, "run": 6, "run.seed": 7,
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "\n\n", "# only a remark\n", "---\n", "null\n"])
def test_an_empty_text_gives_nothing(text: str) -> None:
    assert read_mapping(text, "a.yaml").values == {}


def test_a_section_without_settings_is_empty() -> None:
    assert read_mapping("model:\n  # n_factors: 8\nrun:\n", "a.yaml").values == {
        "model": {},
        "run": {},
    }


def test_keys_given_twice_are_told_with_both_lines() -> None:
    found = read_mapping("model:\n  n_factors: 8\n  n_factors: 9\nmodel:\n  ic_bins: 1\n", "a.yaml")
    assert found.mistakes == [
        "model is given twice, in lines 1 and 4; keep one",
        "model.n_factors is given twice, in lines 2 and 3; keep one",
    ]


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system ['true']", "!secret 8", "!!python/name:os.system ''"]
)
def test_tags_make_nothing(tag: str) -> None:
    found = read_mapping(f"model:\n  n_factors: {tag}\n", "a.yaml")
    assert found.values == {"model": {"n_factors": None}}
    assert len(found.mistakes) == 1
    assert found.mistakes[0].startswith("model.n_factors, line 2: tags such as")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model:\n\tn_factors: 8\n", r"a\.yaml, line 2, column 1: .*spaces: YAML allows no tabs"),
        ("model: [1\n", r"a\.yaml, line 2, column 1: this is not valid YAML"),
        ("model:\n  a: b: c\n", r"a\.yaml, line 2, column 7: .*Needed is `setting: value`"),
        ("model:\n  a: *unknown\n", r"a\.yaml, line 2, column 6: .*undefined alias"),
        ("a: 1\n---\nb: 2\n", r"a\.yaml, line 2, column 1"),
        ("model: '\n", r"a\.yaml, line 2"),
        ("a: \x00\n", r"a\.yaml is not a text in YAML"),
        ("- 1\n- 2\n", r"a\.yaml holds a list; sections with settings are needed"),
        ("just words\n", r"a\.yaml holds a single value; sections with settings are needed"),
        ("a: " + "[" * DEEP, r"a\.yaml is nested too deeply"),
    ],
    ids=range(10),
)
def test_what_is_no_settings_file_is_told(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=f"(?s){message}"):
        read_mapping(text, "a.yaml")


def test_a_key_that_is_no_name_is_told() -> None:
    assert read_mapping("? [a, b]\n: 3\n", "a.yaml").mistakes == [
        "line 1: a name is needed before the colon"
    ]


FLAT = {
    "settings": "model:\n  n_factors: 20  # how many\n  cell_clip: -1e-3\n\n# end\nrun:\n",
    "quotes and a key twice": "a:\n  b: \"x: y\"\n  c: 'it''s'\n  b: again\nd:\ne: 010\n",
    "lines of Windows": "a:\r\n  b: 1\r\n\r\n  c: x  # why\r\n",
    "a remark of any letters": "a:\n  b: 1  # \u00b5s \u2265 3 \U0001f600\n",
}
NOT_FLAT = {
    "indented wrongly": "a:\n  b: 1\n   c: 2\n",
    "two colons": "a:\n  b: c: d\n",
    "a tab after a value": "model:\n  n_factors: 20\t\n",
    "a tab before a remark": "model:\n  n_factors: 20\t# how many\n",
    "a tab after another blank": "a:\n  b: 1\n\u3000\t\n",
    "another blank alone": "a:\n  b: 1\n\u00a0\n",
    "half a surrogate pair": "a:\n  b: x\ud800\n",
    "half a pair in a remark": "a:\n  b: 1  # \udcff\n",
    "a byte order mark": "\ufeffa:\n  b: 1\n",
    "a control character": "a:\n  b: 1\x07\n",
}


def without_libyaml(text: str) -> object:
    """What is read, or the message, where PyYAML has no libyaml."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml, "__with_libyaml__", False)
        return read_or_told(text)


def read_or_told(text: str) -> object:
    try:
        return read_mapping(text, "here")
    except SettingsError as error:
        return str(error)


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="this PyYAML has no libyaml")
@pytest.mark.parametrize("text", FLAT.values(), ids=FLAT)
def test_libyaml_reads_what_python_reads(text: str) -> None:
    assert _composed_fast(text) is not None
    assert isinstance(read_or_told(text), SettingsText)
    assert read_or_told(text) == without_libyaml(text)


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="this PyYAML has no libyaml")
@pytest.mark.parametrize("text", NOT_FLAT.values(), ids=NOT_FLAT)
def test_what_libyaml_may_read_otherwise_python_reads(text: str) -> None:
    assert _composed_fast(text) is None
    assert read_or_told(text) == without_libyaml(text)


@given(st.text(alphabet="ab:  '\"#\t\n\r\\-1.\x0b\x85\u2028\u3000\ufeff\ud800\u00e9", max_size=12))
def test_both_readers_say_the_same_of_any_value(value: str) -> None:
    text = f"a:\n  b: 1{value}\n"
    assert read_or_told(text) == without_libyaml(text)


def test_what_nests_is_never_given_to_libyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml, "CSafeLoader", None, raising=False)
    with pytest.raises(SettingsError, match="nested too deeply"):
        read_mapping("a:\n  b: " + "[" * DEEP, "here")
    for text in ("a: {b: 1}\n", "a:\n  - 1\n", "a:\n  b:\n    c: 1\n", "a: &x 1\nb: *x\n"):
        read_mapping(text, "here")
