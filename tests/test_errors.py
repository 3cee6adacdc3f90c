"""The tree of errors is the one that is drawn."""

from __future__ import annotations

import inspect

from vstore import errors


def drawn() -> dict[str, str]:
    """child -> parent, read off the drawing in the module's docstring."""
    parents: list[str] = []
    tree: dict[str, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        names = [word for word in line.split() if word.endswith("Error")]
        if not line.startswith("    ") or not names:
            continue
        depth = (line.index(names[0]) - 4) // 4
        parents[depth:] = [names[0]]
        if depth:
            tree[names[0]] = parents[depth - 1]
    return tree


def test_the_classes_form_the_tree_that_the_docstring_draws() -> None:
    classes = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if cls.__module__ == errors.__name__]
    actual = {cls.__name__: cls.__bases__[0].__name__ for cls in classes}
    assert actual.pop("VstoreError") == "Exception"
    assert actual == drawn()
    assert all(len(cls.__bases__) == 1 for cls in classes)


def test_every_error_says_what_it_stands_for() -> None:
    assert all(cls.__doc__ for _, cls in inspect.getmembers(errors, inspect.isclass))
