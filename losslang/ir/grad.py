"""Reverse-mode differentiation on the IR: a loss and its gradients are one DAG of the same nodes.

Each primitive's derivative is an expression, or a `NetVjp` where a network is opaque. At a singular point the
derivative is 0 (norm, sqrt and powers at 0), ties of max and min share evenly, and what a filter or branch
excludes contributes exactly 0: cotangents are built in the normal form ``(g if m else 0)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache

from losslang.ir import nodes as ir
from losslang.ir import ops
from losslang.ir.adjoints import adjoint
from losslang.ir.maps import spread
from losslang.ir.models import derivatives
from losslang.ir.nodes import Node
from losslang.ir.ops import apply, const, index, iota, is_const, reduce
from losslang.types import Axis, ordered

Rule = Callable[[ir.Op, Node], "tuple[Node | None, ...]"]

ZERO = const(0.0)
ONE = const(1.0)


Rows = frozenset[Axis]
"""Axes along which every position has a gradient of its own: nothing is added up along them."""

NO_ROWS: Rows = frozenset()


def gradients(root: Node, wrt: Sequence[Node], seed: Node = ONE, rows: Rows = NO_ROWS) -> list[Node]:
    """The derivative of a scalar (or, with a ``seed``, of its contraction with it) at each of ``wrt``.

    ``rows`` are axes of the root along which it stays apart; nothing under the root may reduce or index them.
    """
    cotangents: dict[Node, Node] = {root: seed}
    stop_at = set(wrt)
    order = ir.depending([root], stop_at)
    if root in stop_at:
        order.append(root)
    for node in reversed(order):
        cotangent = cotangents.get(node)
        if cotangent is None or is_const(cotangent, 0) or (node in stop_at and node is not root):
            continue
        for arg, part in zip(node.args, backward(node, cotangent, rows), strict=True):
            if part is not None and arg.dtype == "real":
                _accumulate(cotangents, arg, _summed(part, node, arg, rows), rows)
    return [_shaped(cotangents.get(node, ZERO), node, rows) for node in wrt]


def jacobian(root: Node, wrt: Node) -> Node:
    """The derivative of every element of the root at a node: the axes of both, which share none.

    Where an axis of the root is one that something under it consumes, the rows are taken one by one if their
    number is known, else as the contraction with a one-hot row over another variable.
    """
    consumed = _consumed(root)
    axis = next((axis for axis in root.axes if axis in consumed), None)
    if axis is None:
        return gradients(root, [wrt], rows=frozenset(root.axes))[0]
    if axis.root.size is not None:
        each = [jacobian(index(root, {axis: const(place)}), wrt) for place in range(axis.root.size)]
        return ops.stack(axis, each)
    taken = {*wrt.axes, *(known for node in ir.topological([root]) for known in node.axes)}
    row = next(copy for n in range(1, 99) if (copy := axis.copy(n)) not in taken)
    hot = reduce("sum", _where(apply("eq", iota(axis), iota(row)), root), [axis])
    return index(jacobian(hot, wrt), {row: iota(axis)})


def _consumed(root: Node) -> set[Axis]:
    """The axes that a node under the root does anything with but carry them along."""
    found: set[Axis] = set()
    for node in ir.topological([root]):
        match node:
            case ir.Reduce():
                found |= set(node.over)
            case ir.Index():
                found |= set(node.along)
            case ir.Stack():
                found.add(node.axis)
            case ir.Op() | ir.Input() | ir.Iota() | ir.Table():
                pass
            case _:
                found |= {*node.axes, *(axis for arg in node.args for axis in arg.axes)}
    return found


def _shaped(cotangent: Node, node: Node, rows: Rows) -> Node:
    extra = [axis for axis in cotangent.axes if axis not in node.axes and axis not in rows]
    return reduce("sum", cotangent, extra) if extra else cotangent


def _summed(part: Node, node: Node, arg: Node, rows: Rows) -> Node:
    """What a cotangent adds up to along the axes on which an operand was spread out.

    A cotangent that is the same along an axis does not have it: there the sum is a product with the extent.
    """
    spread = set(node.axes) if isinstance(node, ir.Op) else set[Axis]()
    if isinstance(node, ir.Stack):
        spread = set(node.axes) - {node.axis}
    absent = ordered(spread - {*arg.axes, *part.axes} - rows)
    return apply("mul", ops.sizes(absent, node), part) if absent else part


def _accumulate(cotangents: dict[Node, Node], node: Node, part: Node, rows: Rows) -> None:
    part = _shaped(part, node, rows)
    known = cotangents.get(node)
    cotangents[node] = part if known is None else apply("add", known, part)


def backward(node: Node, g: Node, rows: Rows = NO_ROWS) -> tuple[Node | None, ...]:
    """What a cotangent of a node gives each of its operands."""
    match node:
        case ir.Op():
            return OP_RULES[node.name](node, g) if node.name in OP_RULES else (None,) * len(node.args)
        case ir.Reduce():
            return (_reduce_rule(node, g), None)[: len(node.args)]
        case ir.Index():
            return (_index_rule(node, g, rows), *(None,) * len(node.along))
        case ir.Stack():
            return tuple(index(g, {node.axis: const(place)}) for place in range(len(node.args)))
        case ir.Map():
            return adjoint(node, spread(g, node.axes))
        case ir.Model() | ir.ModelVjp():
            return derivatives(node, g)
        case ir.Net():
            g = spread(g, node.axes)
            return (ir.intern(ir.NetVjp, (node.args[0], g), node.args[0].axes, "real", node.spec, (node.tap,)),)
        case _:
            return (None,) * len(node.args)


def carriers(node: Node) -> tuple[Node, ...]:
    """The operands that a derivative of a node reaches: those to which `backward` may give something."""
    match node:
        case ir.Op():
            carries = _op_carries(node.name)
        case ir.Reduce():
            carries = (_reduce_carries(node.monoid), False)
        case _ if node.args:
            parts = backward(node, ONE)
            carries = tuple(part is not None and not is_const(part, 0) for part in parts)
        case _:
            return ()
    return tuple(arg for arg, yes in zip(node.args, carries, strict=False) if yes and arg.dtype == "real")


@cache
def _op_carries(name: str) -> tuple[bool, ...]:
    values = [ir.intern(ir.TermValue, (), (), "real", f"any {place}") for place in range(3)]
    node = ir.intern(ir.Op, tuple(values[: ops.OPS[name].arity]), (), "real", name)
    return tuple(part is not None for part in OP_RULES[name](node, ONE)) if name in OP_RULES else ()


@cache
def _reduce_carries(monoid: str) -> bool:
    axis = Axis("any")
    value = apply("real", iota(axis))
    return _reduce_rule(ir.intern(ir.Reduce, (value,), (), "real", monoid, (axis,)), ONE) is not None


# ------------------------------------------------------------------------------------------ elementwise
def _where(condition: Node, x: Node) -> Node:
    return apply("where", condition, x, ZERO)


def _times(g: Node, x: Node) -> Node:
    return apply("mul", g, x)


def _binary(x: Callable[[Node, Node], Node], y: Callable[[Node, Node], Node]) -> Rule:
    """Derivatives of a binary operation by each operand."""

    def rule(node: ir.Op, g: Node) -> tuple[Node | None, ...]:
        a, b = node.args
        return _times(g, x(a, b)), _times(g, y(a, b))

    return rule


def _unary(derivative: Callable[[Node, Node], Node]) -> Rule:
    """``derivative(x, f(x))`` of a unary operation."""
    return lambda node, g: (_times(g, derivative(node.args[0], node)),)


def _div(node: ir.Op, g: Node) -> tuple[Node | None, ...]:
    x, y = node.args
    del x
    return apply("div", g, y), apply("neg", apply("div", _times(g, node), y))


def _pow(node: ir.Op, g: Node) -> tuple[Node | None, ...]:
    x, y = node.args
    zero = apply("eq", x, ZERO)
    slope = apply("mul", y, apply("pow", x, apply("sub", y, ONE)))
    smooth = isinstance(y, ir.Const) and float(y.value) >= 1
    by_x = _times(g, slope if smooth else apply("where", zero, ZERO, slope))
    by_y = _times(g, apply("where", apply("lt", ZERO, x), apply("mul", node, apply("log", x)), ZERO))
    return by_x, by_y


def _extremum(node: ir.Op, g: Node) -> tuple[Node | None, ...]:
    x, y = node.args
    half = apply("mul", const(0.5), g)
    tie = apply("eq", x, y)
    first = apply("lt", y, x) if node.name == "max" else apply("lt", x, y)
    return (
        apply("where", tie, half, _where(first, g)),
        apply("where", tie, half, _where(apply("not", first), g)),
    )


def _clamp(node: ir.Op, g: Node) -> tuple[Node | None, ...]:
    x, low, high = node.args
    inside = apply("and", apply("le", low, x), apply("le", x, high))
    below, above = apply("lt", x, low), apply("lt", high, x)
    return _where(inside, g), _where(below, g), _where(above, g)


def _atan2(node: ir.Op, g: Node) -> tuple[Node | None, ...]:
    y, x = node.args
    square = apply("add", _square(x), _square(y))
    origin = apply("eq", square, ZERO)
    safe = apply("where", origin, ONE, square)
    by_y, by_x = (apply("div", _times(g, side), safe) for side in (x, apply("neg", y)))
    return apply("where", origin, ZERO, by_y), apply("where", origin, ZERO, by_x)


def _sqrt(node: ir.Op, g: Node) -> tuple[Node | None, ...]:
    x = node.args[0]
    return (apply("where", apply("eq", x, ZERO), ZERO, apply("div", g, apply("mul", const(2.0), node))),)


def _polygamma_slope(order: Node, x: Node) -> Node:
    return apply("polygamma", apply("add", const(1), order), x)


def _square(x: Node) -> Node:
    return apply("mul", x, x)


OP_RULES: dict[str, Rule] = {
    "add": lambda node, g: (g, g),
    "sub": lambda node, g: (g, apply("neg", g)),
    "mul": _binary(lambda x, y: y, lambda x, y: x),
    "div": _div,
    "neg": lambda node, g: (apply("neg", g),),
    "pow": _pow,
    "max": _extremum,
    "min": _extremum,
    "clamp": _clamp,
    "exp": _unary(lambda x, y: y),
    "log": lambda node, g: (apply("div", g, node.args[0]),),
    "log1p": lambda node, g: (apply("div", g, apply("add", ONE, node.args[0])),),
    "expm1": _unary(lambda x, y: apply("add", y, ONE)),
    "sqrt": _sqrt,
    "abs": _unary(lambda x, y: apply("sign", x)),
    "relu": lambda node, g: (_where(apply("lt", ZERO, node.args[0]), g),),
    "tanh": _unary(lambda x, y: apply("sub", ONE, _square(y))),
    "sigmoid": _unary(lambda x, y: apply("mul", y, apply("sub", ONE, y))),
    "softplus": _unary(lambda x, y: apply("sigmoid", x)),
    "sin": _unary(lambda x, y: apply("cos", x)),
    "cos": _unary(lambda x, y: apply("neg", apply("sin", x))),
    "tan": _unary(lambda x, y: apply("add", ONE, _square(y))),
    "asin": _unary(lambda x, y: apply("div", ONE, apply("sqrt", apply("sub", ONE, _square(x))))),
    "acos": _unary(lambda x, y: apply("div", const(-1.0), apply("sqrt", apply("sub", ONE, _square(x))))),
    "atan": _unary(lambda x, y: apply("div", ONE, apply("add", ONE, _square(x)))),
    "sinh": _unary(lambda x, y: apply("cosh", x)),
    "cosh": _unary(lambda x, y: apply("sinh", x)),
    "arsinh": _unary(lambda x, y: apply("div", ONE, apply("sqrt", apply("add", ONE, _square(x))))),
    "arcosh": _unary(lambda x, y: apply("div", ONE, apply("sqrt", apply("sub", _square(x), ONE)))),
    "artanh": _unary(lambda x, y: apply("div", ONE, apply("sub", ONE, _square(x)))),
    "lgamma": _unary(lambda x, y: apply("polygamma", const(0), x)),
    "polygamma": lambda node, g: (None, _times(g, _polygamma_slope(*node.args))),
    "atan2": _atan2,
    "erf": _unary(lambda x, y: apply("mul", const(2 / math.sqrt(math.pi)), apply("exp", apply("neg", _square(x))))),
    "where": lambda node, g: (None, _where(node.args[0], g), apply("where", node.args[0], ZERO, g)),
    "real": lambda node, g: (g,),
    "mark": lambda node, g: (g,),
}


# ------------------------------------------------------------------------------------------ structure
def _reduce_rule(node: ir.Reduce, g: Node) -> Node | None:
    x, *rest = node.args
    mask = rest[0] if rest else None
    match node.monoid:
        case "sum":
            part = g
        case "logsumexp":
            part = _times(g, apply("exp", apply("sub", x, node)))
        case "prod":
            part = _times(g, _product_of_others(node))
        case "max" | "min":
            hit = apply("eq", x, node)
            hit = hit if mask is None else apply("and", hit, mask)
            part = _where(hit, apply("div", g, reduce("sum", hit, node.over)))
        case _:
            return None
    return part if mask is None else _where(mask, part)


def _product_of_others(node: ir.Reduce) -> Node:
    """For each factor the product of the others: no division, so it is exact where factors are 0."""
    taken = {axis for arg in node.args for axis in arg.axes}
    renamed = {axis: iota(fresh) for axis, fresh in ops.copies(node.over, taken).items()}
    other: Node = const(False)
    for axis, position in renamed.items():
        other = apply("or", other, apply("ne", iota(axis), position))
    x, *mask = (index(arg, renamed) for arg in node.args)
    kept = apply("and", other, mask[0]) if mask else other
    return reduce("prod", x, [position.axes[0] for position in renamed.values()], kept)


def _index_rule(node: ir.Index, g: Node, rows: Rows) -> Node:
    """The transpose of a gather: a masked sum over the variables that the value lacks."""
    x = node.args[0]
    positions = dict(zip(node.along, node.args[1:], strict=True))
    if ops.is_renaming(x, positions) and not any(position.axes[0] in rows for position in positions.values()):
        back = {p.axes[0]: iota(axis) for axis, p in positions.items()}
        return index(g, back)
    clash = tuple(axis for axis in node.axes if axis in positions)
    fresh: dict[Axis, Node] = {a: iota(copy) for a, copy in ops.copies(clash, {*node.axes, *x.axes}).items()}
    g = index(g, fresh)
    hit: Node = const(True)
    for axis, position in positions.items():
        hit = apply("and", hit, apply("eq", iota(axis), index(position, fresh)))
    masked = _where(hit, g)
    return reduce("sum", masked, [axis for axis in masked.axes if axis not in x.axes and axis not in rows])
