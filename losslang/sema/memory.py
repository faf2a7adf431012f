"""What a definition keeps from one training call to the next: ``last(x, init)``, and functions of queues and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from losslang.diagnostics import LosslangError, did_you_mean, error
from losslang.ir import nodes as ir
from losslang.ir import ops
from losslang.ir.nodes import Node, Update, intern
from losslang.sema.brackets import bracket_axes, conjunction, declare_ranges, index_into
from losslang.sema.elementwise import tensor
from losslang.sema.scope import Memory, Scope, Session, Shape
from losslang.sema.values import Tensor, axes_text, describe, merge_orders
from losslang.source import Span
from losslang.syntax import ast
from losslang.types import BOOL, INT, REAL, Axes, Axis, DType, Kind, ordered

R = TypeVar("R")

KINDS: dict[DType, Kind] = {"real": REAL, "int": INT, "bool": BOOL}

ROUNDS = 8
"""How often a body is evaluated until the axes of what it stores are known."""


def settled(scope: Scope, bindings: Mapping[str, ast.Binding], run: Callable[[], R]) -> R:
    """What a body gives in a scope once each stored value has the axes that ``last`` took it to have.

    A name may be read before it has a value. Its axes are then assumed: those on the left of a binding, else those of
    what it starts from. Where the value turns out to have more, the body is evaluated again.
    """
    assumed: dict[str, Shape] = {}
    begun = scope.mark()
    for _ in range(ROUNDS):
        scope.memory = Memory(scope.path, dict(bindings), assumed)
        try:
            result = run()
        except LosslangError:
            grown = _grown(scope)
            if not grown:
                raise
        else:
            grown = _grown(scope)
            if not grown:
                _store(scope)
                return result
        scope.reset(begun)
        assumed = {**assumed, **grown}
    name, place = next(iter(scope.memory.places.items()))
    raise error(
        "LL0306",
        f"the axes of '{name}' are not known",
        place,
        expected="its axes on the left of its binding",
        hint=f"declare them: {name}[i, d] = ...",
    )


# ------------------------------------------------------------------------------------------ reading
def last(node: ast.Call, scope: Scope) -> Tensor:
    """``last(x, init)``: the value that x had in the training call before; in the first one ever, ``init``."""
    if any(argument.name is not None for argument in node.arguments):
        return _last_of_key(node, scope)
    target, start = _arguments(node)
    name, items = _target(target, node)
    if scope.binder:
        raise error(
            "LL0313",
            f"last stands inside {scope.binder}, whose body has no single value in a call",
            node.span,
            expected="a value that is bound before it",
            hint="give it a name: old = last(x, 0), and use old inside",
        )
    init = tensor(scope.session.evaluate(start, scope), start.span)
    shape = _shape(name, node, init, scope)
    _check_everywhere(name, init, start.span)
    key = _key(name, node.span, scope)
    value = Tensor(_read(key, init.node, shape, scope.session), shape.dims, (), KINDS[shape.dtype])
    return tensor(index_into(value, items, scope, node.span), node.span) if items else value


def _arguments(node: ast.Call) -> tuple[ast.Expression, ast.Expression]:
    if len(node.arguments) != 2:
        raise error(
            "LL0208" if len(node.arguments) > 2 else "LL0207",
            "last takes a name and the value that it has before the first training call",
            node.span,
            expected="last(x, 0)",
            found=node.span.text,
            hint="the first value ever is kept by y = last(y, x)",
        )
    return node.arguments[0].value, node.arguments[1].value


def _target(
    target: ast.Expression, node: ast.Call
) -> tuple[str, tuple[ast.Expression | ast.Rest | ast.NamedIndex, ...]]:
    """The name that is read, and at which places."""
    match target:
        case ast.Name(name=name):
            return name, ()
        case ast.Index(base=ast.Name(name=name), items=items, filter=None):
            return name, items
        case _:
            raise error(
                "LL0313",
                "last reads a name: what an expression was in the call before is stored nowhere",
                target.span,
                expected="a binding or parameter of this definition",
                found=target.span.text,
                hint=f"give it a name: y = {target.span.text}, and then last(y, ...)",
            )


def _shape(name: str, node: ast.Call, init: Tensor, scope: Scope) -> Shape:
    """The dimensions of what is stored under a name, and what it is stored as."""
    memory, value = scope.memory, scope.values.get(name)
    if name not in memory.shapes:
        if value is None and name not in memory.bindings:
            raise _unknown(name, node, scope)
        first = shape_of(tensor(value, node.span)) if value is not None else _assumed(name, node, init, scope)
        memory.shapes[name] = memory.assumed.get(name, first)
        memory.places[name] = node.span
        _check_extents(name, memory.shapes[name].dims, node.span)
    shape = memory.shapes[name]
    extra = [axis for axis in init.node.axes if axis not in shape.dims and scope.sees(axis)]
    if extra and (value is not None or name in memory.declared):
        raise error(
            "LL0302",
            f"'{name}' starts from a value that has the axis '{scope.name_of(extra[0])}'",
            node.arguments[1].span,
            expected=f"axes of {axes_text(shape.dims) or 'a number'}",
            found=describe(init),
            hint=f"reduce it: mean[{scope.name_of(extra[0])}](...)",
        )
    memory.wanted[name] = _joined(memory.wanted.get(name, shape), shape_of(init))
    return shape


def shape_of(x: Tensor) -> Shape:
    """The dimensions that a value really has, in its order."""
    dims = tuple(axis for axis in x.order if axis in x.node.axes)
    return Shape((*dims, *(axis for axis in x.node.axes if axis not in dims)), x.node.dtype)


def _assumed(name: str, node: ast.Call, init: Tensor, scope: Scope) -> Shape:
    """What a name that has no value yet is taken to be."""
    memory, left = scope.memory, scope.left
    dims = _declared(memory.bindings[name], scope)
    if left is not None and left.value is node and left.axes is not None:
        missing = [axis.name or "" for axis in left.axes.axes if (axis.name or "") not in scope.axes]
        if missing:
            raise _no_extent(missing[0], name, left.axes.span)
        dims = tuple(axis for item in left.axes.axes for axis in scope.axes[item.name or ""])
    if dims is None:
        return shape_of(init)
    memory.declared.add(name)
    return Shape(dims, init.node.dtype)


def _declared(binding: ast.Binding, scope: Scope) -> Axes | None:
    """The axes on the left of a binding, as far as they are known before it is evaluated."""
    names = [axis.name or "" for axis in binding.axes.axes] if binding.axes is not None else []
    if not names or any(name not in scope.axes for name in names):
        return None
    return tuple(axis for name in names for axis in scope.axes[name])


def _no_extent(axis: str, name: str, span: Span) -> LosslangError:
    return error(
        "LL0306",
        f"nothing says how long the axis '{axis}' of '{name}' is",
        span,
        expected="an axis of a parameter, a range, or an extent that the call gives",
        found=axis,
        hint=f"give it where the loss is used, as in moco({axis}=65536), or write its range: {axis} < samples",
    )


def _check_extents(name: str, dims: Axes, span: Span) -> None:
    """The shape of what is stored is known before the call: it has axes of inputs, or of known extent."""
    made = next((axis for axis in dims if axis.root.size is None and axis.root.index is None), None)
    if made is not None:
        raise error(
            "LL0306",
            f"how long the axis '{made}' of '{name}' is follows from an operation",
            span,
            expected="axes of inputs, or of known extent",
            found=str(made),
            hint="reduce it before it is stored, or declare the size of the axis that it comes from: x: real[h=64]",
        )


def _unknown(name: str, node: ast.Call, scope: Scope) -> LosslangError:
    known = [*scope.memory.bindings, *scope.values]
    return error(
        "LL0203",
        f"there is no '{name}' here",
        node.arguments[0].span,
        expected="a binding or parameter of this definition",
        found=name,
        hint=did_you_mean(name, known) or f"bind it: {name} = ...; what is stored has a name",
    )


def _key(name: str, span: Span, scope: Scope) -> str:
    """The key of a name: one for each call of a definition, however often it is read."""
    memory = scope.memory
    if name not in memory.keys:
        memory.keys[name] = scope.session.key(f"{memory.path}.{name}" if memory.path else name)
        scope.session.places[memory.keys[name]] = span
    return memory.keys[name]


def _read(key: str, init: Node, shape: Shape, session: Session) -> Node:
    """What is stored; over the terms of a balancer it is stored for each term under its name."""
    axis = terms_axis(shape.dims, session)
    if axis is None:
        start = ops.apply("real", init) if shape.dtype == "real" else init
        return intern(ir.Last, (start,), ordered(set(shape.dims)), shape.dtype, key, shape.dims)
    rest = replace(shape, dims=tuple(a for a in shape.dims if a != axis))
    return ops.stack(axis, [_read(k, at(init, axis, place), rest, session) for place, k in by_term(key, axis, session)])


def terms_axis(dims: Iterable[Axis], session: Session) -> Axis | None:
    """The axis over the terms of a balancer, where there is one."""
    return next((axis for axis in dims if axis.root in session.terms), None)


def by_term(key: str, axis: Axis, session: Session) -> Iterator[tuple[int, str]]:
    """Each place along an axis over terms, and the key of what belongs to that term."""
    return ((place, f"{key}.{term}") for place, term in enumerate(session.terms[axis.root]))


def at(value: Node, axis: Axis, place: int) -> Node:
    """One element along an axis."""
    return ops.index(value, {axis: ops.const(place)})


def _last_of_key(node: ast.Call, scope: Scope) -> Tensor:
    """The IR's own text: ``last(init, key="moco.queue", axes=[n < 8, d])``."""
    given = {argument.name: argument for argument in node.arguments}
    match given.get(None), given.get("key"):
        case ast.Argument(value=start), ast.Argument(value=ast.String(value=key)) if set(given) <= {
            None,
            "key",
            "axes",
        }:
            init = tensor(scope.session.evaluate(start, scope), start.span)
            dims = dims_of(given.get("axes"), scope)
            value = intern(ir.Last, (init.node,), ordered(set(dims)), init.node.dtype, key, dims)
            return Tensor(value, dims, (), KINDS[value.dtype])
        case _:
            raise error(
                "LL0207", "last takes a name and a first value", node.span, expected="last(x, 0)", found=node.span.text
            )


def dims_of(argument: ast.Argument | None, scope: Scope) -> Axes:
    """The axes that ``axes=[n < 8, d]`` names."""
    match argument:
        case None:
            return ()
        case ast.Argument(value=ast.ListOf(items=items)):
            declare_ranges(items, scope)
            return bracket_axes(items, tuple(axis for axes in scope.axes.values() for axis in axes), scope)
        case _:
            raise error("LL0204", "axes= takes axes", argument.span, expected="axes=[n < 8, d]")


# ------------------------------------------------------------------------------------------ storing
def _joined(first: Shape, second: Shape) -> Shape:
    """A shape that holds both."""
    dtype: DType = first.dtype if first.dtype == second.dtype else "real"
    return Shape(merge_orders([first.dims, second.dims]), dtype)


def _grown(scope: Scope) -> dict[str, Shape]:
    """The names whose values have more axes than `last` took them to have, or are stored as something wider."""
    memory = scope.memory
    grown: dict[str, Shape] = {}
    for name, shape in memory.shapes.items():
        found = memory.wanted.get(name, shape)
        value = scope.values.get(name)
        if value is not None:
            actual = shape_of(tensor(value, memory.places[name]))
            _check_declared(name, shape, actual, scope)
            found = _joined(found, actual)
        if set(found.dims) != set(shape.dims) or found.dtype != shape.dtype:
            grown[name] = found
    return grown


def _check_declared(name: str, shape: Shape, actual: Shape, scope: Scope) -> None:
    """Axes on the left say all that a definition sees; others pass through."""
    extra = [axis for axis in actual.dims if axis not in shape.dims and scope.sees(axis)]
    if extra and name in scope.memory.declared:
        raise error(
            "LL0302",
            f"what is stored as '{name}' also has the axis '{scope.name_of(extra[0])}'",
            scope.memory.places[name],
            expected=axes_text(shape.dims),
            found=axes_text(actual.dims),
            hint=f"reduce it: mean[{scope.name_of(extra[0])}](...), or name the axis on the left",
        )


def _store(scope: Scope) -> None:
    """Note what a training call stores."""
    for name, key in scope.memory.keys.items():
        span = scope.memory.places[name]
        value = tensor(scope.values[name], span)
        _check_everywhere(name, value, span)
        scope.session.updates += _updates(key, value.node, scope.memory.shapes[name], scope.session)


def _updates(key: str, value: Node, shape: Shape, session: Session) -> Iterator[Update]:
    axis = terms_axis(shape.dims, session)
    if axis is None:
        yield Update(key, ops.apply("real", value) if shape.dtype == "real" else value, shape.dims)
        return
    rest = replace(shape, dims=tuple(a for a in shape.dims if a != axis))
    for place, inner in by_term(key, axis, session):
        yield from _updates(inner, at(value, axis, place), rest, session)


def _check_everywhere(name: str, value: Tensor, span: Span) -> None:
    if value.domain:
        raise error(
            "LL0304",
            f"'{name}' is stored, and is defined only where a filter holds",
            span,
            expected="a value that is defined everywhere",
            found="a value with a filter or mask",
            hint=f"say what it is elsewhere: {name} = x if condition else 0, or reduce it",
        )


# ------------------------------------------------------------------------------------------ queues and tables
def push(node: ast.Call, scope: Scope) -> Tensor:
    """``push(old, rows)``: the rows, then as many of the old ones as there is room for."""
    old, rows = _tensors("push", ("old", "rows"), node, scope)
    queue = [axis for axis in scope.visible(old.order) if axis not in rows.order]
    batch = [axis for axis in scope.visible(rows.order) if axis not in old.order]
    if len(queue) != 1 or len(batch) > 1:
        raise error(
            "LL0302",
            "push puts rows into a queue: each has one axis that the other lacks",
            node.span,
            expected="such as old[n, d] and rows[i, d]",
            found=f"{describe(old)} and {describe(rows)}",
            hint="reduce the axes that are too many",
        )
    if rows.domain or old.domain:
        raise error(
            "LL0304",
            "push takes whole batches, and these rows have a filter or mask",
            node.span,
            expected="rows that are defined everywhere",
            found=describe(rows),
            hint="a table keeps chosen rows: put(old, ids, rows)",
        )
    place = ops.iota(queue[0])
    count = ops.size(batch[0]) if batch else ops.const(1)
    newest = ops.index(rows.node, {batch[0]: place}) if batch else rows.node
    older = ops.index(old.node, {queue[0]: ops.apply("sub", place, count)})
    value = ops.apply("where", ops.apply("lt", place, count), newest, older)
    return Tensor(value, old.order, (), _kind(value))


def put(node: ast.Call, scope: Scope) -> Tensor:
    """``put(old, ids, new)``: a table with new rows at some places; where an id stands twice, the last one counts.

    For each row of the table that is the largest place at which its number stands, so the result does not hang on the
    order in which a device writes. Rows that a mask excludes are not written.
    """
    old, ids, new = _tensors("put", ("old", "ids", "new"), node, scope)
    axis = _table_axis(old, ids, node, scope)
    batch = [a for a in scope.visible(ids.order) if a not in old.order]
    if ids.node.dtype != "int" or len(batch) > 1:
        raise error(
            "LL0307",
            "ids are the numbers of rows: integers along one axis",
            node.arguments[1].span,
            expected="int[i]",
            found=describe(ids),
            hint="they come with the batch: ids: int[i]",
        )
    hit = ops.apply("eq", ops.iota(axis), ids.node)
    written = conjunction([condition.node for condition in dict.fromkeys((*ids.domain, *new.domain))])
    hit = hit if written is None else ops.apply("and", hit, written)
    if batch:
        latest = ops.reduce("max", ops.apply("where", hit, ops.iota(batch[0]), ops.const(-1)), batch)
        hit = ops.apply("le", ops.const(0), latest)
        value = ops.apply("where", hit, ops.index(new.node, {batch[0]: latest}), old.node)
    else:
        value = ops.apply("where", hit, new.node, old.node)
    order = merge_orders([old.order, tuple(a for a in new.order if a not in batch)])
    return Tensor(value, order, old.domain, _kind(value))


def _table_axis(old: Tensor, ids: Tensor, node: ast.Call, scope: Scope) -> Axis:
    """The axis of a table that ids index: the one that their type names, else its first."""
    axes = scope.visible(old.order)
    named = [axis for axis in axes if ids.bound is not None and axis.root == ids.bound.root]
    if not axes:
        raise error(
            "LL0302",
            "put takes a table",
            node.arguments[0].span,
            expected="a value with an axis for its rows",
            found=describe(old),
            hint="give it axes on the left: old[n] = last(table, 0)",
        )
    return named[0] if named else axes[0]


def _tensors(word: str, names: Sequence[str], node: ast.Call, scope: Scope) -> list[Tensor]:
    if len(node.arguments) != len(names) or any(argument.name is not None for argument in node.arguments):
        raise error(
            "LL0208" if len(node.arguments) > len(names) else "LL0207",
            f"{word} takes {len(names)} values",
            node.span,
            expected=f"{word}({', '.join(names)})",
            found=node.span.text,
            hint="they are given by place, without names",
        )
    return [tensor(scope.session.evaluate(argument.value, scope), argument.span) for argument in node.arguments]


def _kind(value: Node) -> Kind:
    return KINDS[value.dtype]


# ------------------------------------------------------------------------------------------ extents
def check_sizes(objective: ir.Objective, inputs: Iterable[ir.Input], session: Session) -> None:
    """What is stored or drawn has extents that are known or that an input gives; what is learned, known ones.

    Raises:
        LosslangError: LL0306 for an axis of which nothing says how long it is.
    """
    known = {axis.root for node in inputs for axis in node.dims}
    for key, dims, learned in _shaped(objective):
        for axis in dims:
            if axis.root.size is None and (learned or axis.root not in known):
                raise _no_size(key, axis.root, learned, session)


def _shaped(objective: ir.Objective) -> Iterator[tuple[str, Axes, bool]]:
    """The key and dimensions of what has a shape of its own, and whether it is learned."""
    for update in objective.updates:
        yield update.key, update.dims, False
    for node in ir.topological(objective.roots()):
        if isinstance(node, ir.Last | ir.Draw | ir.Slot):
            yield node.key, node.dims, isinstance(node, ir.Slot)


def _no_size(key: str, axis: Axis, learned: bool, session: Session) -> LosslangError:
    what = "is learned, and its size is known before the first call" if learned else "has a size of its own"
    return error(
        "LL0306",
        f"nothing says how long the axis '{axis}' of '{key}' is: it {what}",
        session.places.get(key),
        expected="an extent that a type or the call gives" + ("" if learned else ", or an input with this axis"),
        found=str(axis),
        hint=f"give it where the loss is used, as in proxy_nca({axis}=100), or in a type: real[{axis}=100]",
    )


# ------------------------------------------------------------------------------------------ time
def clock(node: ast.Call, scope: Scope) -> Tensor:
    """The IR's own text where an input is called ``step``: ``clock("step")``."""
    match node.arguments:
        case (ast.Argument(value=ast.String(value="step" | "epoch" as name), name=None),):
            return time(name)
        case _:
            raise error("LL0207", "clock takes step or epoch", node.span, expected='clock("step")')


def time(name: str) -> Tensor:
    """``step`` or ``epoch``: an integer that the runtime fills."""
    return Tensor(intern(ir.Clock, (), (), "int", name), (), kind=INT)
