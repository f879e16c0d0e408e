"""The shape of the package: public names, typed and sorted; imports that point one way."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import labkit

ROOT = Path(labkit.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
    for path in ROOT.rglob("*.py")
    if path.name not in ("__init__.py", "__main__.py") and path.parent.name != "exports"
)

# Each layer may import itself and those before it.
LAYERS = [
    {
        *("columns", "errors", "events", "feed", "guarantees", "home", "ledger", "message", "session"),
        *("topology", "verdict"),
    },
    {"programs", "servers"},
    {"brokers"},
    {"patterns", "bench"},
    {"widgets", "lessons", "wire"},
    {"lab", "jupyter", "kernel"},
    {"cli"},
]


def constants_classes_functions(public: str) -> tuple[int, str]:
    """Return the key of the order in which ruff, too, wants public names."""
    kind = 0 if public.isupper() else 1 if public[0].isupper() else 2
    return kind, public


def layer_of(part: str) -> int:
    for depth, parts in enumerate(LAYERS):
        if part in parts:
            return depth
    raise AssertionError(f"labkit.{part} has no layer; say in LAYERS where it stands")


def imports_at_load(path: Path) -> set[str]:
    """Return the labkit parts a module imports when it is loaded (not inside functions or for types)."""
    parts: set[str] = set()
    pending: list[ast.stmt] = list(ast.parse(path.read_text()).body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("labkit."):
            parts.add(node.module.split(".")[1])
        elif isinstance(node, ast.If | ast.Try) and "TYPE_CHECKING" not in ast.unparse(node).split("\n")[0]:
            pending.extend(node.body)
    return parts


@pytest.mark.parametrize("name", MODULES)
def test_a_module_lists_its_public_names_sorted_and_has_them(name: str) -> None:
    module = importlib.import_module(name)
    listed = getattr(module, "__all__", None)
    assert listed is not None, f"{name} has no __all__"
    assert list(listed) == sorted(listed, key=constants_classes_functions), f"{name}.__all__ is not sorted"
    missing = [public for public in listed if not hasattr(module, public)]
    assert not missing, f"{name}.__all__ names what is not there: {missing}"


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_one_way(name: str) -> None:
    path = ROOT.parent.joinpath(*name.split(".")).with_suffix(".py")
    here = name.split(".")[1]
    too_far = {part for part in imports_at_load(path) if layer_of(part) > layer_of(here)}
    assert not too_far, f"{name} imports from a layer above its own: {too_far}"


def test_every_slice_has_the_same_files() -> None:
    slices = {
        folder.name: {file.name for file in folder.iterdir() if file.suffix in ("", ".py")}
        for folder in (ROOT / "brokers").iterdir()
        if folder.is_dir() and folder.name != "__pycache__"
    }
    common = {
        *("__init__.py", "program.py", "server.py", "client.py", "errors.py", "image.py"),
        *("channels", "experiments"),
    }
    assert set(slices) == {"nats", "rabbitmq", "redis", "kafka"}
    for name, files in slices.items():
        assert common <= files, f"the slice {name} lacks {common - files}"
