"""In: any objective. Out: the same values with less work: no zero weights, row factors out of sums.

Non-goals: correctness never hangs on it (`-O0` leaves it out), and nothing that changes what floats can
represent: that is `stabilise`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from losslang.ir import nodes as ir
from losslang.ir.nodes import Node, Objective, topological
from losslang.ir.ops import apply, const, is_const, is_op, reduce
from losslang.ir.rewrite import fixpoint
from losslang.types import Axes


@dataclass(frozen=True)
class Rule:
    """An identity: lower-case a and b are numbers of the program, r has none of the axes that are reduced."""

    equation: str
    rewrite: Callable[[Node], Node | None]


def simplify(objective: Objective) -> Objective:
    """Drop terms that cannot matter, then rewrite by every rule until nothing changes."""
    kept = tuple(term for term in objective.terms if not is_const(term.weight, 0))
    if len(kept) < len(objective.terms) and kept and not objective.balancers and objective.total is None:
        objective = replace(objective, terms=kept)
    return fixpoint(objective, _by_rules)


def _by_rules(node: Node) -> Node | None:
    for rule in RULES:
        found = rule.rewrite(node)
        if found is not None and found is not node:
            return found if found.dtype == node.dtype or node.dtype != "real" else apply("real", found)
    return None


# ------------------------------------------------------------------------------------------ numbers
def _numbers_together(node: Node) -> Node | None:
    for name in ("mul", "add"):
        if is_op(node, name) and isinstance(node.args[0], ir.Const) and is_op(node.args[1], name):
            first, (second, rest) = node.args[0], node.args[1].args
            if isinstance(second, ir.Const):
                return apply(name, apply(name, first, second), rest)
    return None


def _sign_into_number(node: Node) -> Node | None:
    if is_op(node, "mul") and isinstance(node.args[0], ir.Const) and is_op(node.args[1], "neg"):
        return apply("mul", apply("neg", node.args[0]), node.args[1].args[0])
    return None


def _times_inverse(node: Node) -> Node | None:
    match node:
        case ir.Op(name="div", args=(x, ir.Const(value=value))) if _is_power_of_two(float(value)):
            return apply("mul", const(1.0 / float(value)), x)
        case _:
            return None


def _is_power_of_two(value: float) -> bool:
    """Whether the inverse is exact."""
    return abs(math.frexp(value)[0]) == 0.5 and abs(value) > 1e-300


def _divide_once(node: Node) -> Node | None:
    match node:
        case ir.Op(name="div", args=(ir.Op(name="div", args=(x, a)), b)) if _is_number(a) and _is_number(b):
            return apply("div", x, apply("mul", a, b))
        case _:
            return None


def _is_number(node: Node) -> bool:
    """Whether a scalar is made of constants, extents and learned values alone: no data, so it is finite."""
    plain = (ir.Const, ir.Size, ir.Slot, ir.Op)
    return not node.axes and all(isinstance(inner, plain) for inner in topological([node]))


# ------------------------------------------------------------------------------------------ reductions
def _leaves(row: Node, over: Axes, mask: list[Node]) -> bool:
    """Whether a row value may leave a reduction: beside an empty set, infinite data would come to life."""
    return not set(row.axes) & set(over) and (not mask or _is_number(row))


def _factor_out(node: Node) -> Node | None:
    match node:
        case ir.Reduce(monoid="sum", args=(ir.Op(name="mul", args=(first, second)), *mask), over=over):
            for row, rest in ((first, second), (second, first)):
                if _leaves(row, over, mask):
                    return apply("mul", row, reduce("sum", rest, over, *mask))
        case _:
            pass
    return None


def _divisor_out(node: Node) -> Node | None:
    match node:
        case ir.Reduce(monoid="sum", args=(ir.Op(name="div", args=(top, row)), *mask), over=over):
            return apply("div", reduce("sum", top, over, *mask), row) if _leaves(row, over, mask) else None
        case _:
            return None


def _sign_out(node: Node) -> Node | None:
    match node:
        case ir.Reduce(monoid="sum", args=(ir.Op(name="neg", args=(x,)), *mask), over=over):
            return apply("neg", reduce("sum", x, over, *mask))
        case _:
            return None


def _shift_out(node: Node) -> Node | None:
    match node:
        case ir.Reduce(monoid="logsumexp", args=(ir.Op(name="add" | "sub" as name, args=(x, r)), *mask), over=over):
            if _leaves(r, over, mask):
                return apply(name, reduce("logsumexp", x, over, *mask), r)
            if name == "add" and _leaves(x, over, mask):
                return apply("add", x, reduce("logsumexp", r, over, *mask))
        case _:
            pass
    return None


RULES: tuple[Rule, ...] = (
    Rule("a*(b*x) = (a*b)*x, and the same for sums", _numbers_together),
    Rule("a*-x = -a*x", _sign_into_number),
    Rule("x/a = (1/a)*x where a is a power of two: that is exact", _times_inverse),
    Rule("(x/a)/b = x/(a*b)", _divide_once),
    Rule("sum[c](r*x) = r*sum[c](x)", _factor_out),
    Rule("sum[c](x/r) = sum[c](x)/r", _divisor_out),
    Rule("sum[c](-x) = -sum[c](x)", _sign_out),
    Rule("logsumexp[c](x + r) = logsumexp[c](x) + r", _shift_out),
)
