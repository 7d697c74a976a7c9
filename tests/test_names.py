"""Names mean one thing: public faces list what they expose, no name is defined twice, constants that two packages need agree."""

import ast
from collections import defaultdict
from functools import cache
from importlib import import_module
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("pipeline", "tokenizer", "trainer")
SAME_THING: frozenset[str] = frozenset()
"""Names that two modules may define, because both definitions are the same thing."""


@cache
def modules() -> dict[str, ast.Module]:
    """Dotted name to syntax tree, of every module."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths]
    return {name: ast.parse(path.read_text(), path) for name, path in zip(names, paths, strict=True)}


def assigned(node: ast.stmt) -> list[str]:
    """Names that a statement assigns to at module level."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    names = [name for target in targets for name in (target.elts if isinstance(target, ast.Tuple) else [target])]
    return [name.id for name in names if isinstance(name, ast.Name)]


def definitions(tree: ast.Module) -> set[str]:
    """Public functions, classes, aliases and constants that a module itself defines."""
    names = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}
    names |= {name for node in tree.body for name in assigned(node)}
    return {name for name in names if not name.startswith("_")}


def imports(tree: ast.Module) -> set[str]:
    """Public names that a module imports from the three packages, also those that only type checkers import."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGES)]
    return {alias.asname or alias.name for node in nodes for alias in node.names}


def is_type_name(name: str) -> bool:
    """Whether a name is spelled as a class or type alias: CamelCase, no constant, not private."""
    return name[0].isupper() and not name.isupper() and not name.startswith("_")


FACES = [name for name, tree in modules().items() if any("__all__" in assigned(node) for node in tree.body)]


@pytest.mark.parametrize("name", FACES)
def test_a_public_face_lists_exactly_what_it_exposes(name: str) -> None:
    """A module that defines names exposes those, and may list imported ones too; a module without definitions exposes its imports."""
    tree, module = modules()[name], import_module(name)
    listed = set(module.__all__)
    assert len(listed) == len(module.__all__)
    assert all(hasattr(module, exposed) for exposed in listed)
    defined = definitions(tree)
    assert (defined or imports(tree)) <= listed <= defined | imports(tree)


def test_the_public_modules_are_faces() -> None:
    required = {"pipeline.dedup", "pipeline.extract", "pipeline.minhash", "pipeline.transforms"}
    assert required <= set(FACES)


def test_no_class_or_type_alias_has_two_meanings() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for module, tree in modules().items():
        for name in filter(is_type_name, definitions(tree)):
            places[name].append(module)
    twice = {name: where for name, where in places.items() if len(where) > 1 and name not in SAME_THING}
    assert not twice, "\n".join(f"{name}: {', '.join(where)}" for name, where in sorted(twice.items()))


def test_the_trainers_log_has_one_name() -> None:
    """The report reads what the trainer writes, but neither package imports the other."""
    logs = (import_module("pipeline.report.training").LOG, import_module("trainer.metrics").LOG)
    assert logs == ("log.jsonl", "log.jsonl")


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = grimp.build_graph(*PACKAGES)
    circles = sorted(
        circle for circle in strongly_connected({m: graph.find_modules_directly_imported_by(m) for m in graph.modules})
    )
    assert circles == []


def strongly_connected(edges: dict[str, set[str]]) -> list[list[str]]:
    """Groups of two or more modules that can all reach each other (Tarjan's algorithm)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(module: str) -> None:
        order[module] = low[module] = len(order)
        stack.append(module)
        for imported in edges[module]:
            if imported not in order:
                visit(imported)
                low[module] = min(low[module], low[imported])
            elif imported in stack:
                low[module] = min(low[module], order[imported])
        if low[module] == order[module]:
            group = [stack.pop()]
            while group[-1] != module:
                group.append(stack.pop())
            if len(group) > 1:
                groups.append(sorted(group))

    for module in edges:
        if module not in order:
            visit(module)
    return groups


def test_circles_are_found() -> None:
    edges = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": set()}
    assert strongly_connected(edges) == [["a", "b", "c"]]
