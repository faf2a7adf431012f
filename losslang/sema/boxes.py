"""Boxes in any of the usual formats: their corners, centres and extents as lists over the spatial axes ``d``."""

from __future__ import annotations

from collections.abc import Callable

from losslang.diagnostics import error
from losslang.ir import ops
from losslang.sema.brackets import take
from losslang.sema.elementwise import operate
from losslang.sema.scope import Scope
from losslang.sema.values import Listed, Static, Tensor, Value, describe
from losslang.source import Span
from losslang.types import INT

Pair = tuple[Value, Value]
"""Two coordinates along one spatial axis."""


def read(name: str, x: Tensor, scope: Scope, span: Span) -> Value:
    """``lo hi center extent`` of boxes, one element for each spatial axis; their format is known from their type.

    Raises:
        LosslangError: LL0301 for what is no box, LL0302 where the coordinates are not four or six.
    """
    if x.kind.name != "box":
        raise error(
            "LL0301",
            f"{name} reads boxes, and this is {describe(x)}",
            span,
            expected="box[b, x], or box[b, x] in cxcywh",
            found=describe(x),
            hint="declare the tensor as a box: objective main(pred: box[b, x]): ...",
        )
    axis = scope.visible(x.order)[-1]
    count = axis.root.size
    if count is None or count % 2:
        raise error(
            "LL0302",
            f"the coordinates of a box are along its last axis, and '{axis}' has {count or 'any number'} of them",
            span,
            expected="4, or 6 in three dimensions",
            found=describe(x),
            hint="declare it: box[b, x=4]",
        )
    places = [take(x, {axis: Tensor(ops.const(k), (), kind=INT)}, scope).plain() for k in range(count)]
    pairs = list(zip(places[: count // 2], places[count // 2 :], strict=True))
    form = x.kind.format or "xyxy"
    return Listed("d", tuple(_FORMATS[form][name](pair, span) for pair in pairs))


def _add(x: Value, y: Value, span: Span) -> Value:
    return operate("add", [x, y], span)


def _sub(x: Value, y: Value, span: Span) -> Value:
    return operate("sub", [x, y], span)


def _half(x: Value, span: Span) -> Value:
    return operate("div", [x, Static(2)], span)


def _first(pair: Pair, span: Span) -> Value:
    return pair[0]


def _second(pair: Pair, span: Span) -> Value:
    return pair[1]


_FORMATS: dict[str, dict[str, Callable[[Pair, Span], Value]]] = {
    "xyxy": {
        "lo": _first,
        "hi": _second,
        "center": lambda pair, span: _half(_add(*pair, span), span),
        "extent": lambda pair, span: _sub(pair[1], pair[0], span),
    },
    "cxcywh": {
        "lo": lambda pair, span: _sub(pair[0], _half(pair[1], span), span),
        "hi": lambda pair, span: _add(pair[0], _half(pair[1], span), span),
        "center": _first,
        "extent": _second,
    },
    "xywh": {
        "lo": _first,
        "hi": lambda pair, span: _add(*pair, span),
        "center": lambda pair, span: _add(pair[0], _half(pair[1], span), span),
        "extent": _second,
    },
}

READERS = tuple(_FORMATS["xyxy"])
"""The functions that read a box."""
