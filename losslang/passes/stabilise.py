"""In: formulas as papers print them. Out: formulas equal in the reals and better in floats.

Each rule is data: its equation and an input that it saves. Then two things that are no algebra: functions
with a singular point (sqrt, powers, log, division) get a gradient of 0 there, and what a filter or branch
excludes is kept away from them, so that no NaN of an excluded element reaches a gradient.
Non-goals: speed, sharing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from losslang.ir import nodes as ir
from losslang.ir.nodes import Node, Objective
from losslang.ir.ops import apply, const, is_const, is_op, reduce
from losslang.ir.rewrite import fixpoint, rebuild, transform


@dataclass(frozen=True)
class Rule:
    """An identity, where the left side fails, and the function that rewrites it."""

    equation: str
    saves: str
    rewrite: Callable[[Node], Node | None]


def stabilise(objective: Objective) -> Objective:
    """Rewrite by every rule, guard what is excluded, then make singular points safe."""
    objective = fixpoint(objective, _by_rules)
    objective = transform(objective, _guard_excluded)
    return transform(objective, _safe)


def _by_rules(node: Node) -> Node | None:
    for rule in RULES:
        found = rule.rewrite(node)
        if found is not None and found is not node:
            return found
    return None


# ------------------------------------------------------------------------------------------ rules
def _one_plus(node: Node) -> Node | None:
    """``x`` of ``1 + x``."""
    if is_op(node, "add") and is_const(node.args[0], 1):
        return node.args[1]
    return None


def _log_sum_exp(node: Node) -> Node | None:
    match node:
        case ir.Op(name="log", args=(ir.Reduce(monoid="sum", args=(ir.Op(name="exp", args=(x,)), *mask), over=over),)):
            return reduce("logsumexp", x, over, *mask)
        case _:
            return None


def _log_exp(node: Node) -> Node | None:
    return node.args[0].args[0] if is_op(node, "log") and is_op(node.args[0], "exp") else None


def _log_mean_exp(node: Node) -> Node | None:
    """``log(x/n)`` where x is a sum of exponentials or an exponential."""
    if not is_op(node, "log") or not is_op(node.args[0], "div"):
        return None
    top, bottom = node.args[0].args
    exponential = is_op(top, "exp") or (
        isinstance(top, ir.Reduce) and top.monoid == "sum" and is_op(top.args[0], "exp")
    )
    return apply("sub", apply("log", top), apply("log", bottom)) if exponential else None


def _log_one_plus(node: Node) -> Node | None:
    inner = _one_plus(node.args[0]) if is_op(node, "log") else None
    if inner is None:
        return None
    return apply("softplus", inner.args[0]) if is_op(inner, "exp") else apply("log1p", inner)


def _log1p_exp(node: Node) -> Node | None:
    return apply("softplus", node.args[0].args[0]) if is_op(node, "log1p") and is_op(node.args[0], "exp") else None


def _log_sigmoid(node: Node) -> Node | None:
    if not is_op(node, "log") or not is_op(node.args[0], "sigmoid"):
        return None
    return apply("neg", apply("softplus", apply("neg", node.args[0].args[0])))


def _one_minus_sigmoid(node: Node) -> Node | None:
    if is_op(node, "sub") and is_const(node.args[0], 1) and is_op(node.args[1], "sigmoid"):
        return apply("sigmoid", apply("neg", node.args[1].args[0]))
    return None


def _exp_minus_one(node: Node) -> Node | None:
    if not is_op(node, "sub"):
        return None
    first, second = node.args
    if is_op(first, "exp") and is_const(second, 1):
        return apply("expm1", first.args[0])
    if is_const(first, 1) and is_op(second, "exp"):
        return apply("neg", apply("expm1", second.args[0]))
    return None


RULES: tuple[Rule, ...] = (
    Rule("log(sum(exp(x))) = logsumexp(x)", "x = 1000 overflows exp", _log_sum_exp),
    Rule("log(exp(x)) = x", "x = -1000 underflows exp", _log_exp),
    Rule("log(exp(x)/y) = x - log(y)", "x = -1000 underflows exp", _log_mean_exp),
    Rule("log(1 + exp(x)) = softplus(x)", "x = 1000 overflows exp", _log1p_exp),
    Rule("log(1 + x) = log1p(x)", "x = 1e-20 vanishes beside 1", _log_one_plus),
    Rule("log(sigmoid(x)) = -softplus(-x)", "x = -1000 underflows sigmoid", _log_sigmoid),
    Rule("1 - sigmoid(x) = sigmoid(-x)", "x = 50 rounds to 1", _one_minus_sigmoid),
    Rule("exp(x) - 1 = expm1(x)", "x = 1e-20 vanishes beside 1", _exp_minus_one),
)


# ------------------------------------------------------------------------------------------ excluded elements
def _guard_excluded(node: Node) -> Node | None:
    """What a filter or branch excludes is computed from harmless numbers: its derivative is finite."""
    match node:
        case ir.Reduce(args=(x, mask)):
            guarded = _guard(x, mask)
            return None if guarded is x else reduce(node.monoid, guarded, node.over, mask)
        case ir.Op(name="where", args=(mask, x, y)):
            safe_x, safe_y = _guard(x, mask), _guard(y, apply("not", mask))
            return None if safe_x is x and safe_y is y else apply("where", mask, safe_x, safe_y)
        case _:
            return None


# operation -> place of the operand that can be singular, and a number at which nothing is
_SINGULAR: dict[str, tuple[int, float]] = {
    "log": (0, 1.0),
    "log1p": (0, 0.0),
    "sqrt": (0, 1.0),
    "div": (1, 1.0),
    "pow": (0, 1.0),
    "exp": (0, 0.0),
    "expm1": (0, 0.0),
    "acos": (0, 0.0),
    "asin": (0, 0.0),
    "tan": (0, 0.0),
}


def _guard(node: Node, mask: Node) -> Node:
    """The elementwise expression with its singular operands replaced where the mask does not hold."""
    done: dict[Node, Node] = {}
    for part in _elementwise(node) if not isinstance(mask, ir.Const) else ():
        args = [done.get(arg, arg) for arg in part.args]
        place, harmless = _SINGULAR.get(part.name, (-1, 0.0))
        if place >= 0 and _hangs_on(args[place], mask) and not _already(args[place], mask):
            args[place] = apply("where", mask, args[place], const(harmless))
        done[part] = rebuild(part, tuple(args))
    return done.get(node, node)


def _hangs_on(operand: Node, mask: Node) -> bool:
    """Whether an operand may be singular where the mask does not hold: one number is guarded by one condition only."""
    return bool(operand.axes) or (not mask.axes and isinstance(operand, ir.Slot | ir.Op | ir.Reduce))


def _elementwise(root: Node) -> list[ir.Op]:
    """The real-valued operations from a node down to what is no operation, operands first; conditions are left out."""
    found = ir.topological([root], lambda node: node.args if _is_real_op(node) else ())
    return [node for node in found if isinstance(node, ir.Op) and _is_real_op(node)]


def _is_real_op(node: Node) -> bool:
    return isinstance(node, ir.Op) and node.dtype == "real"


def _already(node: Node, mask: Node) -> bool:
    return is_op(node, "where") and (node.args[0] is mask or apply("not", node.args[0]) is mask)


# ------------------------------------------------------------------------------------------ singular points
def _safe(node: Node) -> Node | None:
    """``sqrt`` and powers have gradient 0 at their singular point instead of inf or NaN."""
    match node:
        case ir.Op(name="sqrt", args=(x,)) if not _is_safe(x) and not _positive(x):
            zero = apply("eq", x, const(0.0))
            inner = apply("where", zero, const(1.0), x)
            return apply("where", zero, const(0.0), apply("sqrt", inner))
        case ir.Op(name="pow", args=(x, y)) if not _smooth_power(y) and not _is_safe(x):
            zero = apply("eq", x, const(0.0))
            inner = apply("where", zero, const(1.0), x)
            return apply("where", zero, _power_at_zero(y), apply("pow", inner, y))
        case _:
            return None


def _is_safe(x: Node) -> bool:
    """Whether zero is replaced by one already: ``x if x != 0 else 1``."""
    match x:
        case ir.Op(name="where", args=(ir.Op(name="ne" | "eq" as name, args=operands), then, otherwise)):
            value, other = (then, otherwise) if name == "ne" else (otherwise, then)
            return is_const(other, 1) and value in operands and any(is_const(operand, 0) for operand in operands)
        case _:
            return isinstance(x, ir.Const)


def _positive(x: Node) -> bool:
    """A number above 0 plus squares is never 0."""
    match x:
        case ir.Op(name="add", args=(ir.Const(value=value), rest)) if value > 0:
            return _nonnegative(rest)
        case _:
            return False


def _nonnegative(x: Node) -> bool:
    match x:
        case ir.Op(name="mul", args=(a, b)):
            return a is b or (isinstance(a, ir.Const) and float(a.value) >= 0 and _nonnegative(b))
        case ir.Op(name="exp" | "abs" | "softplus" | "sigmoid" | "relu" | "sqrt"):
            return True
        case ir.Op(name="add", args=(a, b)):
            return _nonnegative(a) and _nonnegative(b)
        case _:
            return False


def _smooth_power(y: Node) -> bool:
    """Whether x**y has a finite slope at 0: whole powers, and constants of at least 1."""
    return isinstance(y, ir.Const) and float(y.value) >= 1


def _power_at_zero(y: Node) -> Node:
    """0**y: 0 for positive y, 1 for 0."""
    if isinstance(y, ir.Const):
        return const(0.0 if y.value > 0 else float("inf"))
    return apply("where", apply("eq", y, const(0.0)), const(1.0), const(0.0))
