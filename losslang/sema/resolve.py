"""Binds the arguments of a call to the parameters of a definition, by name or by kind.

A positional argument fills, in order, the first free parameter of its kind: in ``lpips(vgg)`` the network, in
``l1(pred, target)`` the tensors, in ``focal(2)`` the number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

from losslang.diagnostics import Label, LosslangError, did_you_mean, error
from losslang.syntax import ast

Sort: TypeAlias = Literal["tensor", "number", "function", "network", "axes", "choice", "string"]

MODIFIERS = ("reduce", "mask", "ignore", "weight")
"""What every loss takes besides its own parameters."""

SCALAR_KINDS = ("real", "int", "bool")


def sort_of(parameter: ast.Parameter) -> Sort:
    """What kind of argument a parameter takes."""
    match parameter.type:
        case ast.FunctionType():
            return "network"
        case ast.ChoiceType():
            return "choice"
        case ast.TensorType(kind="loss" | "fn"):
            return "function"
        case ast.TensorType(kind="axes"):
            return "axes"
        case ast.TensorType(groups=(), kind=kind) if kind in SCALAR_KINDS:
            return "number"
        case _:
            return "tensor"


def bind(
    definition: ast.Definition,
    arguments: Sequence[ast.Argument],
    sort: Callable[[ast.Expression], Sort],
    *,
    modifiers: bool = False,
) -> tuple[dict[str, ast.Expression], dict[str, ast.Expression]]:
    """The argument of each parameter, and of each modifier.

    Raises:
        LosslangError: LL0202 (no such parameter), LL0205 (given twice), LL0208 (no free parameter of that kind).
    """
    parameters = {parameter.name: parameter for parameter in definition.parameters}
    bound: dict[str, ast.Expression] = {}
    extra: dict[str, ast.Expression] = {}
    for argument in arguments:
        if argument.name is None:
            continue
        if argument.name in bound or argument.name in extra:
            known = next(other for other in arguments if other.name == argument.name)
            raise error(
                "LL0205",
                f"'{argument.name}' is given twice",
                argument.span,
                expected="one value for each parameter",
                labels=[Label(known.span, "first here")],
                hint="remove one of them",
            )
        if argument.name in parameters:
            bound[argument.name] = argument.value
        elif modifiers and argument.name in MODIFIERS:
            extra[argument.name] = argument.value
        else:
            raise unknown_parameter(definition, argument, modifiers)
    for argument in arguments:
        if argument.name is None:
            bound[_place(definition, bound, argument, sort(argument.value))] = argument.value
    return bound, extra


def unknown_parameter(definition: ast.Definition, argument: ast.Argument, modifiers: bool = False) -> LosslangError:
    """The error for a keyword that a definition does not have."""
    name = argument.name or ""
    names = [parameter.name for parameter in definition.parameters]
    if argument.name is None:
        message, hint = f"arguments of {definition.keyword} {definition.name} are named", "write name=value"
    else:
        message = f"{definition.keyword} {definition.name} has no parameter '{name}'"
        hint = did_you_mean(name, [*names, *(MODIFIERS if modifiers else ())])
        if hint is None and name in MODIFIERS:
            hint = f"{name}= goes with a loss, and {definition.name} is a {definition.keyword}"
    return error(
        "LL0202",
        message,
        argument.span,
        expected="one of " + ", ".join(names) if names else "no arguments",
        found=name or argument.value.span.text,
        hint=hint or f"losslang explain {definition.name} shows what it takes",
    )


# what else a sort of argument may stand for, where no parameter takes the sort itself
_ALSO: dict[Sort, tuple[Sort, ...]] = {"number": ("tensor",), "tensor": ("number",), "function": ("tensor",)}


def _place(definition: ast.Definition, bound: dict[str, ast.Expression], argument: ast.Argument, sort: Sort) -> str:
    """The first free parameter that takes this sort of argument; a number may also stand for a tensor."""
    free = [parameter for parameter in definition.parameters if parameter.name not in bound]
    if isinstance(argument.value, ast.Name):
        for parameter in free:
            if isinstance(parameter.type, ast.ChoiceType) and argument.value.name in parameter.type.options:
                return parameter.name
    choices = [sort, *_ALSO.get(sort, ())]
    for wanted in choices:
        for parameter in free:
            if sort_of(parameter) == wanted:
                return parameter.name
    if not free:
        raise error(
            "LL0208",
            f"{definition.name} takes no more arguments",
            argument.span,
            expected=", ".join(parameter.name for parameter in definition.parameters) or "no arguments",
            found=f"one more: {argument.value.span.text}",
            hint="remove it, or add another loss with +",
        )
    raise error(
        "LL0208",
        f"{definition.name} has no place for this {sort}",
        argument.span,
        expected=", ".join(f"{p.name} ({sort_of(p)})" for p in free),
        found=f"a {sort}",
        hint=f"name the parameter it is for: {free[0].name}={argument.value.span.text}",
    )
