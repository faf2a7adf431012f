"""Binds the arguments of a call to the parameters of a definition, by name or by kind.

A positional argument fills, in order, the first free parameter of its kind: in ``lpips(vgg)`` the network, in
``l1(pred, target)`` the tensors, in ``focal(2)`` the number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from losslang.diagnostics import Label, LosslangError, error, renamed
from losslang.sema.elsewhere import meant
from losslang.syntax import ast

Sort: TypeAlias = Literal["tensor", "number", "function", "network", "model", "axes", "choice", "string", "open"]
"""``open`` is a name that nothing declares: a tensor or a model of the caller's, whatever is wanted there."""

MODIFIERS = ("reduce", "mask", "ignore", "weight")
"""What every loss takes besides its own parameters."""

SCALAR_KINDS = ("real", "int", "bool")


def sort_of(parameter: ast.Parameter) -> Sort:
    """What kind of argument a parameter takes."""
    match parameter.type:
        case ast.FunctionType(result=result):
            return "network" if len(result.groups) > 1 else "model"
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


def needs_input(parameter: ast.Parameter) -> bool:
    """Whether a tensor or a model must be given."""
    return sort_of(parameter) in ("tensor", "model") and parameter.default is None


@dataclass(frozen=True)
class Bound:
    """The arguments of a call, each under what it is for."""

    values: dict[str, ast.Expression] = field(default_factory=dict[str, "ast.Expression"])
    """By parameter."""
    modifiers: dict[str, ast.Expression] = field(default_factory=dict[str, "ast.Expression"])
    sizes: dict[str, ast.Expression] = field(default_factory=dict[str, "ast.Expression"])
    """Extents by axis: ``moco(n=65536)``."""

    def __contains__(self, name: str | None) -> bool:
        return name in self.values or name in self.modifiers or name in self.sizes


def axis_names(definition: ast.Definition) -> list[str]:
    """The axes that a definition names: in its own brackets, in types, and on the left of bindings."""
    groups = [definition.axes, *(group for p in definition.parameters for group in _groups(p.type))]
    groups += [binding.axes.axes for binding in definition.bindings if binding.axes is not None]
    names = [axis.name for group in groups for axis in group if axis.name is not None and not axis.is_rest]
    return list(dict.fromkeys([*names, *_label_axes(definition)]))


def open_axes(definition: ast.Definition) -> list[str]:
    """The axes whose extents a call has to give: of queues, tables, draws, learned tensors and lists of inputs."""
    given = [p for p in definition.parameters if p.default is None and not _may_lack(p)]
    known = {axis.name for parameter in given for group in _groups(parameter.type) for axis in group}
    listed = list_axes(definition)
    known -= {*listed}
    learned = [p for p in definition.parameters if _is_learned(p.default)]
    sized = [axis for parameter in learned for group in _groups(parameter.type) for axis in group]
    kept = [
        b.axes.axes for b in definition.bindings if b.axes is not None and (_is_last(b.value) or _is_learned(b.value))
    ]
    stored = [axis for axes in kept for axis in axes if axis.bound is None]
    drawn = [p.type for p in definition.parameters if isinstance(p.default, ast.Call) and not _has_list(p)]
    stored += [axis for declared in drawn for group in _groups(declared) for axis in group if axis.size is None]
    names = listed + [axis.name for axis in sized if axis.size is None]
    names += [name for name in (*_label_axes(definition), *(axis.name for axis in stored)) if name not in known]
    return [name for name in dict.fromkeys(names) if name is not None and not name.startswith("...")]


def list_axes(definition: ast.Definition) -> list[str]:
    """The axes of lists of inputs whose length no type says."""
    lists = [_groups(p.type) for p in definition.parameters if p.default is None and _has_list(p)]
    axes = [axis for groups in lists for group in [*groups][:-1] for axis in group]
    return list(dict.fromkeys(axis.name for axis in axes if axis.name is not None and axis.size is None))


def _has_list(parameter: ast.Parameter) -> bool:
    return isinstance(parameter.type, ast.TensorType) and len(parameter.type.groups) > 1


def _may_lack(parameter: ast.Parameter) -> bool:
    return isinstance(parameter.type, ast.TensorType) and parameter.type.optional


def _is_learned(value: ast.Expression | None) -> bool:
    return value == ast.Name("auto") or isinstance(value, ast.Call) and value.callee == ast.Name("auto")


def _is_last(value: ast.Expression) -> bool:
    return isinstance(value, ast.Call) and value.callee == ast.Name("last")


def _groups(declared: ast.Type | None) -> Iterator[tuple[ast.Axis, ...]]:
    match declared:
        case ast.TensorType(groups=groups):
            yield from groups
        case ast.FunctionType(parameter=parameter, result=result):
            yield from (*parameter.groups, *result.groups)
        case _:
            pass


def _label_axes(definition: ast.Definition) -> Iterator[str]:
    """The axes that integers index: c in ``label[b] < c``."""
    types = [p.type for p in definition.parameters if isinstance(p.type, ast.TensorType) and p.type.groups]
    for bound in (bound for declared in types for bound in declared.bounds):
        if isinstance(bound.value, ast.Name) and bound.op == "<":
            yield bound.value.name


def bind(
    definition: ast.Definition,
    arguments: Sequence[ast.Argument],
    sort: Callable[[ast.Expression], Sort],
    *,
    modifiers: bool = False,
) -> Bound:
    """The argument of each parameter, of each modifier, and the extent of each axis that the call gives.

    Raises:
        LosslangError: LL0202 (no such parameter), LL0205 (given twice), LL0208 (no free parameter of that kind).
    """
    parameters = {parameter.name: parameter for parameter in definition.parameters}
    bound = Bound()
    for argument in arguments:
        if argument.name is None:
            continue
        if argument.name in bound:
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
            bound.values[argument.name] = argument.value
        elif modifiers and argument.name in MODIFIERS:
            bound.modifiers[argument.name] = argument.value
        elif argument.name in axis_names(definition):
            bound.sizes[argument.name] = argument.value
        else:
            raise unknown_parameter(definition, argument, modifiers)
    for argument in arguments:
        if argument.name is None:
            bound.values[_place(definition, bound.values, argument, sort(argument.value))] = argument.value
    return bound


def unknown_parameter(definition: ast.Definition, argument: ast.Argument, modifiers: bool = False) -> LosslangError:
    """The error for a keyword that a definition does not have."""
    name = argument.name or ""
    names = [parameter.name for parameter in definition.parameters]
    known = [*names, *(MODIFIERS if modifiers else ()), *(axis for axis in axis_names(definition) if axis != name)]
    if argument.name is None:
        message, hint = f"arguments of {definition.keyword} {definition.name} are named", "write name=value"
    else:
        message = f"{definition.keyword} {definition.name} has no parameter '{name}'"
        hint = meant(name, known)
        if hint is None and name in MODIFIERS:
            hint = f"{name}= goes with a loss, and {definition.name} is a {definition.keyword}"
    return error(
        "LL0202",
        message,
        argument.span,
        expected=_choice(names, MODIFIERS if modifiers and definition.keyword == "loss" else ()),
        found=name or argument.value.span.text,
        hint=hint or f"losslang explain {definition.name} shows what it takes",
        fix=renamed(argument.span, name, known) if name else (),
    )


def _choice(names: Sequence[str], modifiers: Sequence[str]) -> str:
    if not names:
        return "no arguments"
    return "one of " + ", ".join(names) + (f"; or {', '.join(modifiers)}" if modifiers else "")


# what else a sort of argument may stand for, where no parameter takes the sort itself
_ALSO: dict[Sort, tuple[Sort, ...]] = {
    "number": ("tensor",),
    "tensor": ("number",),
    "function": ("model", "tensor"),
    "string": ("choice",),
    "open": ("number",),
}


def _takes(parameter: ast.Parameter, sort: Sort) -> bool:
    """Whether a parameter is for an argument of a sort."""
    own = sort_of(parameter)
    return own == sort or (sort == "open" and (own == "tensor" or (own == "model" and parameter.default is None)))


def _place(definition: ast.Definition, bound: dict[str, ast.Expression], argument: ast.Argument, sort: Sort) -> str:
    """The first free parameter that takes this sort of argument; a number may also stand for a tensor."""
    free = [parameter for parameter in definition.parameters if parameter.name not in bound]
    if isinstance(argument.value, ast.Name):
        for parameter in free:
            if isinstance(parameter.type, ast.ChoiceType) and argument.value.name in parameter.type.options:
                return parameter.name
    choices: list[Sort] = [sort, *_ALSO.get(sort, ())]
    for wanted in choices:
        for parameter in free:
            if _takes(parameter, wanted):
                return parameter.name
    sort = "tensor" if sort == "open" else sort
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
        hint=f"what it gives is a tensor: {argument.value.span.text}(...)"
        if sort == "model"
        else f"name the parameter it is for: {free[0].name}={argument.value.span.text}",
    )
