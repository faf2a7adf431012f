"""Words that bind a variable over their body: ``grad[x](f)``, ``iterate[d = d0, n](next)``, ``argmin[a in set](f)``.

A body is evaluated once, over a leaf that stands for the variable; what a binder means is made of its nodes.
Non-goals: nothing here runs, and no node of the IR holds a loop: a fold is written out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from losslang.diagnostics import LosslangError, did_you_mean, error
from losslang.ir import nodes as ir
from losslang.ir import ops
from losslang.ir.grad import jacobian
from losslang.ir.minimum import minimum
from losslang.ir.nodes import Node
from losslang.ir.rewrite import substitute
from losslang.sema import ascent, networks
from losslang.sema.brackets import conjunction, split_domain
from losslang.sema.elementwise import lift, tensor
from losslang.sema.folds import number_of_steps, unrolled, variable
from losslang.sema.scope import Scope
from losslang.sema.values import Condition, Listed, Tensor, Value, axes_text, describe, merge_orders
from losslang.source import Span
from losslang.syntax import ast
from losslang.types import INT, REAL, Kind

Binder = Callable[[ast.Index, ast.Call, Scope], Value]


def is_binder(name: str, callee: ast.Index) -> bool:
    """Whether a word with a bracket binds a variable: ``argmax[c](x)`` is a reduction."""
    return name in BINDERS and (name not in EXTREMA or any(isinstance(item, ast.Member) for item in callee.items))


def binder(name: str, callee: ast.Index, node: ast.Call, scope: Scope) -> Value:
    """The value of ``name[variable ...](body)``."""
    if callee.filter is not None:
        raise error(
            "LL0309",
            f"{name} takes no filter",
            callee.filter.span,
            expected=FORMS[name],
            found=callee.span.text,
            hint="filter what it is of: sum[b if m](...)",
        )
    return BINDERS[name](callee, node, scope)


def _wrong(name: str, span: Span, found: str | None = None) -> LosslangError:
    """The error for a bracket of another form."""
    return error(
        "LL0207",
        f"{name} binds a variable",
        span,
        expected=FORMS[name],
        found=found or span.text,
        hint="the bracket names the variable, the parentheses hold what depends on it",
    )


def _body(name: str, node: ast.Call) -> ast.Expression:
    """The one argument without a name."""
    bare = [argument.value for argument in node.arguments if argument.name is None]
    if len(bare) != 1:
        raise _wrong(name, node.span, f"{len(bare)} bodies")
    return bare[0]


# ------------------------------------------------------------------------------------------ grad
class NeedsMarksError(Exception):
    """Something is differentiated by a value that other nodes may have absorbed: elaborate again with marks."""


def _grad(callee: ast.Index, node: ast.Call, scope: Scope) -> Value:
    """``grad[x](f)``: the derivative of every element of f by every element of x."""
    if len(callee.items) != 1 or not isinstance(callee.items[0], ast.Name) or len(node.arguments) != 1:
        raise _wrong("grad", callee.span)
    name = callee.items[0]
    wrt = _differentiated(name, scope)
    of = scope.session.evaluate(_body("grad", node), replace(scope, binder="grad"))

    def of_list(single: list[Value]) -> Value:
        return lift([wrt], lambda x: _derivative(single[0], x[0], name, node, scope), node.span)

    return lift([of], of_list, node.span)


def _differentiated(name: ast.Name, scope: Scope) -> Value:
    """The value that a name has here."""
    value = scope.values.get(name.name)
    if value is None and scope.implicit is not None and scope.environment.find(name.name) is None:
        value = scope.implicit(name.name)
    if value is None:
        known = [known for known, held in scope.values.items() if isinstance(held, Tensor | Listed)]
        raise error(
            "LL0203",
            f"there is no value '{name.name}' here",
            name.span,
            expected="a parameter, a binding above or an input",
            found=name.name,
            hint=did_you_mean(name.name, known) or "bind it first: x = ..., then grad[x](...)",
        )
    return value


def _derivative(of: Value, by: Value, name: ast.Name, node: ast.Call, scope: Scope) -> Tensor:
    f, x = tensor(of, node.span), _variable_of(by, name, scope)
    shared = [axis for axis in scope.visible(f.order) if axis in x.order]
    if shared:
        axes = ", ".join(scope.name_of(axis) for axis in shared)
        raise error(
            "LL0302",
            f"this has the axis '{axes}', and so has '{name.name}'",
            _body("grad", node).span,
            expected=f"a value without {axes}: one number, or one row for each of its other axes",
            found=f"{axes_text(f.order)} by {name.name}{axes_text(x.order)}",
            hint=f"sum over it first: grad[{name.name}](sum[{axes}](...))",
        )
    # along an axis that passes through, every position stands alone: what it adds up to has the same derivatives
    apart = tuple(axis for axis in f.order if axis in x.order)
    inner, outer = split_domain(f.domain, apart)
    mask = conjunction([condition.node for condition in inner])
    summed = ops.reduce("sum", f.node, apart, mask) if apart else f.node
    summed = substitute([summed], scope.session.values.get)[summed] if scope.session.values else summed
    rows = tuple(axis for axis in f.order if axis not in apart)
    slope = networks.checked_derivative(jacobian(summed, x.node), node.span)
    return Tensor(slope, (*rows, *x.order), (*outer, *x.domain))


def _variable_of(by: Value, name: ast.Name, scope: Scope) -> Tensor:
    """What is differentiated by: a value that the batch or a parameter has a part in."""
    if isinstance(by, Tensor) and by.node.dtype == "real" and not isinstance(by.node, ir.Const | ir.Table):
        constant = [axis for axis in by.order if axis not in by.node.axes]
        if not constant:
            if by.node.args and not scope.session.marking:
                raise NeedsMarksError
            return by
        found = f"{describe(by)}, the same along {', '.join(scope.name_of(axis) for axis in constant)}"
    else:
        found = describe(by)
    raise error(
        "LL0307",
        f"grad is by a tensor of real numbers, and '{name.name}' is none",
        name.span,
        expected="a tensor that varies along all of its axes",
        found=found,
        hint="by a number of the text, write the derivative as a formula",
    )


# ------------------------------------------------------------------------------------------ iterate
def _iterate(callee: ast.Index, node: ast.Call, scope: Scope) -> Value:
    """``iterate[d = d0, n](next)``: n steps from d0; over an axis, ``n`` is its index."""
    match callee.items:
        case (ast.NamedIndex(name=name, value=start), ast.Name() | ast.Number() | _ as count) if not isinstance(
            count, ast.Rest | ast.NamedIndex
        ):
            pass
        case _:
            raise _wrong("iterate", callee.span)
    if len(node.arguments) != 1:
        raise _wrong("iterate", node.span)
    steps, index = _steps(count, scope)
    first = scope.session.evaluate(start, scope)
    body = _body("iterate", node)

    def evaluate(variable: Value, place: Node | None) -> Value:
        values = {**scope.values, name: variable}
        if place is not None and index is not None:
            values[index] = Tensor(place, (), kind=INT, bound=scope.axes[index][0])
        return scope.session.evaluate(body, replace(scope, values=values, binder="iterate"))

    return fold(first, evaluate, steps, index is not None, node.span)


def _steps(count: ast.Expression, scope: Scope) -> tuple[int, str | None]:
    """How many steps, and the name of their index where an axis says it."""
    if isinstance(count, ast.Name) and count.name not in scope.values and len(scope.axes.get(count.name, ())) == 1:
        size = scope.axes[count.name][0].root.size
        if size is None:
            raise error(
                "LL0306",
                f"nothing says how long the axis '{count.name}' is before the first batch",
                count.span,
                expected="an axis of known extent, or a number of steps",
                found=f"the axis {count.name}",
                hint="a fold is written out: give the axis its size where it is declared, or a number of steps",
            )
        return size, count.name
    return number_of_steps(count, scope), None


def fold(first: Value, evaluate: Callable[[Value, Node | None], Value], steps: int, indexed: bool, span: Span) -> Value:
    """The value after some steps: the body is evaluated over leaves, and its nodes are substituted step by step.

    What a step adds to the axes or the filter of the value, the value has from the start.
    """
    begun = [tensor(item, span) for item in _items(first)]
    place = variable((), "int") if indexed else None
    held = begun
    for _ in range(4):
        leaves = [Tensor(variable(x.order), x.order, x.domain) for x in held]
        after = [tensor(item, span) for item in _items(evaluate(_like(first, leaves), place))]
        if len(after) != len(held):
            raise error(
                "LL0302",
                "a step gives another number of values than it takes",
                span,
                expected=f"{len(held)}, as before the first step",
                found=str(len(after)),
                hint="a step keeps what it steps: iterate[d = d0, n](next) with one value d",
            )
        joined = [_joined(x, y) for x, y in zip(held, after, strict=True)]
        if joined == held:
            start, names = [x.node for x in begun], [x.node for x in leaves]
            nodes = unrolled(start, names, [x.node for x in after], steps, place, span)
            return _like(first, [Tensor(n, x.order, x.domain) for n, x in zip(nodes, held, strict=True)])
        held = joined
    raise error(
        "LL0304",
        "the filter of what is stepped changes with every step",
        span,
        expected="one filter for the value before and after a step",
        found="a filter that depends on the value itself",
        hint="filter in the reductions of the step: sum[j if m](...)",
    )


def _items(value: Value) -> Sequence[Value]:
    return value.items if isinstance(value, Listed) else (value,)


def _like(form: Value, items: Sequence[Tensor]) -> Value:
    return Listed(form.axis, tuple(items)) if isinstance(form, Listed) else items[0]


def _joined(before: Tensor, after: Tensor) -> Tensor:
    """Axes and filter of a value before and after a step."""
    domain: dict[Condition, None] = {**dict.fromkeys(before.domain), **dict.fromkeys(after.domain)}
    return Tensor(before.node, merge_orders([before.order, after.order]), tuple(domain), REAL)


# ------------------------------------------------------------------------------------------ argmin
EXTREMA = ("argmin", "argmax")

SETS = {"simplex": "simplex(k)", "positive": "positive(k)"}
"""Sets of vectors: of numbers that are at least 0 and add up to 1, and of numbers above 0."""


def _extremum(name: str) -> Binder:
    """``argmin[a in simplex(k)](f)``, ``argmax[z in ball(linf, eps, at=x)](f, ...)``: a place, as a constant."""

    def bind(callee: ast.Index, node: ast.Call, scope: Scope) -> Value:
        match callee.items:
            case (ast.Member(item=ast.Name(name=bound), container=ast.Call(callee=ast.Name(name=kind)) as set_),):
                pass
            case _:
                raise _wrong(name, callee.span)
        if kind == "ball":
            return ascent.extremum(name, bound, set_, node, scope)
        if kind in SETS:
            return _least(name, bound, kind, set_, node, scope)
        raise error(
            "LL0201",
            f"there is no set '{kind}'",
            set_.span,
            expected=", ".join(SETS.values()) + f" or {ascent.BALL}",
            found=set_.span.text,
            hint=did_you_mean(kind, [*SETS, "ball"]) or f"{name}[a in simplex(k)](f) has weights that add up to 1",
        )

    return bind


def _least(name: str, bound: str, kind: str, set_: ast.Call, node: ast.Call, scope: Scope) -> Value:
    """A vector on a simplex, or a positive one."""
    match set_.arguments:
        case (ast.Argument(value=ast.Name(name=axis), name=None),) if len(scope.axes.get(axis, ())) == 1:
            axes = scope.axes[axis]
        case _:
            raise error(
                "LL0204",
                f"{kind} takes an axis",
                set_.span,
                expected=f"an axis that is known here: {kind}(k)",
                found=set_.span.text,
                hint=(did_you_mean(set_.arguments[0].value.span.text, scope.axes) if set_.arguments else None)
                or "the axis along which the numbers stand, such as k in g: real[k, d]",
            )
    if len(node.arguments) != 1:
        raise _wrong(name, node.span)
    vector = variable(axes)
    body = _body(name, node)
    inner = replace(scope, values={**scope.values, bound: Tensor(vector, axes)})
    value = tensor(scope.session.evaluate(body, inner), body.span)
    if value.order or value.domain:
        raise ascent.not_one_number(name, value, body.span, scope)
    function = ops.apply("real", value.node)
    found = minimum(kind, vector, ops.apply("neg", function) if name == "argmax" else function)
    return Tensor(found, axes, kind=Kind("prob") if kind == "simplex" else REAL)


BINDERS: dict[str, Binder] = {
    "grad": _grad,
    "iterate": _iterate,
    "argmin": _extremum("argmin"),
    "argmax": _extremum("argmax"),
}

FORMS = {
    "grad": "grad[x](f)",
    "iterate": "iterate[d = d0, n](next)",
    "argmin": "argmin[a in simplex(k)](f)",
    "argmax": "argmax[a in simplex(k)](f)",
}
