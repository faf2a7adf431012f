"""Losses as values: arithmetic on them has the parameters of all of them; an alias is such arithmetic under a name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from losslang.sema.modules import Environment
from losslang.sema.resolve import Sort, axis_names, bind, needs_input
from losslang.sema.values import Combination, Function, Static, Value
from losslang.source import Span
from losslang.syntax import ast

Part = tuple[ast.Definition, Collection[str]]
"""A definition that arithmetic is on, and the names of what it has been given."""


def combined(operation: str, operands: Sequence[Value], span: Span) -> Function:
    """An elementwise operation on loss values: a loss that takes what its parts take, ``1 - ssim``."""
    functions = [value for value in operands if isinstance(value, Function)]
    of = [(function.definition, [name for name, _ in function.given]) for function in functions]
    definition = replace(signature(span.text, of, span), keyword=_keyword(operation, operands))
    return Function(definition, functions[0].environment, combination=Combination(operation, tuple(operands)))


def retitled(function: Function, name: str) -> Function:
    """Arithmetic on losses under a name; what is one definition keeps its own."""
    if function.combination is None:
        return function
    return replace(function, definition=replace(function.definition, name=name))


def _keyword(operation: str, operands: Sequence[Value]) -> str:
    """A loss, unless it is made of fns only, and nothing says that what is higher is better."""
    if any(isinstance(value, Function) and value.definition.keyword == "loss" for value in operands):
        return "loss"
    turned = operation in ("sub", "div") and not isinstance(operands[0], Function)
    negative = any(isinstance(v, Static) and isinstance(v.value, (int, float)) and v.value < 0 for v in operands)
    return "loss" if operation == "neg" or turned or (operation == "mul" and negative) else "fn"


def signature(name: str, of: Sequence[Part], span: Span) -> ast.Definition:
    """A definition with the parameters of several that are not given yet, in order."""
    parameters: dict[str, ast.Parameter] = {}
    axes: dict[str, ast.Axis] = {}
    for definition, given in of:
        for parameter in definition.parameters:
            if parameter.name not in given:
                parameters.setdefault(parameter.name, parameter)
        axes.update({axis: ast.Axis(axis) for axis in axis_names(definition)})
    value = ast.Name(name, span=span)
    return ast.Definition("loss", name, tuple(axes.values()), tuple(parameters.values()), None, None, (), value)


# ------------------------------------------------------------------------------------------ in the text
Change = Callable[[ast.Name | ast.Call, ast.Definition], ast.Expression]


def definition_of(node: ast.Expression, environment: Environment) -> ast.Definition | None:
    """The definition that a name or call is of; for an alias, one with the parameters of its parts."""
    name = ast.called_name(node)
    item = environment.find(name) if name else None
    if not isinstance(item, ast.Alias):
        return item
    known = environment.signatures
    if name not in known:
        known[name] = signature(item.name, parts(item.value, environment.home(item)), item.span)
    return known[name]


def parts(value: ast.Expression, environment: Environment) -> list[Part]:
    """The losses and fns that an expression is arithmetic on."""
    found: list[Part] = []

    def note(node: ast.Name | ast.Call, definition: ast.Definition) -> ast.Expression:
        found.append((definition, _given(node)))
        return node

    map_parts(value, environment, note)
    return found


def _given(node: ast.Name | ast.Call) -> set[str]:
    arguments = node.arguments if isinstance(node, ast.Call) else ()
    return {argument.name for argument in arguments if argument.name is not None}


def is_open(part: Part) -> bool:
    """Whether a part lacks a tensor: then it is a loss, and no value."""
    definition, given = part
    return any(needs_input(p) and p.name not in given for p in definition.parameters)


def map_parts(node: ast.Expression, environment: Environment, change: Change) -> ast.Expression:
    """The expression with each loss or fn that it is arithmetic on replaced."""
    definition = definition_of(node, environment) if isinstance(node, ast.Name | ast.Call) else None
    if isinstance(node, ast.Name | ast.Call) and definition is not None:
        return change(node, definition)
    return map_operands(node, lambda inner: map_parts(inner, environment, change))


def map_operands(node: ast.Expression, change: Callable[[ast.Expression], ast.Expression]) -> ast.Expression:
    """The expression with its operands replaced: those of arithmetic, and the arguments of a builtin function."""
    match node:
        case ast.Sum():
            return replace(node, terms=tuple((sign, change(term)) for sign, term in node.terms))
        case ast.Binary():
            return replace(node, left=change(node.left), right=change(node.right))
        case ast.Unary():
            return replace(node, operand=change(node.operand))
        case ast.Labelled() | ast.Pipe():
            return replace(node, value=change(node.value))
        case ast.Conditional():
            return replace(node, then=change(node.then), otherwise=change(node.otherwise))
        case ast.Call():
            return replace(node, arguments=tuple(replace(a, value=change(a.value)) for a in node.arguments))
        case _:
            return node


def applied(
    alias: ast.Alias,
    arguments: Sequence[ast.Argument],
    environment: Environment,
    sort: Callable[[ast.Expression], Sort],
) -> ast.Expression:
    """What an alias stands for, with arguments: each part gets those that it takes and has not got."""
    if not arguments:
        return alias.value
    whole = signature(alias.name, parts(alias.value, environment), alias.span)
    bound = bind(whole, arguments, sort, modifiers=True)

    def give(node: ast.Name | ast.Call, definition: ast.Definition) -> ast.Expression:
        names = {*(parameter.name for parameter in definition.parameters), *axis_names(definition)}
        every = {name: value for name, value in {**bound.values, **bound.sizes}.items() if name in names}
        every |= bound.modifiers
        more = [ast.Argument(value, name, span=value.span) for name, value in every.items() if name not in _given(node)]
        old = node.arguments if isinstance(node, ast.Call) else ()
        return ast.Call(ast.callee_of(node), (*old, *more), span=node.span)

    return map_parts(alias.value, environment, give)
