"""An objective as a mapping: the form that `form` reads, made of numbers, texts, lists and dicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

from losslang.diagnostics import error
from losslang.sema.elaborate import kept_bindings, planned, program
from losslang.sema.modules import Environment
from losslang.sema.terms import Frame, Part, Piped, Plan
from losslang.sema.unit import Unit
from losslang.syntax import ast, printer

Value: TypeAlias = "int | float | bool | str | None | list[Any]"


def config_of(unit: Unit, name: str | None = None) -> dict[str, Any]:
    """What `form.unit` reads as the same objective; empty sections are left out.

    Raises:
        LosslangError: for what is wrong with the text; LL0309 where it uses what only a module of a module can name.
    """
    text = program(unit, name)
    frame, plan = planned(text)
    tree = unit.parsed()
    items = tree.items if isinstance(tree, ast.Module) else ()
    own = tuple(i for i in items if isinstance(i, ast.Alias) or (isinstance(i, ast.Definition) and not _is_main(i)))
    sections: dict[str, Any] = {
        "name": text.name if items and text.name != "objective" else None,
        "use": [_use(item) for item in items if isinstance(item, ast.Use)],
        "definitions": printer.print_module(ast.Module(own)) if own else None,
        "axes": {axis.name: axis.size for axis in text.axes},
        "inputs": {parameter.name: _parameter(parameter) for parameter in text.parameters},
        "bindings": {_left(binding): _value(binding.value, frame) for binding in kept_bindings(text, frame, plan)},
        "constants": {constant.name: constant.value for constant in unit.constants},
        "terms": {part.name: _term(part, frame) for part in plan.parts},
        "passes": [_pass(piped, plan) for piped in plan.piped],
        "bind": dict(unit.bind),
    }
    return {key: value for key, value in sections.items() if value}


def _is_main(item: ast.Definition) -> bool:
    return item.keyword == "objective"


def _use(use: ast.Use) -> str:
    return printer.use_line(use).removeprefix("use ")


def _parameter(parameter: ast.Parameter) -> str:
    kind = "real" if parameter.type is None else printer.print_type(parameter.type)
    return kind if parameter.default is None else f"{kind} = {printer.print_expression(parameter.default)}"


def _left(binding: ast.Binding) -> str:
    text = printer.binding_lines(ast.Binding(binding.name, binding.axes, ast.Number(0)))
    return " ".join(text.split()).removesuffix(" = 0")


# ------------------------------------------------------------------------------------------ terms and passes
def _term(part: Part, frame: Frame) -> dict[str, Value]:
    """``{loss: focal, gamma: 2, weight: 0.5}``; what is given by its place stays in the text of the loss."""
    found: dict[str, Value] = {}
    match part.body:
        case ast.Call(callee=ast.Name() as callee, arguments=arguments) if _by_name(arguments):
            found["loss"] = text_of(callee, frame)
            found |= {str(argument.name): _value(argument.value, frame) for argument in arguments}
        case _:
            found["loss"] = text_of(part.body, frame)
    if part.weights:
        found["weight"] = weight_of(part.weights, frame)
    return found


def _by_name(arguments: Sequence[ast.Argument]) -> bool:
    return all(argument.name not in (None, "loss", "weight") for argument in arguments)


def weight_of(factors: Sequence[ast.Expression], frame: Frame) -> Value:
    """The product of the factors of a weight: one number where they are numbers."""
    values = [_value(factor, frame) for factor in factors]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        whole = values[0]
        for value in values[1:]:
            whole = cast(float, whole) * cast(float, value)
        return whole
    product = factors[0]
    for factor in factors[1:]:
        product = ast.Binary("*", product, factor)
    return _value(product, frame)


def _pass(piped: Piped, plan: Plan) -> str | dict[str, Value]:
    """``uncertainty``, or with its options and the terms that it is over, where these are not all."""
    arguments = piped.pipe.arguments
    over: dict[str, Value] = {} if len(piped.terms) == len(plan.parts) else {"terms": list(piped.terms)}
    if any(argument.name in (None, "pass", "terms") for argument in arguments):
        call = ast.Call(ast.Name(piped.pipe.name), arguments)
        return {"pass": text_of(call, plan.frame), **over} if over else text_of(call, plan.frame)
    name = text_of(ast.Name(piped.pipe.name), plan.frame)
    options = {str(argument.name): _value(argument.value, plan.frame) for argument in arguments}
    return {"pass": name, **options, **over} if options or over else name


# ------------------------------------------------------------------------------------------ values
_WORDS: Mapping[str, Value] = {"true": True, "false": False, "none": None}


def _value(node: ast.Expression, frame: Frame) -> Value:
    """A number, truth value, none or a list of numbers as such; anything else as a text."""
    match node:
        case ast.Number(value=value):
            return value
        case ast.Unary(op="-", operand=ast.Number(value=value)):
            return -value
        case ast.Name(name=name) if name in _WORDS and name not in frame.values:
            return _WORDS[name]
        case ast.ListOf(items=items) if items:
            values = [_value(item, frame) for item in items if not isinstance(item, ast.Rest)]
            numbers = all(isinstance(value, int | float | list) for value in values)
            return values if numbers and len(values) == len(items) else text_of(node, frame)
        case _:
            return text_of(node, frame)


def text_of(node: ast.Expression, frame: Frame) -> str:
    """An expression as the text writes it, with its own names of modules."""
    for name in ast.walk(node):
        if isinstance(name, ast.Name) and ":" in name.name:
            node = ast.rewritten(node, lambda part: _written(part, frame.environment))
            break
    return printer.print_expression(node)


def _written(node: ast.Node, environment: Environment) -> ast.Node | None:
    """The name of a module's definition as the text writes it; None for what is no such name."""
    if not isinstance(node, ast.Name) or ":" not in node.name:
        return None
    written = environment.written(node.name)
    if written is None:
        raise error(
            "LL0309",
            "this stands for what a module keeps to itself, and a config cannot name it",
            node.span,
            expected="definitions of modules that the text uses itself",
            found=node.name.rpartition(":")[2],
            hint="use the module that defines it, too",
        )
    return ast.Name(written, span=node.span)
