"""Who may import whom: the layer table of docs/compiler.md, held by reading every import in losslang/."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

ROOT = Path(__file__).resolve().parent.parent
FRONT = {"source", "diagnostics", "types", "syntax", "ir"}


@dataclass(frozen=True)
class Layer:
    """One row of the table; the most specific row that covers a module counts."""

    own: set[str]
    """What of losslang it may import beside itself: packages or modules, without the leading ``losslang.``"""

    others: frozenset[str] = frozenset()
    """What it may import that is neither losslang nor Python's own library."""

    torch: Literal["no", "yes", "late"] = "no"
    """``late``: only inside a function (or for types), and so for whatever of losslang imports torch."""

    classes_only: bool = False
    """Whether it may take nothing but public classes from the runtime."""


def outer(*own: str, others: str = "") -> Layer:
    """A row of layer 7."""
    shared = {"compiler", "diagnostics", "source", "runtime", *own}
    return Layer(shared, frozenset(others.split()), "late", classes_only=True)


LAYERS = {
    # 0
    "source": Layer(set()),
    "diagnostics": Layer({"source"}),
    "codes": Layer(set()),
    # 1
    "types": Layer({"source", "diagnostics"}),
    "syntax": Layer({"source", "diagnostics"}, frozenset({"lark"})),
    # 2
    "ir": Layer({"source", "diagnostics", "types", "syntax"}),
    "ir.oracle": Layer({"source", "diagnostics", "types", "syntax", "ir"}, frozenset({"numpy"})),
    "ir.twins": Layer({"types", "ir"}, frozenset({"numpy"})),
    # 3
    "sema": Layer(FRONT),
    "passes": Layer({"ir", "types", "diagnostics"}),
    "explanation": Layer(FRONT | {"codes", "sema", "passes"}),
    "builder": Layer(FRONT | {"sema"}),
    "difference": Layer(FRONT | {"config", "sema", "passes"}, frozenset({"numpy"})),
    "config": Layer(FRONT | {"sema"}, frozenset({"yaml"})),
    # R: a saved objective loads without lark; of losslang only the errors that it raises
    "runtime": Layer({"source", "diagnostics", "runtime.minimum", "runtime.models"}, torch="yes"),
    "runtime.nets": Layer(set(), torch="yes"),
    "runtime.minimum": Layer(set(), torch="yes"),
    "runtime.models": Layer(set(), torch="yes"),
    # 4, 5
    "lowering": Layer({"ir", "types", "diagnostics", "runtime"}, torch="yes"),
    "backends": Layer({"diagnostics", "runtime"}, torch="yes"),
    # 6
    "signature": Layer(FRONT | {"sema", "passes", "runtime"}, torch="late"),
    "compiler": Layer(
        FRONT
        | {"", "builder", "config", "difference", "explanation", "sema", "passes", "runtime", "lowering", "backends"}
        | {"signature"},
        torch="late",
    ),
    # 7
    "cli": outer("", "batches", "testing"),
    "batches": outer(others="numpy"),
    "testing": Layer(FRONT | {"sema", "runtime"}, frozenset({"hypothesis", "numpy"}), "late"),
    "": outer("builder"),
}


@dataclass(frozen=True)
class Import:
    """One import: the module, and whether it runs when the importing module is loaded."""

    module: str
    names: tuple[str, ...]
    line: int
    at_load: bool


def modules() -> dict[str, Path]:
    """Every module under losslang/, without the leading ``losslang.``"""
    package = ROOT / "losslang"
    return {name_of(path.relative_to(package)): path for path in sorted(package.rglob("*.py"))}


def name_of(path: Path) -> str:
    """``ir/nodes.py`` is ``ir.nodes``, ``ir/__init__.py`` is ``ir``."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def row_of(module: str) -> str | None:
    """The most specific row of the table that covers a module."""
    parts = module.split(".")
    prefixes = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return next((prefix for prefix in prefixes if prefix in LAYERS), None)


def imports(path: Path, package: str) -> Iterator[Import]:
    """Every import of a file, also in functions and under TYPE_CHECKING."""

    def walk(node: ast.AST, at_load: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, (), node.lineno, at_load) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            yield from (Import(module, names, node.lineno, at_load) for module in sources(node, names, package))
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.body:
                yield from walk(child, False)
            for child in node.orelse:
                yield from walk(child, at_load)
        else:
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for child in ast.iter_child_nodes(node):
                yield from walk(child, at_load and not inside)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), True)


def sources(node: ast.ImportFrom, names: tuple[str, ...], package: str) -> list[str]:
    """The modules that ``from x import a, b`` loads: x, or x.a where that is a module of losslang."""
    base = node.module or ""
    if node.level:
        parts = ["losslang", *package.split(".")] if package else ["losslang"]
        base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
    as_file = ROOT.joinpath(*base.split("."))
    found = [f"{base}.{name}" for name in names if is_module(as_file / name)] if is_ours(base) else []
    return found if len(found) == len(names) else [base, *found]


def is_module(path: Path) -> bool:
    """Whether a path without suffix is a module or a package."""
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def is_ours(module: str) -> bool:
    """Whether a module belongs to losslang."""
    return module == "losslang" or module.startswith("losslang.")


def complaints(module: str, path: Path) -> Iterator[str]:
    """What a file imports against the table."""
    row = row_of(module) if module else ""
    if row is None:
        yield f"{path.relative_to(ROOT)}: no layer; add it to the table in docs/compiler.md and here"
        return
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for found in imports(path, package):
        reason = refusal(row, found)
        if reason:
            yield f"{path.relative_to(ROOT)}:{found.line}: '{row or '__init__'}' {reason} '{found.module}'"


def refusal(row: str, found: Import) -> str | None:
    """Why a row of the table may not have an import, or None."""
    layer, root = LAYERS[row], found.module.partition(".")[0]
    if is_ours(found.module):
        return refusal_of_own(row, found)
    if root == "torch":
        if layer.torch == "no":
            return "must not import"
        return "must import inside a function" if layer.torch == "late" and found.at_load else None
    allowed = root in sys.stdlib_module_names or root in layer.others
    return None if allowed else "must not import"


def refusal_of_own(row: str, found: Import) -> str | None:
    """Why a row of the table may not have an import of losslang's own, or None."""
    layer, target = LAYERS[row], found.module.removeprefix("losslang").removeprefix(".")
    target_row = row_of(target) if target else ""
    if target_row == row:
        return None
    if not any(target == own or target.startswith(f"{own}.") for own in layer.own):
        return "must not import"
    if layer.torch == "late" and found.at_load and LAYERS[target_row or ""].torch == "yes":
        return "must import inside a function, because it loads torch,"
    if layer.classes_only and target_row in ("runtime", "runtime.nets") and not public_classes(found.names):
        return "may import public classes only from"
    return None


def public_classes(names: tuple[str, ...]) -> bool:
    """Whether only names such as ``Objective`` are imported (``import module`` names none)."""
    return bool(names) and all(name[0].isupper() and name != name.upper() for name in names)


def torch_free() -> list[str]:
    """Every module that can be loaded without torch, with its full name."""
    rows = {module: LAYERS.get(row_of(module) or "") for module in modules() if module}
    return [f"losslang.{module}" for module, layer in rows.items() if layer and layer.torch != "yes"]


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("module", modules())
def test_imports_follow_the_layers(module: str) -> None:
    assert list(complaints(module, modules()[module])) == []


@pytest.mark.parametrize(
    ("row", "found", "reason"),
    [
        ("passes", Import("losslang.sema.check", ("check",), 1, True), "must not import"),
        ("passes", Import("losslang.passes.share", ("share",), 1, True), None),
        ("sema", Import("torch", (), 1, False), "must not import"),
        ("sema", Import("losslang.runtime.state", ("State",), 1, False), "must not import"),
        ("ir", Import("numpy", (), 1, True), "must not import"),
        ("ir.oracle", Import("numpy", (), 1, True), None),
        ("syntax", Import("lark.exceptions", ("LarkError",), 1, True), None),
        ("runtime.nets", Import("losslang.diagnostics", ("error",), 1, True), "must not import"),
        ("runtime.nets", Import("torch.nn", ("Module",), 1, True), None),
        ("compiler", Import("torch", (), 1, True), "must import inside a function"),
        ("compiler", Import("torch", (), 1, False), None),
        ("cli", Import("losslang.runtime.module", ("Objective",), 1, False), None),
        (
            "cli",
            Import("losslang.runtime.module", ("helper",), 1, False),
            "may import public classes only from",
        ),
        ("cli", Import("losslang.syntax.parser", ("parse",), 1, True), "must not import"),
    ],
)
def test_the_table_refuses(row: str, found: Import, reason: str | None) -> None:
    assert refusal(row, found) == reason


def test_a_new_file_needs_a_layer() -> None:
    assert "no layer" in next(complaints("novelty", ROOT / "losslang" / "novelty.py"))


def test_imports_are_found_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "sample.py"
    path.write_text(
        "import os.path\n"
        "if TYPE_CHECKING:\n    import torch\n"
        "def f():\n    from losslang.syntax import ast\n"
        "from . import novelty\n",
        encoding="utf-8",
    )
    found = {(one.module, one.at_load) for one in imports(path, "passes")}
    assert found == {
        ("os.path", True),
        ("torch", False),
        ("losslang.syntax.ast", False),
        ("losslang.passes", True),
    }


def test_what_needs_no_torch_loads_without_it() -> None:
    names = torch_free()
    assert run(f"import sys, {', '.join(names)}; print('torch' in sys.modules)") == "False"


def test_the_package_loads_nothing_but_itself() -> None:
    code = "import sys; old = set(sys.modules); import losslang; print(*sorted(set(sys.modules) - old))"
    loaded = [name for name in run(code).split() if name.partition(".")[0] not in sys.stdlib_module_names]
    assert loaded == ["losslang"]


def test_the_package_loads_in_an_instant() -> None:
    code = "import time; t = time.process_time(); import losslang; print(time.process_time() - t)"
    assert min(float(run(code)) for _ in range(3)) < 0.03


def test_the_promised_names() -> None:
    import losslang

    assert len(losslang.__all__) <= 15
    assert set(losslang.__all__) <= set(dir(losslang))
    assert all(losslang.__getattr__(name) is not None for name in losslang._HOMES)
    with pytest.raises(AttributeError, match="no attribute 'focal'"):
        losslang.__getattr__("focal")
