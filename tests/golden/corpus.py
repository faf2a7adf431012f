"""The golden corpus: where it is, and its cases and arrays by domain."""

from __future__ import annotations

import importlib.util
import json
import os
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

Case = dict[str, Any]
Arrays = dict[str, np.ndarray[Any, Any]]


def folders() -> list[Path]:
    """``$LOSSLANG_GOLDEN``, or the project's own copy and then ``shared/golden`` beside the project."""
    own = os.environ.get("LOSSLANG_GOLDEN")
    return [Path(own)] if own else [ROOT / "tests" / "golden" / "data", ROOT.parent / "shared" / "golden"]


def folder() -> Path | None:
    """The first of these that exists."""
    return next((place for place in folders() if place.is_dir()), None)


@cache
def load(domain: str) -> tuple[list[Case], Arrays]:
    """Cases and arrays of a domain; skips the test where there is no corpus."""
    cases: list[Case] = json.loads(_file(domain, "cases.json").read_text(encoding="utf-8"))
    with np.load(_file(domain, "arrays.npz")) as arrays:
        return cases, dict(arrays)


@cache
def third_party(domain: str, name: str) -> Arrays:
    """Trained weights of other projects, which this one does not carry; skips the test that lacks them."""
    with np.load(_file(domain, name)) as arrays:
        return dict(arrays)


@cache
def module(domain: str, name: str) -> ModuleType:
    """A Python file of the corpus, such as ``weights.py`` with the stand-in backbones."""
    path = _file(domain, name)
    spec = importlib.util.spec_from_file_location(f"golden_{domain}_{path.stem}", path)
    assert spec and spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def assert_close(case: Case, found: Any, expected: Any, wrt: str | None = None) -> None:
    """``max|a - b| <= rtol * max|b| + atol`` for the value, or for the gradient with respect to an input."""
    found, expected = np.asarray(found), np.asarray(expected)
    what = f"{case['id']}: " + (f"gradient of {wrt}" if wrt else "value")
    assert found.shape == expected.shape, f"{what} has shape {found.shape}, not {expected.shape}"
    rtol, atol = tolerance(case, "rtol", wrt), tolerance(case, "atol", wrt)
    error, limit = np.abs(found - expected).max(initial=0), rtol * np.abs(expected).max(initial=0) + atol
    assert error <= limit, f"{what} is off by {error:.3g}, {limit:.3g} allowed"


def tolerance(case: Case, kind: str, wrt: str | None = None) -> float:
    """``rtol`` or ``atol`` of a case: one number, or a map of the value and the gradients."""
    name = f"grad_{kind}" if wrt and f"grad_{kind}" in case else kind
    given = cast("float | dict[str, Any]", case.get(name, 0.0))
    if isinstance(given, dict):
        return float(given["grad"].get(wrt, 0.0) if wrt else given["value"])
    return given


def _file(domain: str, name: str) -> Path:
    for root in folders():
        if (root / domain / name).is_file():
            return root / domain / name
    places = " or ".join(str(root) for root in folders())
    return pytest.skip(f"needs {domain}/{name} of the golden corpus, which is not in {places}")
