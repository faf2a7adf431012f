"""What ``auto`` means: numbers and tensors that are learned, where they start and within which bounds they stay."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence

from losslang.diagnostics import LosslangError, error
from losslang.ir import ops
from losslang.ir.nodes import Node, Noise, Slot, intern
from losslang.sema import kinds, memory
from losslang.sema.scope import Scope
from losslang.sema.values import Auto, Tensor
from losslang.source import Span
from losslang.syntax import ast
from losslang.types import Axes, ordered

Bounds = Sequence[tuple[str, float]]
"""Comparisons with numbers."""

HOLDS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def of_parameter(parameter: ast.Parameter, value: Auto, bounds: Bounds, dims: Axes, span: Span, scope: Scope) -> Tensor:
    """A learned value that starts where ``auto`` or the default says and stays within the parameter's bounds."""
    name = parameter.name
    init = value.init if value.init is not None else _start(parameter)
    if init is None:
        raise error(
            "LL0307",
            f"nothing says where '{name}' starts",
            span,
            expected=f"a start, since '{name}' has no default to start from",
            hint=f"give it a start: {name}=auto({'normal(0, 0.1)' if dims else '1.0'})",
        )
    broken = [] if isinstance(init, Noise) else [op for op, limit in bounds if not HOLDS[op](init, limit)]
    if bounds and (isinstance(init, Noise) or broken or any(init == limit for _, limit in bounds)):
        raise _no_start(name, init, bounds, bool(broken), span)
    lower = next((limit for op, limit in bounds if op in (">", ">=")), None)
    upper = next((limit for op, limit in bounds if op in ("<", "<=")), None)
    return learned(scope.key(name), init, dims, span, scope, lower, upper)


def _no_start(name: str, init: float | Noise, bounds: Bounds, broken: bool, span: Span) -> LosslangError:
    found = "random numbers, of which nothing says so" if isinstance(init, Noise) else f"{init:g}"
    return error(
        "LL0305",
        f"'{name}' is learned, so it must start inside its bounds",
        span,
        expected=" and ".join(f"{name} {op.rstrip('=')} {limit:g}" for op, limit in bounds),
        found=found if broken or isinstance(init, Noise) else f"{found}, where a learned value has no slope",
        hint=f"say where it starts: {name}=auto(1.0)",
    )


def _start(parameter: ast.Parameter) -> float | None:
    match parameter.default:
        case ast.Number() | ast.Unary(op="-", operand=ast.Number()) as number:
            return kinds.literal(number)
        case ast.Call(callee=ast.Name(name="auto"), arguments=(ast.Argument(value=ast.Number(value=number)),)):
            return float(number)
        case _:
            return None


def learned(
    key: str,
    init: float | Noise,
    dims: Axes,
    span: Span,
    scope: Scope,
    lower: float | None = None,
    upper: float | None = None,
) -> Tensor:
    """A learned value with its dimensions in order; over the terms of a balancer there is one for each, by name."""
    session = scope.session

    def part(key: str, dims: Axes) -> Node:
        axis = memory.terms_axis(dims, session)
        if axis is None:
            session.places[key] = span
            return slot(key, init, lower, upper, dims).node
        rest = tuple(other for other in dims if other != axis)
        keys = [session.key(inner) for _, inner in memory.by_term(key, axis, session)]
        return ops.stack(axis, [part(inner, rest) for inner in keys])

    whole = key if memory.terms_axis(dims, session) is not None else session.key(key)
    return Tensor(part(whole, dims), dims)


def slot(
    key: str, init: float | Noise, lower: float | None = None, upper: float | None = None, dims: Axes = ()
) -> Tensor:
    """A learned value under its key."""
    start = init if isinstance(init, Noise) else float(init)
    return Tensor(intern(Slot, (), ordered(set(dims)), "real", key, start, lower, upper, dims), dims)
