"""Kinds in declarations and at calls: what a type says, what may be handed to what, and how a value is converted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from losslang.diagnostics import did_you_mean, error, renamed
from losslang.ir import nodes as ir
from losslang.ir import ops
from losslang.sema.values import Tensor, describe
from losslang.source import Span
from losslang.syntax import ast
from losslang.types import CONVERSIONS, FORMATS, KINDS, Axes, Kind, refines


def kind_of(declared: ast.TensorType) -> Kind:
    """The kind of a declared type, with an image's range.

    Raises:
        LosslangError: LL0307 for a kind that does not exist.
    """
    if declared.kind not in KINDS:
        raise error(
            "LL0307",
            f"there is no kind '{declared.kind}'",
            declared.span,
            expected="one of " + ", ".join(KINDS),
            found=declared.kind,
            hint=did_you_mean(declared.kind, KINDS) or "real is the kind of any number",
            fix=renamed(declared.span, declared.kind, KINDS),
        )
    for bound in declared.bounds:
        if bound.op == "in" and isinstance(bound.value, ast.Range):
            return Kind(declared.kind, _range(bound.value))
        if bound.op == "in":
            return Kind(declared.kind, format=_format(declared, bound))
    return Kind(declared.kind)


def _format(declared: ast.TensorType, bound: ast.Bound) -> str:
    """The format of boxes, ``box[b, x] in cxcywh``."""
    name = bound.value.name if isinstance(bound.value, ast.Name) else ""
    if declared.kind == "box" and name in FORMATS:
        return name
    raise error(
        "LL0308",
        f"{declared.kind} in {bound.value.span.text} is no type",
        bound.span,
        expected="box in " + ", ".join(FORMATS[:-1]) + f" or {FORMATS[-1]}; image in 0..1",
        found=bound.value.span.text,
        hint=did_you_mean(name, FORMATS)
        or "xyxy is two corners, cxcywh a centre and an extent, xywh a corner and an extent",
    )


def _range(written: ast.Range) -> tuple[float, float]:
    low, high = literal(written.low), literal(written.high)
    if not low < high:
        raise error(
            "LL0305",
            "this range is empty",
            written.span,
            expected="the lower bound first",
            found=f"{low:g}..{high:g}",
            hint=f"write {high:g}..{low:g}" if high < low else "an image is in 0..1, -1..1 or 0..255",
        )
    return low, high


def label_axis(declared: ast.TensorType) -> str | None:
    """The axis that labels index (``label[b] < c``), or None."""
    for bound in declared.bounds:
        if bound.op == "<" and isinstance(bound.value, ast.Name) and declared.groups:
            return bound.value.name
    return None


def literal(expression: ast.Expression) -> float:
    """A number written out.

    Raises:
        LosslangError: LL0307 for anything else.
    """
    match expression:
        case ast.Number():
            return float(expression.value)
        case ast.Unary(op="-"):
            return -literal(expression.operand)
        case _:
            raise error(
                "LL0307",
                "a bound of a range is a number",
                expression.span,
                expected="a number",
                found=expression.span.text,
                hint="bounds are known before the first batch: real > 0",
            )


def limits(declared: ast.TensorType) -> tuple[tuple[str, float], ...]:
    """The bounds of a scalar parameter, as comparisons with numbers."""
    found: list[tuple[str, float]] = []
    for bound in declared.bounds:
        if bound.op == "in" and isinstance(bound.value, ast.Range):
            low, high = _range(bound.value)
            found += [(">=", low), ("<=", high)]
        elif bound.op != "in":
            found.append((bound.op, literal(bound.value)))
    return tuple(found)


def convert(value: Tensor, wanted: Kind, axes: Mapping[str, Axes], declared: ast.TensorType, span: Span) -> Tensor:
    """A value as the kind that a parameter wants: the same numbers, or one of the two conversions.

    A label becomes its one-hot row where a prob is wanted; an image is moved from its declared range to the wanted one.

    Raises:
        LosslangError: LL0301 where no conversion is right.
    """
    have = value.kind
    if have.format and wanted.format and have.format != wanted.format:
        raise error(
            "LL0301",
            f"boxes in {have.format} are handed to what wants {wanted.format}",
            span,
            expected=str(wanted),
            found=str(have),
            hint="a parameter of type box without a format takes any: lo, hi, center and extent know what they read",
        )
    if have.name == "label" and wanted.name == "prob":
        return _one_hot(value, axes, declared, span)
    if refines(have.name, wanted.name):
        return _move_range(value, wanted)
    if have.name == "int" and wanted.name == "label":
        return value
    unknown = have.name == "real" and KINDS[wanted.name] is not None and wanted.dtype == "real"
    number = have.name in ("bool", "int") and wanted.dtype == "real"
    finer = refines(wanted.name, have.name) and wanted.name != "unit"
    if unknown and wanted.name != "unit" or number or finer or (have.name == "real" and wanted.name == "unit"):
        return replace(value, kind=wanted)
    article = "an" if wanted.name[0] in "aeiou" else "a"
    raise error(
        "LL0301",
        f"{_shown(value, span)} is {describe(value)}, but {article} {wanted.name} is wanted",
        span,
        expected=f"{wanted.name}[{', '.join(_axis_text(a) for a in declared.groups[-1])}]"
        if declared.groups
        else wanted.name,
        found=describe(value),
        hint=CONVERSIONS.get((have.name, wanted.name))
        or CONVERSIONS.get(("real", wanted.name))
        or f"nothing turns {have.name} into {wanted.name} by itself; give another tensor",
    )


def _shown(value: Tensor, span: Span) -> str:
    """A value in the user's words; an input that the call takes without naming it stands nowhere."""
    return f"'{value.node.name}'" if isinstance(value.node, ir.Input) else span.quoted


def _axis_text(axis: ast.Axis) -> str:
    return axis.name if axis.name is not None else str(axis.size)


def _one_hot(value: Tensor, axes: Mapping[str, Axes], declared: ast.TensorType, span: Span) -> Tensor:
    missing = [a for a in declared.groups[-1] if a.name in axes and not set(axes[a.name or ""]) & set(value.order)]
    names = [axis.name for axis in missing if not axis.is_rest]
    if len(names) != 1 or names[0] is None or len(axes[names[0]]) != 1:
        raise error(
            "LL0301",
            "labels stand for one-hot rows only where the class axis is known",
            span,
            expected="logits or probabilities beside them that have the class axis",
            found=describe(value),
        )
    classes = axes[names[0]][0]
    hot = ops.apply("real", ops.apply("eq", ops.iota(classes), value.node))
    order = tuple(axis for name in (a.name for a in declared.groups[-1]) if name for axis in axes.get(name, ()))
    foreign = tuple(axis for axis in value.order if axis not in order)
    return replace(value, node=hot, order=(*foreign, *order), kind=Kind("prob"), bound=None)


def _move_range(value: Tensor, wanted: Kind) -> Tensor:
    have = value.kind
    if have.range is None or wanted.range is None or have.range == wanted.range:
        return (
            value
            if wanted.range is None or have.range is not None
            else replace(value, kind=Kind(have.name, wanted.range))
        )
    (low, high), (new_low, new_high) = have.range, wanted.range
    scale = (new_high - new_low) / (high - low)
    moved = ops.apply("add", ops.apply("mul", ops.const(scale), value.node), ops.const(new_low - scale * low))
    return replace(value, node=moved, kind=Kind(have.name, wanted.range))
