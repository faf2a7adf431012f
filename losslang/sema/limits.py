"""How much one text may stand for."""

from __future__ import annotations

from losslang.diagnostics import LosslangError, error
from losslang.source import Span

MAX_TERMS = 10_000
MAX_EXPANSIONS = 20_000


def too_large(span: Span, why: str) -> LosslangError:
    """The error for a text that stands for more than can be written out."""
    return error(
        "LL0406",
        f"this stands for too much: {why}",
        span,
        expected="fewer levels, each of which uses the one below more than once",
        hint="a sum over an axis is one line: sum[k](...)",
    )
