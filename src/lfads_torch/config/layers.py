"""Values of settings that are not checked yet: dotted names to sections, one layer over another."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["dotted_names", "laid_over", "nested"]


def nested(values: Mapping[str, object]) -> dict[str, object]:
    """`{"model.n_factors": 8}` as `{"model": {"n_factors": 8}}`; a name without a dot stays."""
    tree: dict[str, object] = {}
    for name, value in values.items():
        section, dot, key = name.partition(".")
        tree = laid_over(tree, {section: {key: value}} if dot else {name: value})
    return tree


def laid_over(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    """The sections of both layers; where both give a setting, that of `above` holds.

    A section that is no group of settings is a mistake: it wins, so that the check finds it.
    """
    tree = dict(below)
    for section, part in above.items():
        under = tree.get(section, {})
        if isinstance(under, Mapping):
            tree[section] = {**under, **part} if isinstance(part, Mapping) else part
    return tree


def dotted_names(values: Mapping[str, object]) -> frozenset[str]:
    """Dotted names of all settings that sections of these values give."""
    return frozenset(
        f"{section}.{key}"
        for section, part in values.items()
        if isinstance(part, Mapping)
        for key in part
    )
