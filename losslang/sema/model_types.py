"""The types of models: instantiated, unified over the terms that take a model of one name, and fixed in the end."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from losslang.diagnostics import Label, LosslangError, error
from losslang.ir.nodes import ModelInput
from losslang.sema.kinds import kind_of
from losslang.sema.naming import Names
from losslang.sema.unify import MismatchError, Rest, Row, Var, expanded, row_of, text_of, unify
from losslang.source import Span
from losslang.syntax import ast
from losslang.types import Axis, Kind, meet


@dataclass(frozen=True)
class ModelWanted:
    """What one place wants of a model. The axes that it takes are its own; it gives some of these, or others."""

    argument: Kind
    takes: Row
    result: Kind
    gives: Row
    loss: str
    parameter: str
    span: Span

    def text(self) -> str:
        """As a type, for messages."""
        return f"{text_of(self.argument, self.takes)} -> {text_of(self.result, self.gives)}"


def instantiated(
    declared: ast.FunctionType,
    variables: dict[str, Var],
    rests: dict[str, Rest],
    loss: str,
    parameter: str,
    span: Span,
) -> ModelWanted:
    """A declared type over fresh axes; a name that only the result has is that of the signature around it.

    ``...`` of the result is the model's own, unless it has a name: ``real[b, ...s] -> real[b, ...s]``.
    """
    own: dict[str, Var] = {}
    own_rests: dict[str, Rest] = {}
    takes = row_of(declared.parameter.groups[-1] if declared.parameter.groups else (), own, own_rests)
    gives: Row = []
    for axis in declared.result.groups[-1] if declared.result.groups else ():
        if axis.name == "...":
            gives.append(Rest(name=f"{parameter}_rest"))
        elif axis.is_rest and axis.name in own_rests:
            gives.append(own_rests[axis.name or ""])
        elif axis.name in own:
            gives.append(own[axis.name or ""])
        else:
            gives += row_of((axis,), variables, rests)
    return ModelWanted(kind_of(declared.parameter), takes, kind_of(declared.result), gives, loss, parameter, span)


def joined(name: str, known: ModelWanted, wanted: ModelWanted, fixed: bool, span: Span) -> ModelWanted:
    """What two places want of one model.

    Raises:
        LosslangError: LL0303 where no model can be both.
    """
    argument, result = meet(known.argument, wanted.argument), meet(known.result, wanted.result)
    if argument is None and fixed:
        argument = known.argument  # a value is converted where it is handed over, or an error there
    if argument is None or result is None:
        raise _conflict(name, known, wanted, fixed, span)
    try:
        unify(known.takes, wanted.takes)
        unify(known.gives, wanted.gives)
    except MismatchError:
        raise _conflict(name, known, wanted, fixed, span) from None
    return known if fixed else replace(known, argument=argument, result=result)


def _conflict(name: str, known: ModelWanted, wanted: ModelWanted, fixed: bool, span: Span) -> LosslangError:
    taken = "as it is declared" if fixed else f"as {known.loss} takes '{known.parameter}'"
    return error(
        "LL0303",
        f"the model '{name}' cannot be both {known.text()} and {wanted.text()}",
        span,
        expected=f"{known.text()}, {taken}",
        found=f"{wanted.text()}, as {wanted.loss} takes '{wanted.parameter}'",
        hint=f"bind another model: {wanted.loss}({wanted.parameter}=other_{name})",
        labels=[Label(known.span, "first wanted here")],
    )


def applied_type(wanted: ModelWanted) -> tuple[Row, Row]:
    """The rows of argument and result at one call: the axes that are taken are new."""
    fresh: dict[Var | Rest, Var | Rest] = {}
    for element in expanded(wanted.takes):
        fresh[element] = Var(element.name, element.size) if isinstance(element, Var) else Rest(name=element.name)
    gives = [fresh.get(element, element) for element in expanded(wanted.gives)]
    return [fresh[element] for element in expanded(wanted.takes)], gives


def resolved(
    name: str, wanted: ModelWanted, known: Collection[Var | Rest], axis_of: Callable[[Var | Rest], Axis]
) -> ModelInput:
    """The model with its axes fixed; ``...`` that no input has is the model's own, and depends on what it is given."""
    takes, gives = expanded(wanted.takes), expanded(wanted.gives)
    own = [element for element in gives if isinstance(element, Rest) and element not in known and element not in takes]
    fixed = {element: axis_of(element) for element in gives if element not in takes and element not in own}
    names = Names({axis.name for axis in fixed.values()})
    for element in (*takes, *own):
        size = element.size if isinstance(element, Var) else None
        called = f"{name}_rest" if element in own else element.name
        fixed[element] = Axis(names.unique(called), size, rest=isinstance(element, Rest))
    return ModelInput(
        name,
        wanted.argument,
        tuple(fixed[element] for element in takes),
        wanted.result,
        tuple(fixed[element] for element in gives),
    )
