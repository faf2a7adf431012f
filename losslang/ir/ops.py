"""The primitives: a table of elementwise operations and monoids, and the constructors that keep normal forms.

Normal forms that correctness hangs on live here, not in a pass: what a filter or a branch excludes yields no NaN,
so ``(a if m else 0)*x`` is always built as ``(a*x if m else 0)``.
"""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from weakref import WeakKeyDictionary

from losslang.diagnostics import error
from losslang.ir import nodes as ir
from losslang.ir.nodes import Node, intern
from losslang.types import Axes, Axis, DType, ordered


@dataclass(frozen=True, slots=True)
class OpInfo:
    """An elementwise operation: arity, result dtype (None: that of arithmetic), how constants fold."""

    arity: int
    dtype: DType | None
    fold: Callable[..., float | int | bool]
    commutes: bool = False


def _sign(x: float) -> float:
    return math.copysign(1, x) if x else 0.0


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _unfolded(*_: float) -> float:
    """A function that Python's own library lacks stays a node."""
    raise ValueError


OPS: dict[str, OpInfo] = {
    "add": OpInfo(2, None, lambda x, y: x + y, commutes=True),
    "sub": OpInfo(2, None, lambda x, y: x - y),
    "mul": OpInfo(2, None, lambda x, y: x * y, commutes=True),
    "div": OpInfo(2, "real", lambda x, y: x / y),
    "neg": OpInfo(1, None, lambda x: -x),
    "pow": OpInfo(2, "real", lambda x, y: float(x) ** float(y)),
    "max": OpInfo(2, None, max, commutes=True),
    "min": OpInfo(2, None, min, commutes=True),
    "clamp": OpInfo(3, None, lambda x, low, high: min(max(x, low), high)),
    "exp": OpInfo(1, "real", math.exp),
    "log": OpInfo(1, "real", math.log),
    "log1p": OpInfo(1, "real", math.log1p),
    "expm1": OpInfo(1, "real", math.expm1),
    "sqrt": OpInfo(1, "real", math.sqrt),
    "abs": OpInfo(1, None, lambda x: abs(x)),
    "sign": OpInfo(1, "real", _sign),
    "relu": OpInfo(1, None, lambda x: max(x, 0)),
    "tanh": OpInfo(1, "real", math.tanh),
    "sigmoid": OpInfo(1, "real", _sigmoid),
    "softplus": OpInfo(1, "real", _softplus),
    "sin": OpInfo(1, "real", math.sin),
    "cos": OpInfo(1, "real", math.cos),
    "tan": OpInfo(1, "real", math.tan),
    "asin": OpInfo(1, "real", math.asin),
    "acos": OpInfo(1, "real", math.acos),
    "atan": OpInfo(1, "real", math.atan),
    "atan2": OpInfo(2, "real", math.atan2),
    "sinh": OpInfo(1, "real", math.sinh),
    "cosh": OpInfo(1, "real", math.cosh),
    "arsinh": OpInfo(1, "real", math.asinh),
    "arcosh": OpInfo(1, "real", math.acosh),
    "artanh": OpInfo(1, "real", math.atanh),
    "erf": OpInfo(1, "real", math.erf),
    "lgamma": OpInfo(1, "real", math.lgamma),
    "polygamma": OpInfo(2, "real", _unfolded),
    "floor": OpInfo(1, "real", lambda x: float(math.floor(x))),
    "ceil": OpInfo(1, "real", lambda x: float(math.ceil(x))),
    "round": OpInfo(1, "real", lambda x: float(round(x))),
    "int": OpInfo(1, "int", int),
    "eq": OpInfo(2, "bool", lambda x, y: x == y, commutes=True),
    "ne": OpInfo(2, "bool", lambda x, y: x != y, commutes=True),
    "lt": OpInfo(2, "bool", lambda x, y: x < y),
    "le": OpInfo(2, "bool", lambda x, y: x <= y),
    "and": OpInfo(2, "bool", lambda x, y: bool(x and y), commutes=True),
    "or": OpInfo(2, "bool", lambda x, y: bool(x or y), commutes=True),
    "not": OpInfo(1, "bool", lambda x: not x),
    "where": OpInfo(3, None, lambda condition, x, y: x if condition else y),
    "real": OpInfo(1, "real", float),
    "stop": OpInfo(1, None, lambda x: x),
    "mark": OpInfo(1, None, _unfolded),
}

# monoid -> value of the empty set
MONOIDS: dict[str, float] = {
    "sum": 0.0,
    "prod": 1.0,
    "max": -math.inf,
    "min": math.inf,
    "logsumexp": -math.inf,
    "any": 0.0,
    "all": 1.0,
    "argmax": 0.0,
}


LARGEST_WHOLE = 2**53
"""A whole number beyond it is real: no tensor of integers holds it, and a double rounds it."""


# ------------------------------------------------------------------------------------------------ leaves
def const(value: float | int | bool) -> Node:
    """A constant."""
    if abs(value) > LARGEST_WHOLE:
        value = float(value)
    dtype: DType = "bool" if isinstance(value, bool) else "int" if isinstance(value, int) else "real"
    if dtype == "real":
        value = math.nan if value != value else value + 0.0  # one NaN, which equals itself by identity only, and one 0
    return intern(ir.Const, (), (), dtype, value)


def table(values: Iterable[float], axis: Axis) -> Node:
    """A constant vector along an axis."""
    return intern(ir.Table, (), (axis,), "real", tuple(float(value) for value in values))


def gaussian(count: int, sigma: float) -> list[float]:
    """A normalised window of ``count`` samples."""
    weights = [math.exp(-(((k - (count - 1) / 2) / sigma) ** 2) / 2) for k in range(count)]
    return [weight / sum(weights) for weight in weights]


def iota(axis: Axis) -> Node:
    """The index variable of an axis."""
    return intern(ir.Iota, (), (axis,), "int")


def size(axis: Axis, of: Node | None = None) -> Node:
    """The extent of an axis, a constant where it is known.

    An axis that no input has (what a convolution or a network leaves) is measured on the node that made it,
    found under ``of``.
    """
    root = axis.root
    if root.size is not None:
        return const(root.size)
    if root.index is not None or of is None:
        return intern(ir.Size, (), (), "int", root)
    maker = next((n for n in ir.topological([of]) if root in n.axes), None)
    if maker is None:
        raise error(
            "LL0309",
            f"nothing in this value has the axis '{root}' any more",
            expected="a value that varies along the axis",
            found="a constant",
            hint="such as a difference of two equal things: compare it with another tensor",
        )
    return intern(ir.Size, (maker,), (), "int", root)


def sizes(axes: Iterable[Axis], of: Node | None = None) -> Node:
    """How many positions some axes have together."""
    total = const(1)
    for axis in axes:
        total = apply("mul", total, size(axis, of))
    return total


def is_const(node: Node, value: float | None = None) -> bool:
    """Whether a node is a constant (and has this value)."""
    return isinstance(node, ir.Const) and (value is None or node.value == value)


def is_op(node: Node, name: str) -> bool:
    """Whether a node is this elementwise operation."""
    return isinstance(node, ir.Op) and node.name == name


def mark(node: Node) -> Node:
    """The same value, opaque to every normal form while something is differentiated by it; leaves are as they are.

    Marks live during elaboration only: no objective holds one.
    """
    return node if not node.args or is_op(node, "mark") else apply("mark", node)


# ------------------------------------------------------------------------------------------------ elementwise
def merge(args: Iterable[Node]) -> Axes:
    """The axes that operands have together."""
    distinct = {arg.axes for arg in args if arg.axes}
    if len(distinct) < 2:
        return distinct.pop() if distinct else ()
    return ordered({axis for axes in distinct for axis in axes})


def apply(name: str, *args: Node) -> Node:
    """An elementwise operation, folded and in normal form."""
    info = OPS[name]
    operands = tuple(_number(arg) for arg in args) if info.dtype is None and name not in ("where", "stop") else args
    folded = _fold(info, operands) or _fold_tables(info, operands)
    if folded is not None:
        return folded
    normal = _NORMAL[name](*operands) if name in _NORMAL else None
    if normal is not None:
        return normal
    if info.commutes:
        operands = _sorted(operands)
    return intern(ir.Op, operands, merge(operands), info.dtype or _promote(name, operands), name)


def _number(arg: Node) -> Node:
    """Booleans are 0/1 in arithmetic."""
    return apply("real", arg) if arg.dtype == "bool" else arg


def _promote(name: str, args: tuple[Node, ...]) -> DType:
    values = args[1:] if name == "where" else args
    kinds = {arg.dtype for arg in values}
    return "real" if "real" in kinds else "int" if "int" in kinds else "bool"


def _fold(info: OpInfo, args: tuple[Node, ...]) -> Node | None:
    values = [arg.value for arg in args if isinstance(arg, ir.Const)]
    if len(values) < len(args):
        return None
    try:
        value = info.fold(*values)
        if isinstance(value, complex):
            return None
        return const(float(value) if info.dtype == "real" else value)
    except (ValueError, OverflowError, ZeroDivisionError):
        return None


def _fold_tables(info: OpInfo, args: tuple[Node, ...]) -> Node | None:
    """Numbers and known vectors along one axis give a known vector."""
    axes = {arg.axes for arg in args if isinstance(arg, ir.Table)}
    if len(axes) != 1 or not all(isinstance(arg, ir.Table | ir.Const) for arg in args):
        return None
    ((axis,),) = axes
    rows = zip(*(_elements(arg, axis) for arg in args), strict=True)
    folded = [_fold(info, row) for row in rows]
    values = [node.value for node in folded if isinstance(node, ir.Const) and node.dtype == "real"]
    return table(values, axis) if len(values) == len(folded) else None


def _elements(node: Node, axis: Axis) -> list[Node]:
    """A known vector's elements; a number at every place."""
    return [const(value) for value in node.values] if isinstance(node, ir.Table) else [node] * (axis.size or 0)


_ORDER: dict[type[Node], int] = {ir.Const: 0, ir.Size: 1, ir.Clock: 1, ir.Slot: 2, ir.Table: 3, ir.Iota: 4, ir.Input: 5}


def _rank(node: Node) -> tuple[int, int]:
    return _ORDER.get(type(node), 9), len(node.axes)


def _sorted(args: tuple[Node, ...]) -> tuple[Node, ...]:
    """One order for the operands of what commutes; ties go by structure, so that it is the same in every process."""
    left, right = args
    if _rank(left) != _rank(right):
        return args if _rank(left) < _rank(right) else (right, left)
    return args if signature(left) <= signature(right) else (right, left)


def signature(node: Node) -> str:
    """A short structural name that does not depend on the order of creation."""
    found = _signatures.get(node)
    if found is not None:
        return found
    for inner in ir.topological([node], _unsigned) if any(arg not in _signatures for arg in node.args) else [node]:
        if inner not in _signatures:
            _signatures[inner] = _digest(inner)
    return _signatures[node]


def _unsigned(node: Node) -> tuple[Node, ...]:
    """The operands to visit: none under what has a signature, else a chain of n nodes would take n^2 steps."""
    return () if node in _signatures else node.args


_signatures: WeakKeyDictionary[Node, str] = WeakKeyDictionary()


def _digest(node: Node) -> str:
    attributes = (signature(part) if isinstance(part, Node) else str(part) for part in ir.attributes(node))
    parts = [type(node).__name__, *attributes, *(axis.name for axis in node.axes)]
    parts += [_signatures[arg] for arg in node.args]
    return hashlib.blake2b("|".join(parts).encode(), digest_size=8).hexdigest()


def _masked(node: Node) -> tuple[Node, Node] | None:
    """``(m, a)`` where the node is ``a if m else 0``."""
    if is_op(node, "where") and is_const(node.args[2], 0):
        return node.args[0], node.args[1]
    return None


def zero(dtype: DType) -> Node:
    """0 of a type."""
    return const({"real": 0.0, "int": 0, "bool": False}[dtype])


def _zero(*args: Node) -> Node:
    return const(0 if _promote("mul", args) == "int" else 0.0)


def _normal_mul(x: Node, y: Node) -> Node | None:
    for a, b in ((x, y), (y, x)):
        if is_const(a, 1):
            return b if b.dtype != "int" or a.dtype == "int" else apply("real", b)
        if is_const(a, 0):
            return _zero(x, y)
        if is_const(a, -1):
            return apply("neg", b)
        if isinstance(a, ir.Table) and set(a.values) == {1.0} and set(a.axes) <= set(b.axes) and b.dtype == "real":
            return b
        masked = _masked(a)
        if masked is not None:
            return apply("where", masked[0], apply("mul", masked[1], b), const(0.0))
    return None


def _normal_add(x: Node, y: Node) -> Node | None:
    for a, b in ((x, y), (y, x)):
        if is_const(a, 0):
            return b
        if is_op(b, "neg"):
            return apply("sub", a, b.args[0])
    return None


def _normal_sub(x: Node, y: Node) -> Node | None:
    if is_const(y, 0):
        return x
    if is_const(x, 0):
        return apply("neg", y)
    if x is y:
        return _zero(x, y)
    return apply("add", x, y.args[0]) if is_op(y, "neg") else None


def _normal_div(x: Node, y: Node) -> Node | None:
    if is_const(y, 1):
        return x if x.dtype == "real" else apply("real", x)
    if is_const(x, 0):
        return const(0.0)
    masked = _masked(x)
    return None if masked is None else apply("where", masked[0], apply("div", masked[1], y), const(0.0))


def _normal_neg(x: Node) -> Node | None:
    if is_op(x, "neg"):
        return x.args[0]
    masked = _masked(x)
    return None if masked is None else apply("where", masked[0], apply("neg", masked[1]), const(0.0))


def _normal_pow(x: Node, y: Node) -> Node | None:
    if is_const(y, 1):
        return x
    if is_const(y, 2):
        return apply("mul", x, x)
    return const(1.0) if is_const(y, 0) else None


def _normal_where(condition: Node, x: Node, y: Node) -> Node | None:
    if isinstance(condition, ir.Const):
        return x if condition.value else y
    if x is y:
        return x
    if is_op(condition, "not") and not is_const(y, 0):
        return apply("where", condition.args[0], y, x)
    if is_const(x, 0) and y.dtype == "real":
        return apply("where", apply("not", condition), y, x)
    masked = _masked(x)
    if masked is not None and is_const(y, 0) and masked[0] is not condition:
        return apply("where", apply("and", condition, masked[0]), masked[1], y)
    return apply("where", condition, masked[1], y) if masked is not None and masked[0] is condition else None


def _normal_and(x: Node, y: Node) -> Node | None:
    for a, b in ((x, y), (y, x)):
        if isinstance(a, ir.Const):
            return b if a.value else const(False)
    return x if x is y else None


def _normal_or(x: Node, y: Node) -> Node | None:
    for a, b in ((x, y), (y, x)):
        if isinstance(a, ir.Const):
            return const(True) if a.value else b
    return x if x is y else None


def _normal_not(x: Node) -> Node | None:
    if not isinstance(x, ir.Op):
        return None
    opposite = {"eq": "ne", "ne": "eq"}.get(x.name)
    return apply(opposite, *x.args) if opposite else x.args[0] if x.name == "not" else None


def _same(value: bool) -> Callable[[Node, Node], Node | None]:
    return lambda x, y: const(value) if x is y and x.dtype != "real" else None


def _normal_stop(x: Node) -> Node | None:
    return x if x.dtype != "real" or is_op(x, "stop") or isinstance(x, (ir.Const, ir.Table, ir.Size)) else None


def _normal_real(x: Node) -> Node | None:
    return x if x.dtype == "real" else None


def _normal_int(x: Node) -> Node | None:
    return x if x.dtype == "int" else None


_NORMAL: dict[str, Callable[..., Node | None]] = {
    "mul": _normal_mul,
    "add": _normal_add,
    "sub": _normal_sub,
    "div": _normal_div,
    "neg": _normal_neg,
    "pow": _normal_pow,
    "where": _normal_where,
    "and": _normal_and,
    "or": _normal_or,
    "not": _normal_not,
    "eq": _same(True),
    "ne": _same(False),
    "le": _same(True),
    "lt": _same(False),
    "stop": _normal_stop,
    "real": _normal_real,
    "int": _normal_int,
}


# ------------------------------------------------------------------------------------------------ reductions
def reduce(monoid: str, x: Node, over: Iterable[Axis], mask: Node | None = None) -> Node:
    """A reduction over axes where a filter holds. An axis that neither has counts its extent."""
    axes = set(over)
    if mask is not None and isinstance(mask, ir.Const):
        if not mask.value:
            return const(MONOIDS[monoid])
        mask = None
    if isinstance(x, ir.Table) and mask is None and axes == set(x.axes) and monoid in _TABLES:
        return const(_TABLES[monoid](x.values))
    present = axes & {*x.axes, *(mask.axes if mask is not None else ())}
    value = _reduce_present(monoid, x, ordered(present), mask) if present else _alone(monoid, x, mask)
    for axis in ordered(axes - present):
        value = _reduce_absent(monoid, value, axis)
    return value


_TABLES: dict[str, Callable[[tuple[float, ...]], float]] = {"sum": math.fsum, "max": max, "min": min}
"""Reductions of known vectors."""


def _alone(monoid: str, x: Node, mask: Node | None) -> Node:
    return x if mask is None else apply("where", mask, x, const(MONOIDS[monoid]))


def _reduce_present(monoid: str, x: Node, over: Axes, mask: Node | None) -> Node:
    if monoid == "sum" and mask is None:
        masked = _masked(x)
        chosen = None if masked is None else _one_place(*masked, over)
        if chosen is not None:
            return chosen
        if masked is not None and is_const(masked[1], 1):
            x = masked[0]
        elif is_op(x, "real"):
            x = x.args[0]
    if monoid == "sum" and mask is not None and x.dtype == "bool":
        x, mask = apply("and", x, mask), None
    if monoid == "sum" and mask is not None and is_const(x, 1):
        x, mask = mask, None
    args = (x,) if mask is None else (x, mask)
    axes = tuple(axis for axis in merge(args) if axis not in over)
    dtype: DType = "int" if monoid == "argmax" or (monoid == "sum" and x.dtype != "real") else x.dtype
    return intern(ir.Reduce, args, axes, dtype, monoid, over)


def _one_place(condition: Node, x: Node, over: Axes) -> Node | None:
    """``sum[k](x if k == j else 0)``, where j runs over the same axis, is ``x[k=j]``."""
    match condition:
        case ir.Op(name="eq", args=(ir.Iota(axes=(a,)), ir.Iota(axes=(b,)))) if a.root == b.root:
            for axis, place in ((a, b), (b, a)):
                if axis in over and place not in over and place not in x.axes and axis in x.axes:
                    return reduce("sum", index(x, {axis: iota(place)}), [other for other in over if other != axis])
        case _:
            pass
    return None


def _reduce_absent(monoid: str, x: Node, axis: Axis) -> Node:
    match monoid:
        case "sum":
            return apply("mul", size(axis), x)
        case "prod":
            return apply("pow", x, size(axis))
        case "logsumexp":
            return apply("add", x, apply("log", size(axis)))
        case _:
            return x


def mean(x: Node, over: Iterable[Axis], mask: Node | None = None) -> Node:
    """The mean where a filter holds; 0 over nothing."""
    known = {*x.axes, *(mask.axes if mask is not None else ())}
    # what is constant along an axis that only a network or a convolution had is its own mean
    axes = tuple(axis for axis in over if axis in known or axis.root.index is not None or axis.root.size is not None)
    total = reduce("sum", x, axes, mask)
    if mask is None:
        return apply("div", total, sizes(axes, x))
    count = reduce("sum", mask, axes)
    return apply("div", total, apply("max", count, const(1)))


# ------------------------------------------------------------------------------------------------ indexing
def index(x: Node, positions: Mapping[Axis, Node]) -> Node:
    """Pointwise indexing. Renamings stay where they are (they are views); picks sink to the leaves."""
    return _index(x, positions, {})


def _index(x: Node, positions: Mapping[Axis, Node], done: dict[Node, Node]) -> Node:
    """`index`, each node once: ``done`` holds what the nodes met so far become under the same positions."""
    if x not in done:
        done[x] = _index_once(x, positions, done)
    return done[x]


def _index_once(x: Node, positions: Mapping[Axis, Node], done: dict[Node, Node]) -> Node:
    wanted = {a: p for a, p in positions.items() if a in x.axes and not (isinstance(p, ir.Iota) and p.axes == (a,))}
    if not wanted:
        return x
    if isinstance(x, ir.Iota):
        return wanted[x.axes[0]]
    if isinstance(x, ir.Index):
        return _compose(x, wanted)
    if is_renaming(x, wanted) or not _shrinks(x, wanted):
        return _index_leaf(x, wanted)
    match x:
        case ir.Op() if x.name != "mark":
            return apply(x.name, *(_index(arg, positions, done) for arg in x.args))
        case ir.Reduce() if x.monoid != "argmax":
            return _index_reduce(x, wanted)
        case ir.Stack():
            return _index_stack(x, wanted)
        case ir.Table():
            return _index_table(x, wanted)
        case _:
            return _index_leaf(x, wanted)


def is_renaming(x: Node, positions: Mapping[Axis, Node]) -> bool:
    """Whether positions only give other variables to axes: no pick, no diagonal."""
    kept = set(x.axes) - set(positions)
    seen: set[Axis] = set()
    for axis, position in positions.items():
        if not isinstance(position, ir.Iota) or position.axes[0].root != axis.root:
            return False
        if position.axes[0] in kept or position.axes[0] in seen:
            return False
        seen.add(position.axes[0])
    return True


def _shrinks(x: Node, positions: Mapping[Axis, Node]) -> bool:
    """Whether the result has no axis that the value lacks: then indexing first is less work."""
    return {axis for position in positions.values() for axis in position.axes} <= set(x.axes)


def copies(axes: Axes, taken: set[Axis]) -> dict[Axis, Axis]:
    """For each axis an index variable over it that is not taken; it is then."""
    fresh: dict[Axis, Axis] = {}
    for axis in axes:
        ordinal = next(n for n in count(1) if axis.copy(n) not in taken)
        fresh[axis] = axis.copy(ordinal)
        taken.add(fresh[axis])
    return fresh


def _index_leaf(x: Node, positions: Mapping[Axis, Node]) -> Node:
    along = ordered(set(positions))
    args = (x, *(positions[axis] for axis in along))
    axes = ordered({a for a in x.axes if a not in positions} | {a for p in args[1:] for a in p.axes})
    return intern(ir.Index, args, axes, x.dtype, along)


def _compose(x: ir.Index, positions: Mapping[Axis, Node]) -> Node:
    inner = {axis: index(position, positions) for axis, position in zip(x.along, x.args[1:], strict=True)}
    kept = {axis: p for axis, p in positions.items() if axis in x.args[0].axes and axis not in x.along}
    return index(x.args[0], {**inner, **kept})


def _index_reduce(x: ir.Reduce, positions: Mapping[Axis, Node]) -> Node:
    used = {axis for p in positions.values() for axis in p.axes} & set(x.over)
    taken = {axis for arg in x.args for axis in arg.axes} | {axis for p in positions.values() for axis in p.axes}
    renamed: dict[Axis, Axis] = {}
    for axis in ordered(used):
        ordinal = next(n for n in count(1) if axis.copy(n) not in taken)
        renamed[axis] = axis.copy(ordinal)
        taken.add(renamed[axis])
    inside = {**positions, **{axis: iota(fresh) for axis, fresh in renamed.items()}}
    args = [index(arg, inside) for arg in x.args]
    return reduce(x.monoid, args[0], [renamed.get(axis, axis) for axis in x.over], *args[1:])


def _index_table(x: ir.Table, positions: Mapping[Axis, Node]) -> Node:
    position = positions[x.axes[0]]
    if isinstance(position, ir.Const):
        return const(x.values[int(position.value)])
    places = enumerate_static(position)
    if places is not None:
        return table([x.values[int(place)] for place in places], position.axes[0])
    return _index_leaf(x, positions)


def _index_stack(x: ir.Stack, positions: Mapping[Axis, Node]) -> Node:
    others = {axis: position for axis, position in positions.items() if axis != x.axis}
    position = positions.get(x.axis)
    if isinstance(position, ir.Const):
        return index(x.args[int(position.value)], others)
    args = [index(arg, others) for arg in x.args]
    if position is None:
        return stack(x.axis, args)
    places = enumerate_static(position)
    if places is not None and len(position.axes) == 1:
        return stack(position.axes[0], [args[int(place)] for place in places])
    return _index_leaf(stack(x.axis, args), {x.axis: position})


LONGEST_STATIC = 4096
"""The longest axis along which an expression is evaluated place by place."""


def enumerate_static(node: Node) -> list[float | int | bool] | None:
    """The values of an expression of one index variable of known extent, or None."""
    if len(node.axes) != 1 or not 0 < (node.axes[0].root.size or 0) <= LONGEST_STATIC:
        return None
    axis = node.axes[0]
    values = [index(node, {axis: const(place)}) for place in range(axis.root.size or 0)]
    return [v.value for v in values if isinstance(v, ir.Const)] if all(map(is_const, values)) else None


def stack(axis: Axis, args: Iterable[Node]) -> Node:
    """Values side by side along a new axis; numbers make a table."""
    items = tuple(args)
    if all(isinstance(item, ir.Const) and item.dtype == "real" for item in items):
        return table([item.value for item in items if isinstance(item, ir.Const)], axis)
    dtype: DType = "real" if any(arg.dtype == "real" for arg in items) else items[0].dtype
    return intern(ir.Stack, items, ordered({axis, *merge(items)}), dtype, axis)
