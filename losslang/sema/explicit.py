"""The IR's own text: how a printed objective says what its balancers became and what its calls store.

``| total(expression, by=uncertainty, of=[focal, l1])`` is a balancer, ``| total(expression)`` or
``| total(expression, weights=[0.5, 1.0])`` what the pass ``balance`` makes of it all, and
``| store(expression, key="moco.queue", axes=[n < 8, d])`` an update.
"""

from __future__ import annotations

from dataclasses import replace

from losslang.diagnostics import LosslangError, error
from losslang.ir import nodes as ir
from losslang.sema.elementwise import tensor
from losslang.sema.memory import dims_of
from losslang.sema.scope import Scope
from losslang.sema.terms import Piped, Plan
from losslang.sema.values import Listed, Tensor
from losslang.syntax import ast

TERMS = "the terms"
"""The list axis over the terms: no axis can have this name."""

TOTAL = "total"

WORDS = (TOTAL, "store")


def term_value(name: str) -> ir.Node:
    """The place of a term's value inside a balancer."""
    return ir.intern(ir.TermValue, (), (), "real", name)


def show_terms(plan: Plan, scope: Scope) -> None:
    """``loss[focal]`` is the value of a term, as in a balancer."""
    found = [part.name for part in plan.parts]
    scope.lists[TERMS] = found
    scope.values["loss"] = Listed(TERMS, tuple(Tensor(term_value(name), ()) for name in found))


def piped(pipe: Piped, objective: ir.Objective, scope: Scope) -> ir.Objective:
    """The objective with one of these passes applied."""
    return _total(pipe, objective, scope) if pipe.pipe.name == TOTAL else _stored(pipe, objective, scope)


def _stored(piped: Piped, objective: ir.Objective, scope: Scope) -> ir.Objective:
    given = {argument.name: argument for argument in piped.pipe.arguments}
    match given.get(None), given.get("key"):
        case ast.Argument(value=body), ast.Argument(value=ast.String(value=key)) if set(given) <= {None, "key", "axes"}:
            update = ir.Update(key, _node(body, scope), dims_of(given.get("axes"), scope))
        case _:
            raise _no_store(piped)
    taken = any(known.key == key for known in objective.updates)
    if taken or not set(update.value.axes) <= set(update.dims):
        raise _no_store(piped)
    return replace(objective, updates=(*objective.updates, update))


def _no_store(piped: Piped) -> LosslangError:
    return error(
        "LL0206",
        "store(...) is how the compiler writes what a call keeps for the next one",
        piped.pipe.span,
        expected='store(expression, key="name", axes=[...]) with all axes of the expression, once for each key',
        hint="in a loss write last(x, init), where x is a binding",
    )


def _total(piped: Piped, objective: ir.Objective, scope: Scope) -> ir.Objective:
    given = {argument.name: argument.value for argument in piped.pipe.arguments}
    every = tuple(term.name for term in objective.terms)
    match given:
        case {None: body, "by": ast.Name(name=name), "of": ast.ListOf() as of} if len(given) == 3:
            balancer = ir.Balancer(name, _names(of), _node(body, scope))
        case {None: body, "by": ast.Name(name=name)} if len(given) == 2:
            balancer = ir.Balancer(name, piped.terms, _node(body, scope))
        case {None: body, "weights": ast.ListOf(items=items)} if len(given) == 2 and len(items) == len(every):
            weights = tuple(_node(item, scope) for item in items if not isinstance(item, ast.Rest))
            return replace(objective, total=_node(body, scope), weights=weights)
        case {None: body} if len(given) == 1:
            return replace(objective, total=_node(body, scope), weights=tuple(t.weight for t in objective.terms))
        case _:
            raise _no_total(piped)
    if not set(balancer.terms) <= set(every):
        raise _no_total(piped)
    return replace(objective, balancers=(*objective.balancers, balancer))


def _no_total(piped: Piped) -> LosslangError:
    return error(
        "LL0206",
        "total(...) is how the compiler writes what a balancer became",
        piped.pipe.span,
        expected="one of total(expression, by=name, of=[term, ...]) or total(expression, weights=[number, ...])",
        hint="in an objective write the weights: 0.5*l1 + focal",
    )


def check_total(objective: ir.Objective, plan: Plan) -> None:
    """A total is the whole: no balancer stands beside it, and no place of a term is open in it."""
    if objective.total is None:
        return
    whole = ir.topological([objective.total, *objective.weights])
    if objective.balancers or any(isinstance(node, ir.TermValue) for node in whole):
        raise _no_total(next(piped for piped in plan.piped if piped.pipe.name == TOTAL))


def _node(expression: ast.Expression, scope: Scope) -> ir.Node:
    return tensor(scope.session.evaluate(expression, scope), expression.span).node


def _names(items: ast.ListOf) -> tuple[str, ...]:
    return tuple(item.name for item in items.items if isinstance(item, ast.Name))
