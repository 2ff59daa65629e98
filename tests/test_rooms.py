"""The house: which room may import which, by the imports that stand in the code, lazy ones included."""

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT

# Each room may import itself and the rooms named here; nothing runs back up.
MAY_IMPORT = {
    "lit_models.operators": set(),
    "lit_models.facts": set(),
    "lit_models.architectures": {"lit_models.operators"},
    "lit_models.sizes": {"lit_models.facts"},
    "lit_models.layers": {"lit_models.operators"},
    "lit_models.tasks": {"lit_models.operators"},
    "datamodules": set(),
    "headtohead.cli": set(),
    "headtohead.records": {"headtohead.cli"},
    "headtohead.report": {"headtohead.records", "headtohead.cli"},
    "headtohead.trial": {"headtohead.records", "headtohead.cli", "lit_models", "datamodules"},
    "headtohead.runner": {"headtohead.records", "headtohead.cli", "headtohead.trial", "headtohead.report"},
    "headtohead.pictures": {"headtohead.report", "headtohead.trial", "headtohead.cli", "lit_models", "datamodules"},
}
TOP = {"lit_models": {"lit_models"}, "headtohead": {"headtohead"}}  # their own __init__ and __main__ join the rooms
OURS = ("lit_models", "datamodules", "headtohead", "benchmarks", "tests")


def room_of(module: str) -> str:
    return max((room for room in MAY_IMPORT if f"{module}.".startswith(f"{room}.")), key=len, default=module)


def imports(path: Path) -> set[str]:
    """Return the modules of the suite that a file imports, at its top or within a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.partition(".")[0] in OURS}


FILES = [path for room in ("lit_models", "datamodules", "headtohead") for path in sorted((ROOT / room).rglob("*.py"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_import_runs_back_up(path):
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    room = room_of(module)
    allowed = TOP.get(module.partition(".")[0], set()) if room not in MAY_IMPORT else MAY_IMPORT[room] | {room}
    wrong = {name for name in imports(path) if not any(f"{name}.".startswith(f"{may}.") for may in allowed)}
    assert wrong == set(), f"{room} imports {wrong}"


def test_the_verbs_at_the_root_are_a_docstring_and_a_call():
    for name in ("train", "sweep", "report"):
        body = ast.parse((ROOT / f"{name}.py").read_text()).body
        assert [type(node) for node in body] == [ast.Expr, ast.Import, ast.ImportFrom, ast.If], name


def test_results_hold_nothing_that_can_be_imported():
    assert not list((ROOT / "results").rglob("*.py"))
