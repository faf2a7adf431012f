"""How each primitive becomes torch: one function per operation, mirroring the tables of ``ir/ops.py``."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import fx
from torch.nn import functional as F

from losslang.ir import nodes as ir
from losslang.ir import ops
from losslang.ir.nodes import Node
from losslang.lowering.emit import Emitter, Operand
from losslang.lowering.maps import lower_map
from losslang.lowering.models import lower_model, lower_model_vjp
from losslang.runtime import functional, minimum
from losslang.types import Axes, Axis

Rule = Callable[[Emitter, Any], Operand]

LARGEST_INT = 2**63 - 1
"""What stands for infinity where a maximum or minimum of integers has nothing to choose from."""

SOFTPLUS_THRESHOLD = 40.0
"""Beyond it softplus(x) is x in float64, and exp has not overflowed in float32."""


# ------------------------------------------------------------------------------------------ leaves
def lower_input(emitter: Emitter, node: ir.Input) -> Operand:
    """The tensor the caller passes, in working precision, its dimensions in the order of the node's axes."""
    value = emitter.values[node]
    if node.kind.dtype == "real":
        value = emitter.method("to", value, emitter.dtype)
    return emitter.permute(value, node.dims, node.axes)


def lower_const(emitter: Emitter, node: ir.Const) -> Operand:
    """A Python number."""
    return node.value


def lower_table(emitter: Emitter, node: ir.Table) -> Operand:
    """A constant vector."""
    assert emitter.like is not None
    return emitter.call(functional.vector, emitter.like, node.values, emitter.dtype)


def lower_iota(emitter: Emitter, node: ir.Iota) -> Operand:
    """0, 1, 2, ... on the inputs' device; over the dimensions of a rest axis they count all elements."""
    (axis,) = node.axes
    if not axis.rest:
        return emitter.indices(axis)
    flat = emitter.call(functional.indices, emitter.like, emitter.extent(axis))
    return emitter.method("reshape", flat, emitter.extents((axis,)))


def lower_size(emitter: Emitter, node: ir.Size) -> Operand:
    """A Python number, or a symbolic one."""
    return emitter.extent(node.axis)


def lower_slot(emitter: Emitter, node: ir.Slot) -> Operand:
    """A learned parameter."""
    return emitter.permute(emitter.method("to", emitter.values[node], emitter.dtype), node.dims, node.axes)


def lower_last(emitter: Emitter, node: ir.Last) -> Operand:
    """What is stored, or the first value; neither has a gradient."""
    stored, known = emitter.stored[node.key]
    if node.dtype == "real":
        stored = emitter.method("to", stored, emitter.dtype)
    first = emitter.align(node.args[0], node.axes)
    if isinstance(first, fx.Node) and node.args[0] not in emitter.scalars and node.dtype == "real":
        first = emitter.method("detach", first)
    return emitter.call(torch.where, known, emitter.permute(stored, node.dims, node.axes), first)


def lower_clock(emitter: Emitter, node: ir.Clock) -> Operand:
    """An integer that the runtime passes."""
    return emitter.values[node]


def lower_draw(emitter: Emitter, node: ir.Draw) -> Operand:
    """Random numbers that the runtime has drawn."""
    return emitter.permute(emitter.values[node], node.dims, node.axes)


# ------------------------------------------------------------------------------------------ elementwise
def lower_op(emitter: Emitter, node: ir.Op) -> Operand:
    """An elementwise operation on aligned operands."""
    args = [emitter.align(arg, node.axes) for arg in node.args]
    count = node.args[-1]
    if node.name == "div" and count.dtype == "int" and count in emitter.scalars and isinstance(args[1], fx.Node):
        args[1] = _nonzero(emitter, count, args[1])  # the mean of nothing is 0
    if node in emitter.scalars:
        return _SCALARS[node.name](emitter, args)
    if node.name == "polygamma":
        return _polygamma(emitter, node)
    if node.name in _TENSORS_ONLY:
        args = [
            emitter.number(value, node.dtype) if arg in emitter.scalars else _working(emitter, value, arg, node)
            for value, arg in zip(args, node.args, strict=True)
        ]
    elif all(arg in emitter.scalars for arg in node.args):
        args[0] = emitter.number(args[0])
    elif node.dtype == "real" and node.name in _ARITHMETIC:
        args = _in_working_precision(emitter, args, node.args)
    elif node.dtype == "real" and node.name == "where":
        args[1:] = _in_working_precision(emitter, args[1:], node.args[1:])
    return OPERATIONS[node.name](emitter, *args)


def _nonzero(emitter: Emitter, count: Node, value: Operand) -> Operand:
    """An extent, or 1 in place of 0; what is subtracted from one may be below 0 too."""
    if all(isinstance(n, (ir.Size, ir.Const)) or ops.is_op(n, "mul") for n in ir.topological([count])):
        return emitter.call(torch.sym_max, value, 1)
    square = emitter.call(operator.mul, value, value)
    zero = emitter.call(torch.sym_max, emitter.call(operator.sub, 1, square), 0)
    return emitter.call(operator.add, value, zero)


def _working(emitter: Emitter, value: Operand, arg: Node, node: ir.Op) -> Operand:
    """What a function of the reals takes, in working precision."""
    wanted = node.dtype == "real" and arg.dtype != "real" and node.name not in ("max", "min")
    return emitter.method("to", value, emitter.dtype) if wanted else value


_ARITHMETIC = ("add", "sub", "mul", "div", "pow", "clamp")


def _in_working_precision(emitter: Emitter, args: list[Operand], nodes: Sequence[Node]) -> list[Operand]:
    """Counts beside Python numbers only: torch would compute them in its default precision."""
    if any(node.dtype == "real" and node not in emitter.scalars for node in nodes):
        return args
    tensors = [node not in emitter.scalars for node in nodes]
    return [emitter.method("to", v, emitter.dtype) if t else v for v, t in zip(args, tensors, strict=True)]


Scalar: TypeAlias = Callable[[Emitter, list[Operand]], Operand]


def _scalar(function: Callable[..., Any]) -> Scalar:
    def emit(emitter: Emitter, args: list[Operand]) -> Operand:
        return emitter.call(function, *args) if any(isinstance(a, fx.Node) for a in args) else function(*args)

    return emit


def _same(emitter: Emitter, args: list[Operand]) -> Operand:
    return args[0]


_SCALARS: dict[str, Scalar] = {
    "add": _scalar(operator.add),
    "sub": _scalar(operator.sub),
    "mul": _scalar(operator.mul),
    "div": _scalar(operator.truediv),
    "neg": _scalar(operator.neg),
    "real": _same,
}

# operations whose torch form takes no Python numbers
_TENSORS_ONLY = frozenset(
    {"max", "min", "exp", "log", "log1p", "expm1", "sqrt", "abs", "sign", "relu", "tanh", "sigmoid", "softplus"}
    | {"sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "arsinh", "arcosh", "artanh"}
    | {"erf", "lgamma", "floor", "ceil", "round", "int", "stop"}
)


def _call(function: Any) -> Callable[..., Operand]:
    def emit(emitter: Emitter, *args: Operand) -> Operand:
        return emitter.call(function, *args)

    return emit


def _softplus(emitter: Emitter, x: Operand) -> Operand:
    return emitter.call(F.softplus, x, 1.0, SOFTPLUS_THRESHOLD)


def _where(emitter: Emitter, condition: Operand, x: Operand, y: Operand) -> Operand:
    if not isinstance(x, fx.Node) and not isinstance(y, fx.Node):
        x = emitter.number(x)
    return emitter.call(torch.where, condition, x, y)


def _real(emitter: Emitter, x: Operand) -> Operand:
    return emitter.method("to", x, emitter.dtype)


def _int(emitter: Emitter, x: Operand) -> Operand:
    return emitter.method("to", x, torch.int64)


def _stop(emitter: Emitter, x: Operand) -> Operand:
    return emitter.method("detach", x)


def _polygamma(emitter: Emitter, node: ir.Op) -> Operand:
    """Derivatives of the logarithm of the gamma function: torch wants their order as a number."""
    order, x = node.args
    assert isinstance(order, ir.Const), "the order of polygamma is a number"
    value = _working(emitter, emitter.tensor(x), x, node)
    return emitter.call(torch.polygamma, int(order.value), value) if order.value else emitter.call(torch.digamma, value)


OPERATIONS: dict[str, Callable[..., Operand]] = {
    "add": _call(operator.add),
    "sub": _call(operator.sub),
    "mul": _call(operator.mul),
    "div": _call(operator.truediv),
    "neg": _call(operator.neg),
    "pow": _call(operator.pow),
    "max": _call(torch.maximum),
    "min": _call(torch.minimum),
    "clamp": _call(torch.clamp),
    "exp": _call(torch.exp),
    "log": _call(torch.log),
    "log1p": _call(torch.log1p),
    "expm1": _call(torch.expm1),
    "sqrt": _call(torch.sqrt),
    "abs": _call(torch.abs),
    "sign": _call(torch.sign),
    "relu": _call(torch.relu),
    "tanh": _call(torch.tanh),
    "sigmoid": _call(torch.sigmoid),
    "softplus": _softplus,
    "sin": _call(torch.sin),
    "cos": _call(torch.cos),
    "tan": _call(torch.tan),
    "asin": _call(torch.asin),
    "acos": _call(torch.acos),
    "atan": _call(torch.atan),
    "atan2": _call(torch.atan2),
    "sinh": _call(torch.sinh),
    "cosh": _call(torch.cosh),
    "arsinh": _call(torch.asinh),
    "arcosh": _call(torch.acosh),
    "artanh": _call(torch.atanh),
    "erf": _call(torch.erf),
    "lgamma": _call(torch.lgamma),
    "floor": _call(torch.floor),
    "ceil": _call(torch.ceil),
    "round": _call(torch.round),
    "int": _int,
    "eq": _call(operator.eq),
    "ne": _call(operator.ne),
    "lt": _call(operator.lt),
    "le": _call(operator.le),
    "and": _call(torch.logical_and),
    "or": _call(torch.logical_or),
    "not": _call(torch.logical_not),
    "where": _where,
    "real": _real,
    "stop": _stop,
}


# ------------------------------------------------------------------------------------------ reductions
def lower_reduce(emitter: Emitter, node: ir.Reduce) -> Operand:
    """A reduction; a sum of products with outer axes on both sides is a contraction."""
    if len(node.args) == 1 and node.monoid == "sum":
        contracted = _contract(emitter, node)
        if contracted is not None:
            return contracted
    places = latest_places(node)
    if places is not None:
        return _latest(emitter, places)
    axes = ops.merge(node.args)
    value = emitter.align(node.args[0], axes)
    if len(node.args) == 2:
        value = _masked(emitter, node, value, axes)
    dims = emitter.places(node.over, axes)
    if not dims:
        return value
    return MONOIDS[node.monoid](emitter, value, dims)


class Places(NamedTuple):
    """``max[i](i if n == ids[i] and kept[i] else -1)``: for each n the last place at which its number stands, or -1."""

    table: Axis
    ids: Node
    kept: Node | None


def latest_places(node: ir.Reduce) -> Places | None:
    """What a reduction looks up, where it is a search for the last place of every number."""
    match node:
        case ir.Reduce(monoid="max", args=(ir.Op(name="where", args=(hit, ir.Iota() as place, ir.Const(value=-1))),)):
            table = [axis for axis in node.axes if axis not in place.axes]
            same, *kept = _conjuncts(hit)
            numbers = [arg for arg in same.args if not isinstance(arg, ir.Iota)]
            if node.over != place.axes or len(table) != 1 or len(node.axes) != 1 or table[0].rest or table[0].ordinal:
                return None
            if not ops.is_op(same, "eq") or len(numbers) != 1 or len(kept) > 1 or ops.iota(table[0]) not in same.args:
                return None
            fits = all(arg.axes == place.axes for arg in (*numbers, *kept))
            return Places(table[0], numbers[0], kept[0] if kept else None) if fits else None
        case _:
            return None


def _conjuncts(condition: Node) -> list[Node]:
    """A comparison first, then what must hold besides."""
    parts = list(condition.args) if ops.is_op(condition, "and") else [condition]
    return sorted(parts, key=lambda part: not ops.is_op(part, "eq"))


def _latest(emitter: Emitter, places: Places) -> Operand:
    kept = None if places.kept is None else emitter.tensor(places.kept)
    return emitter.call(functional.latest, emitter.tensor(places.ids), emitter.extent(places.table), kept)


def _masked(emitter: Emitter, node: ir.Reduce, value: Operand, axes: Axes) -> Operand:
    mask = emitter.align(node.args[1], axes)
    if node.monoid in ("any", "all"):
        empty = node.monoid == "all"
        join = torch.logical_or if empty else torch.logical_and
        return emitter.call(join, value, emitter.call(torch.logical_not, mask) if empty else mask)
    empty = float("-inf") if node.monoid == "argmax" else ops.MONOIDS[node.monoid]
    if node.args[0].dtype == "int":
        empty = int(max(min(empty, LARGEST_INT), -LARGEST_INT))
    return _where(emitter, mask, value, empty)


MONOIDS: dict[str, Callable[[Emitter, Operand, list[int]], Operand]] = {
    "sum": lambda emitter, x, dims: emitter.method("sum", x, dims),
    "prod": lambda emitter, x, dims: emitter.call(functional.product, x, dims),
    "max": lambda emitter, x, dims: emitter.call(functional.largest, x, dims),
    "min": lambda emitter, x, dims: emitter.call(functional.smallest, x, dims),
    "logsumexp": lambda emitter, x, dims: emitter.call(torch.logsumexp, x, dims),
    "any": lambda emitter, x, dims: emitter.call(torch.any, x, dims),
    "all": lambda emitter, x, dims: emitter.call(torch.all, x, dims),
    "argmax": lambda emitter, x, dims: emitter.call(torch.argmax, x, dims[0]),
}


def is_contraction(node: ir.Reduce) -> bool:
    """``sum[d](a*b)`` where each factor has an axis that the other lacks: the product is never materialised."""
    if node.monoid != "sum" or len(node.args) != 1 or not ops.is_op(node.args[0], "mul"):
        return False
    a, b = node.args[0].args
    left, right = set(a.axes) - set(b.axes), set(b.axes) - set(a.axes)
    both_real = a.dtype == b.dtype == "real"
    return both_real and bool(left) and bool(right) and set(node.over) <= set(a.axes) & set(b.axes)


def _contract(emitter: Emitter, node: ir.Reduce) -> Operand | None:
    if not is_contraction(node):
        return None
    a, b = node.args[0].args
    letters: dict[Axis, str] = {}
    pool = iter("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    for axis in ops.merge((a, b)):
        letters[axis] = "".join(next(pool) for _ in range(emitter.rank(axis)))
    text = [("".join(letters[axis] for axis in axes)) for axes in (a.axes, b.axes, node.axes)]
    return emitter.call(torch.einsum, f"{text[0]},{text[1]}->{text[2]}", emitter.tensor(a), emitter.tensor(b))


# ------------------------------------------------------------------------------------------ indexing and structure
def lower_index(emitter: Emitter, node: ir.Index) -> Operand:
    """A view for a renaming, a masked sum for a pick (no scatter in its gradient), a gather for tables."""
    x = node.args[0]
    positions = dict(zip(node.along, node.args[1:], strict=True))
    if ops.is_renaming(x, positions):
        renamed = {axis: p.axes[0] for axis, p in positions.items()}
        have = tuple(renamed.get(axis, axis) for axis in x.axes)
        return emitter.permute(emitter.tensor(x), have, node.axes)
    if len(positions) == 1 and isinstance(node.args[1], ir.Const):
        (dim,) = emitter.places(node.along, x.axes)
        return emitter.method("select", emitter.tensor(x), dim, int(node.args[1].value))
    if set(node.axes) <= set(x.axes) - set(node.along):
        return _pick(emitter, node, positions)
    return _gather(emitter, node, positions)


def _pick(emitter: Emitter, node: ir.Index, positions: dict[Axis, Node]) -> Operand:
    """``sum[c](x if c == labels else 0)``: the gradient of a mask is a mask, that of a gather a scatter."""
    x = node.args[0]
    hit: Operand = None
    for axis, position in positions.items():
        variable = emitter.align_value(emitter.indices(axis), (axis,), x.axes)
        same = emitter.call(operator.eq, variable, emitter.align(position, x.axes))
        hit = same if hit is None else emitter.call(torch.logical_and, hit, same)
    zero: float | bool | int = {"real": 0.0, "int": 0, "bool": False}[x.dtype]
    chosen = emitter.call(torch.where, hit, emitter.tensor(x), zero)
    picked = emitter.method("sum", chosen, emitter.places(node.along, x.axes))
    return emitter.method("to", picked, torch.bool) if x.dtype == "bool" else picked


def _gather(emitter: Emitter, node: ir.Index, positions: dict[Axis, Node]) -> Operand:
    x = node.args[0]
    rows = _rows(emitter, node, positions)
    if rows is not None:
        return rows
    index: list[Operand] = []
    for axis in x.axes:
        if axis in positions:
            if isinstance(positions[axis], ir.Const):
                index.append(int(emitter.values[positions[axis]]))
                continue
            place = emitter.align(positions[axis], node.axes)
            index.append(emitter.call(functional.within, place, emitter.extent(axis)))
            continue
        index += _grid(emitter, axis, node)
    return emitter.call(functional.elements, emitter.tensor(x), tuple(index))


def _rows(emitter: Emitter, node: ir.Index, positions: dict[Axis, Node]) -> Operand | None:
    """Whole rows of a table, at places along one new axis."""
    ((axis, place), *others), x = positions.items(), node.args[0]
    if others or len(place.axes) != 1 or place.axes[0] in set(x.axes) - {axis} or place.axes[0].rest or axis.rest:
        return None
    (dim,) = emitter.places((axis,), x.axes)
    index = emitter.call(functional.within, emitter.tensor(place), emitter.extent(axis))
    have = tuple(place.axes[0] if a == axis else a for a in x.axes)
    return emitter.permute(emitter.call(torch.index_select, emitter.tensor(x), dim, index), have, node.axes)


def _grid(emitter: Emitter, axis: Axis, node: ir.Index) -> list[Operand]:
    """The own variables of an axis that is kept, one for each of its dimensions, aligned to the result."""
    rank = emitter.dims(node.axes)
    places = emitter.places((axis,), node.axes)
    return [
        emitter.method("reshape", emitter.indices(axis, step), [-1] + [1] * (rank - place - 1))
        for step, place in enumerate(places)
    ]


def lower_stack(emitter: Emitter, node: ir.Stack) -> Operand:
    """Values side by side, each expanded to the common shape."""
    inner = tuple(axis for axis in node.axes if axis != node.axis)
    items = [emitter.align_value(emitter.tensor(arg), arg.axes, inner) for arg in node.args]
    if any(arg.axes != inner for arg in node.args):
        items = list(_each(emitter, emitter.call(torch.broadcast_tensors, *items), len(items)))
    return emitter.call(torch.stack, items, emitter.places((node.axis,), node.axes)[0])


def _each(emitter: Emitter, value: fx.Node, count: int) -> list[fx.Node]:
    return [emitter.call(operator.getitem, value, place) for place in range(count)]


def lower_net(emitter: Emitter, node: ir.Net) -> Operand:
    """One tap of a network; the network runs once for all of its taps."""
    x = node.args[0]
    key = (str(node.spec), x)
    if key not in emitter.features:
        name = emitter.networks[str(node.spec)]
        emitter.features[key] = emitter.module(name, emitter.tensor(x))
    value = emitter.call(operator.getitem, emitter.features[key], node.tap)
    emitter.anchor(value, node.axes)
    return value


def lower_heads(emitter: Emitter, node: ir.Heads) -> Operand:
    """LPIPS's weights of a tap."""
    return emitter.attribute(f"{emitter.networks[str(node.spec)]}.head{node.tap}")


# ------------------------------------------------------------------------------------------ minima
def lower_minimum(emitter: Emitter, node: ir.Minimum) -> Operand:
    """A solver's call; the derivatives of the function are a graph of their own."""
    name = f"problem{len(emitter.problems)}"
    emitter.problems[name] = _problem(emitter, node)
    held = [emitter.tensor(arg) for arg in node.args]
    problem, (axis,) = emitter.attribute(name), node.axes
    found = emitter.call(minimum.least, emitter.like, problem, node.over, emitter.extent(axis), *held)
    emitter.anchor(found, node.axes)
    return emitter.method("to", found, emitter.dtype)


def _problem(emitter: Emitter, node: ir.Minimum) -> fx.Graph:
    """Slope and second derivatives at a vector, over the operands of a minimum, in float64."""
    inner = Emitter(fx.Graph(), emitter.ranks, torch.float64)
    leaves = {
        leaf.place: leaf for leaf in ir.topological([node.gradient, node.hessian]) if isinstance(leaf, ir.Variable)
    }
    for place, axes in enumerate((node.axes, *(arg.axes for arg in node.args))):
        placeholder = inner.graph.placeholder("x" if place == 0 else f"held{place}")
        inner.like = inner.like or placeholder
        if place in leaves:
            inner.values[leaves[place]] = inner.align_value(placeholder, axes, leaves[place].axes)
        inner.anchor(placeholder, axes)
    for part in ir.topological([node.gradient, node.hessian]):
        if part not in inner.values:
            inner.note_scalar(part)
            inner.values[part] = RULES[type(part)](inner, part)
    (axis,) = node.axes
    row = next((other for other in node.hessian.axes if other != axis), axis.copy(1))
    slope = inner.align_value(inner.tensor(node.gradient), node.gradient.axes, node.axes)
    curve = inner.align_value(inner.tensor(node.hessian), node.hessian.axes, (axis, row))
    inner.graph.output((slope, curve))
    return inner.graph


RULES: dict[type[Node], Rule] = {
    ir.Input: lower_input,
    ir.Const: lower_const,
    ir.Table: lower_table,
    ir.Iota: lower_iota,
    ir.Size: lower_size,
    ir.Slot: lower_slot,
    ir.Last: lower_last,
    ir.Clock: lower_clock,
    ir.Draw: lower_draw,
    ir.Op: lower_op,
    ir.Reduce: lower_reduce,
    ir.Index: lower_index,
    ir.Stack: lower_stack,
    ir.Map: lower_map,
    ir.Net: lower_net,
    ir.Heads: lower_heads,
    ir.Minimum: lower_minimum,
    ir.Model: lower_model,
    ir.ModelVjp: lower_model_vjp,
}
