"""Finds the inputs of an objective and unifies what its terms want of each: kind, axes, rank.

Every loss that a term calls contributes the types it declares; one name in two terms is one tensor. What is left
undetermined (``...``) stays a rest axis, fixed by the rank of the first batch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from losslang.diagnostics import Edit, Label, LosslangError, error, nearest, renamed
from losslang.ir import nodes as ir
from losslang.ir.netspec import ALIASES, TAPS
from losslang.ir.nodes import Nest, counts, leaves
from losslang.sema.elementwise import FUNCTIONS
from losslang.sema.evaluate import is_builtin
from losslang.sema.kinds import kind_of, label_axis
from losslang.sema.limits import MAX_EXPANSIONS, too_large
from losslang.sema.losses import applied
from losslang.sema.model_types import ModelWanted, applied_type, instantiated, joined, resolved
from losslang.sema.naming import Names
from losslang.sema.parameters import is_partial, shared_axes
from losslang.sema.resolve import Bound, bind, sort_of
from losslang.sema.terms import Frame, model_name
from losslang.sema.unify import (
    MismatchError,
    Rest,
    Row,
    Var,
    expanded,
    find,
    row_of,
    text_of,
    unify,
    unify_vars,
    unshared,
)
from losslang.sema.values import Static
from losslang.source import Span
from losslang.syntax import ast
from losslang.types import REAL, Axes, Axis, Kind, meet


@dataclass(frozen=True)
class Wanted:
    """What one place wants of a tensor."""

    kind: Kind
    row: Row | None
    bound: Var | None = None
    loss: str = ""
    parameter: str = ""
    weak: bool = False
    """Wanted of an expression that the tensor is part of: it may have fewer axes."""
    passes: bool = False
    """The row begins with axes that pass through a fn."""
    items: tuple[Wanted, ...] = ()
    """What is wanted of each element, where it is a list."""

    def text(self) -> str:
        """As a type, for messages."""
        return text_of(self.kind, self.row)

    def taken(self) -> str:
        """Where it is wanted, for messages."""
        return f"as {self.loss} takes " + (f"'{self.parameter}'" if self.parameter else "it")

    def given(self, name: str) -> str:
        """The call with another tensor, for messages."""
        return f"{self.loss}({self.parameter}={name})" if self.parameter else f"{self.loss}({name})"


@dataclass
class Found:
    """An input: what is wanted of it so far, and where it was first met."""

    wanted: Wanted
    span: Span


@dataclass
class Kit:
    """The axes of one definition, while what its parameters want is made."""

    loss: str
    variables: dict[str, Var]
    rests: dict[str, Rest]
    shared: set[str]
    """The axes that all elements of a list have in common."""
    sizes: dict[str, int]
    """How many elements lists have, by their axis."""
    own: dict[tuple[int, ...], tuple[dict[str, Var], dict[str, Rest]]] = field(default_factory=dict[Any, Any])
    """The axes of one element, by its place: elements of two lists at one place have the same."""

    def row(self, axes: tuple[ast.Axis, ...], place: tuple[int, ...]) -> Row:
        """The axes of an element of a list."""
        variables, rests = self.own.setdefault(place, ({}, {}))
        return [
            element
            for axis in axes
            for element in (
                row_of((axis,), self.variables, self.rests)
                if axis.name in self.shared
                else row_of((axis,), variables, rests)
            )
        ]

    def own_of(self, place: tuple[int, ...]) -> list[Var | Rest]:
        """The axes that one element has for itself."""
        variables, rests = self.own[place]
        return [*variables.values(), *rests.values()]


@dataclass
class Inputs:
    """Collects the inputs of an objective, term by term."""

    frame: Frame
    found: dict[str, Found] = field(default_factory=dict[str, Found])
    vars: dict[str, Var] = field(default_factory=dict[str, Var])
    fixed: set[str] = field(default_factory=set[str])
    """Inputs that the objective's header declares."""
    models: dict[str, ModelWanted] = field(default_factory=dict[str, ModelWanted])
    bound: frozenset[str] = frozenset()
    """The variables of the binders around."""
    seen: set[tuple[str, str, int]] = field(default_factory=set[tuple[str, str, int]])
    """Bindings that have been looked through, and what was wanted of them."""

    aliases: int = 0
    """How many aliases were written out."""
    taken: dict[str, ir.ModelInput] = field(default_factory=dict[str, ir.ModelInput])
    """The models, as the latest result has their axes."""
    kept: list[Var | Rest] = field(default_factory=list["Var | Rest"])
    """The axes that belong to one element of a list."""
    made: dict[Axis, Var | Rest] = field(default_factory=dict["Axis", "Var | Rest"])
    """What each axis of the latest result stands for."""

    def declare(self, parameters: tuple[ast.Parameter, ...], axes: tuple[ast.Axis, ...] = ()) -> None:
        """The tensors of an objective's header, and the extents of axes that it gives."""
        row_of(axes, self.vars, {})
        self._take(parameters)
        for variable in self.vars.values():
            variable.declared = True

    def _take(self, parameters: tuple[ast.Parameter, ...]) -> None:
        rests: dict[str, Rest] = {}
        for parameter in parameters:
            if isinstance(parameter.type, ast.TensorType) and is_input(parameter):
                kit = Kit("objective", self.vars, rests, _outside(parameters), _sizes(parameters, self.vars))
                wanted = self._instantiate(parameter, parameter.type, kit)
                if wanted is None:
                    raise _no_length(parameter.name, _list_axis(parameter.type), parameter.span, "objective")
                if sort_of(parameter) == "number":
                    wanted = replace(wanted, row=[])
                self._unify(parameter.name, wanted, parameter.span)
                self.fixed |= {parameter.name, *(name for name, _ in leaves(self.frame.lists.get(parameter.name, ())))}
                if wanted.items:
                    self.frame.list_axes[parameter.name] = _list_axes(parameter.type)
            elif isinstance(parameter.type, ast.FunctionType) and sort_of(parameter) == "model":
                self.models[parameter.name] = instantiated(
                    parameter.type, self.vars, rests, "objective", parameter.name, parameter.span
                )
                self.fixed.add(parameter.name)

    def collect(self, expression: ast.Expression, wanted: Wanted | None = None) -> Wanted | None:
        """Note the inputs under an expression; answers what kind of value it is, where that is known."""
        match expression:
            case ast.Name():
                return self._name(expression, wanted)
            case ast.Call():
                return self._call(expression, wanted)
            case ast.Index(base=ast.Name(name=name), items=(ast.Number(value=int() as place),)) if (
                name in self.frame.lists and place < len(self.frame.lists[name])
            ):
                item = self.frame.lists[name][place]
                if isinstance(item, str) and wanted is not None:
                    self._unify(item, wanted, expression.span)
            case ast.ListOf(items=items) if wanted is not None and len(items) == len(wanted.items):
                for item, inner in zip(items, wanted.items, strict=True):
                    if not isinstance(item, ast.Rest):
                        self.collect(item, inner)
            case ast.Index():
                self.collect(expression.base, None)
                for position in _positions(expression):
                    if not isinstance(position, ast.Name) or self.frame.is_input(position.name):
                        self.collect(position, None)
            case ast.Labelled():
                return self.collect(expression.value, wanted)
            case _:
                weak = replace(wanted, kind=REAL, weak=True) if wanted is not None else None
                for child in children(expression):
                    self.collect(child, weak)
        return None

    def _name(self, name: ast.Name, wanted: Wanted | None) -> Wanted | None:
        if name.name in self.bound:
            return None
        if name.name in self.frame.bindings:
            looked = (
                name.name,
                "" if wanted is None else wanted.kind.name,
                0 if wanted is None else id(wanted.row),
            )
            if looked in self.seen or (wanted is None and name.name in self.frame.formulas):
                return None
            self.seen.add(looked)
            if wanted is not None and name.name in self.frame.shaped:
                wanted = replace(wanted, weak=True)  # the axes on the left are in an order of their own
            return self.collect(self.frame.bindings[name.name], wanted)
        if self.frame.is_input(name.name):
            if name.name in FOREIGN and name.name not in self.fixed:
                raise _foreign(name)
            if wanted is not None:
                self._unify(name.name, wanted, name.span)
            known = self.found.get(name.name)
            return known.wanted if known else None
        if self.frame.definition(name) is not None and wanted is None:
            return self._call(ast.Call(name, (), span=name.span), None)
        return None

    def _call(self, call: ast.Call, wanted: Wanted | None) -> Wanted | None:
        definition = self.frame.definition(call.callee)
        if definition is None:
            model = self.models.get(model_name(call.callee) or "")
            return self._builtin(call, wanted) if model is None else self._model_call(model, call, wanted)
        alias = self.frame.alias(ast.called_name(call))
        if alias is not None:
            return self._alias(alias, call, wanted)
        if definition.keyword not in ("loss", "fn"):
            return None
        bound = bind(definition, call.arguments, self.frame.sort, modifiers=True)
        arguments = bound.values
        types, variables, rests, lead = self._signature(definition, bound)
        self._check_network(definition, call, arguments)
        for parameter in definition.parameters:
            argument = arguments.get(parameter.name)
            if sort_of(parameter) == "number" and argument is not None and isinstance(parameter.type, ast.TensorType):
                kind = Kind(parameter.type.kind)
                self.collect(argument, Wanted(kind, [], None, definition.name, parameter.name))
            elif isinstance(parameter.type, ast.FunctionType) and sort_of(parameter) == "model":
                self._model_argument(parameter, parameter.type, argument, definition, variables, rests, call.span)
            elif sort_of(parameter) == "tensor":
                wants = types.get(parameter.name)
                if wants is None and self._is_list_input(parameter, argument):
                    raise _no_length(parameter.name, _list_axis(parameter.type), call.span, definition.name)
                if argument is not None:
                    self.collect(argument, wants)
                elif parameter.default is None and wants is not None:
                    self._unify(parameter.name, wants, call.span)
        for name, value in bound.modifiers.items():
            if name in ("mask", "weight"):
                kind = Kind("bool") if name == "mask" else REAL
                row = None
                if isinstance(value, ast.Name) and value.name not in self.frame.bindings:
                    row = _elements(definition, types, variables, rests)
                    if row is None and value.name not in {*self.fixed, *self.found}:
                        raise self._no_axes(value, definition, name)
                self.collect(value, Wanted(kind, row, None, definition.name, name, weak=True))
        ordered = not isinstance(call.callee, ast.Index)  # unit[c](x) has its axes in the order of x
        if wanted is not None and wanted.row is not None and definition.result is not None and ordered:
            row = [*lead, *row_of(definition.result.axes, variables, {})]
            with suppress(MismatchError):
                unify(row, wanted.row)
        return None

    def _alias(self, alias: ast.Alias, call: ast.Call, wanted: Wanted | None) -> Wanted | None:
        """An alias wants what its parts want."""
        self.aliases += 1
        if self.aliases > MAX_EXPANSIONS:
            raise too_large(call.span, f"aliases are written out more than {MAX_EXPANSIONS} times")
        moved = replace(alias, value=self.frame.body(alias, call.span))
        return self.collect(applied(moved, call.arguments, self.frame.environment, self.frame.sort), wanted)

    def _builtin(self, call: ast.Call, wanted: Wanted | None) -> Wanted | None:
        """A map keeps its axes: what is wanted of its result is wanted of its argument, in the kind it takes."""
        name = ast.called_name(call)
        bound = ast.bound_names(call)
        if bound:
            return self._binder(call, bound)
        inner = None
        if wanted is not None:
            inner = replace(wanted, kind=Kind(_MAPS.get(name, "real")))
        keeps = name in _MAPS or not isinstance(call.callee, ast.Index) and name not in _PLACES
        keeps = keeps and not self._is_unknown(call.callee)
        for argument in call.arguments:
            self.collect(argument.value, inner if keeps else None)
        return None

    def _is_unknown(self, callee: ast.Expression) -> bool:
        """Whether nothing has the name that is called: what that would keep of its argument is not known."""
        name = callee.name if isinstance(callee, ast.Name) else None
        return name is not None and not is_builtin(name) and self.frame.is_input(name)

    def _model_argument(
        self,
        parameter: ast.Parameter,
        declared: ast.FunctionType,
        argument: ast.Expression | None,
        definition: ast.Definition,
        variables: dict[str, Var],
        rests: dict[str, Rest],
        span: Span,
    ) -> None:
        """A parameter that takes a model: one of the caller's, where it gets a name or nothing."""
        if argument is None and parameter.default is not None:
            return
        name = parameter.name if argument is None else model_name(argument)
        if name is None or not (name in self.models or self.frame.is_input(name)):
            function = self.frame.definition(argument.callee) if isinstance(argument, ast.Call) else None
            if function is not None and isinstance(argument, ast.Call) and is_partial(function, argument):
                for given in argument.arguments:
                    self.collect(given.value, None)
            elif argument is not None:
                self.collect(argument, None)
            return
        if argument is not None and name in FUNCTIONS and name not in self.models:
            return
        place = span if argument is None else argument.span
        wanted = instantiated(declared, variables, rests, definition.name, parameter.name, place)
        first = next((leaf for leaf, _ in leaves(self.frame.lists.get(name, ()))), name)
        if first in self.found:
            raise _tensor_and_model(name, wanted, self.found[first].span, place)
        known = self.models.get(name)
        self.models[name] = wanted if known is None else joined(name, known, wanted, name in self.fixed, place)

    def _model_call(self, model: ModelWanted, call: ast.Call, wanted: Wanted | None) -> None:
        """What a model is given has its axes, and so has what it gives."""
        takes, gives = applied_type(model)
        for argument in call.arguments:
            self.collect(argument.value, Wanted(model.argument, takes, None, model.parameter))
        if wanted is not None and wanted.row is not None:
            with suppress(MismatchError):
                unify(gives, wanted.row)

    def _binder(self, call: ast.Call, bound: frozenset[str]) -> None:
        """The inputs in the bracket of a binder, and those in its body but for the variables."""
        for value in ast.bound_values(call):
            self.collect(value, None)
        outer, self.bound = self.bound, self.bound | bound
        for argument in call.arguments:
            self.collect(argument.value, None)
        self.bound = outer

    # --------------------------------------------------------------------------------- types of a call
    def _no_axes(self, value: ast.Name, definition: ast.Definition, modifier: str) -> LosslangError:
        return error(
            "LL0302",
            f"nothing says which axes of {definition.name} '{value.name}' has",
            value.span,
            expected=f"a declared tensor, or a condition on an argument: {modifier}=x > 0",
            found=value.name,
            hint=f"declare it: objective main({value.name}: bool[i], ...): ...",
        )

    def _check_network(self, definition: ast.Definition, call: ast.Call, arguments: dict[str, ast.Expression]) -> None:
        """A misspelt network would pass for a tensor of the caller."""
        open_ = any(sort_of(p) == "network" and p.name not in arguments for p in definition.parameters)
        for argument in call.arguments if open_ else ():
            value = argument.value
            if argument.name is not None or not isinstance(value, ast.Name) or value.name in self.fixed:
                continue
            near = nearest(value.name, [*ALIASES, *TAPS])
            if self.frame.is_input(value.name) and (near or value.name.lower().startswith(FAMILIES)):
                parameter = next(name for name, given in arguments.items() if given is value)
                raise error(
                    "LL0601",
                    f"there is no network '{value.name}'",
                    value.span,
                    expected="one of " + ", ".join([*TAPS, *ALIASES]),
                    found=value.name,
                    hint=(f"did you mean '{near}'? " if near else "")
                    + f"A tensor of that name is {parameter}={value.name}",
                    fix=renamed(value.span, value.name, [*ALIASES, *TAPS]),
                )

    def _is_list_input(self, parameter: ast.Parameter, argument: ast.Expression | None) -> bool:
        """Whether a list is wanted of the caller: how many elements it has must be known."""
        lists = isinstance(parameter.type, ast.TensorType) and len(parameter.type.groups) > 1
        given = argument if argument is not None else ast.Name(parameter.name)
        named = isinstance(given, ast.Name) and self.frame.is_input(given.name)
        return lists and named and (argument is not None or parameter.default is None)

    def _signature(
        self, definition: ast.Definition, bound: Bound
    ) -> tuple[dict[str, Wanted], dict[str, Var], dict[str, Rest], Row]:
        """What each tensor of a definition has to be, its axes, and the axes in front of what a fn declares.

        A fn works along the axes that it declares; all others pass through, in ``unit(z)`` the rows of z.
        """
        sizes = {**_sizes(definition.parameters, {}), **self._lengths(definition, bound)}
        kit = Kit(definition.name, {}, {}, shared_axes(definition), sizes)
        lead: Row = [Rest()] if definition.keyword == "fn" else []
        types: dict[str, Wanted] = {}
        for parameter in definition.parameters:
            if isinstance(parameter.type, ast.TensorType) and sort_of(parameter) == "tensor":
                wanted = self._instantiate(parameter, parameter.type, kit)
                if wanted is not None:
                    types[parameter.name] = wanted
        rows = [wanted.row for wanted in types.values() if wanted.row]
        if any(isinstance(element, Rest) for row in rows for element in row):
            lead = []
        if lead:
            types = {n: replace(w, row=[*lead, *w.row], passes=True) if w.row else w for n, w in types.items()}
        return types, kit.variables, kit.rests, lead

    def _lengths(self, definition: ast.Definition, bound: Bound) -> dict[str, int]:
        """How many elements lists have, as far as a call says: by name, by other lists, by lists that are written."""
        found: dict[str, int] = {}
        for parameter in definition.parameters:
            given = bound.values.get(parameter.name, parameter.default or ast.Name(parameter.name))
            groups = parameter.type.groups if isinstance(parameter.type, ast.TensorType) else ()
            for group, count in zip(groups, self._counts(given), strict=False):
                if group[0].name is not None and (len(groups) > 1 or len(group) == 1):
                    found.setdefault(group[0].name, count)
        for name, value in bound.sizes.items():
            known = self.frame.values.get(value.name) if isinstance(value, ast.Name) else None
            size = known.value if isinstance(known, Static) else value.value if isinstance(value, ast.Number) else None
            if isinstance(size, int):
                found[name] = size
        return found

    def _counts(self, given: ast.Expression) -> list[int]:
        """The lengths of a list that is written out, or that is an input known to be one."""
        match given:
            case ast.ListOf(items=items) if items:
                first = items[0]
                return [len(items), *(self._counts(first) if not isinstance(first, ast.Rest) else [])]
            case ast.Name(name=name) if name in self.frame.lists:
                return [*counts(self.frame.lists[name])]
            case _:
                return []

    def _instantiate(self, parameter: ast.Parameter, declared: ast.TensorType, kit: Kit) -> Wanted | None:
        """What is wanted of a parameter; None for a list of nobody knows how many elements."""
        bound = label_axis(declared)
        variable = kit.variables.setdefault(bound, Var(bound)) if bound is not None else None
        whole = Wanted(kind_of(declared), None, variable, kit.loss, parameter.name)
        if len(declared.groups) < 2:
            row = row_of(declared.groups[-1], kit.variables, kit.rests) if declared.groups else None
            return replace(whole, row=row)
        counts = [group[0].size or kit.sizes.get(group[0].name or "") for group in declared.groups[:-1]]
        known = [count for count in counts if count is not None]
        return self._nest(whole, declared.groups[-1], known, (), kit) if len(known) == len(counts) else None

    def _nest(
        self, whole: Wanted, axes: tuple[ast.Axis, ...], counts: list[int], place: tuple[int, ...], kit: Kit
    ) -> Wanted:
        if counts:
            items = (self._nest(whole, axes, counts[1:], (*place, number), kit) for number in range(counts[0]))
            return replace(whole, items=tuple(items))
        row = kit.row(axes, place)
        self.kept += kit.own_of(place)
        return replace(whole, row=row)

    def _unify(self, name: str, wanted: Wanted, span: Span) -> None:
        if name in self.models:
            raise _tensor_and_model(name, self.models[name], span, self.models[name].span)
        if wanted.items:
            self._unify_list(name, wanted, span)
            return
        if name in self.frame.lists:
            return  # a list for a tensor: the call is made for each element
        known = self.found.get(name)
        if known is None:
            self.found[name] = Found(wanted, span)
            return
        if known.wanted.kind.name == "prob" and wanted.kind.name == "label" and name not in self.fixed:
            self.found[name] = Found(wanted, known.span)  # it is labels: what wants a prob gets their one-hot rows
            return
        kind = meet(known.wanted.kind, wanted.kind)
        convertible = name in self.fixed or (known.wanted.kind.name == "label" and wanted.kind.name == "prob")
        if kind is None and not convertible:
            raise self._conflict(name, known, wanted, span)
        if kind is not None and _ranges_differ(known.wanted.kind, wanted.kind):
            if name not in self.fixed:
                raise self._range_conflict(name, known, wanted, span)
            kind = known.wanted.kind
        row, other = known.wanted.row, wanted.row
        if name in self.fixed and row == []:
            other = None  # a number for a tensor is the same along all of its axes
        if name in self.fixed and wanted.passes and other is not None:
            other = [Rest(), *other[1:]]
        if name in self.fixed and row is not None and other is not None:
            row, other = unshared(row, other)
        if kind is not None and row is not None and other is not None and not (name in self.fixed and wanted.weak):
            try:
                unify(row, other)
            except MismatchError:
                raise self._conflict(name, known, wanted, span) from None
        merged = replace(known.wanted, row=known.wanted.row if known.wanted.row is not None else wanted.row)
        if kind is not None and name not in self.fixed:
            named = known.wanted if kind == known.wanted.kind else wanted  # who says what kind it is
            merged = replace(merged, kind=kind, loss=named.loss, parameter=named.parameter)
        if merged.bound is None and wanted.kind.name == "label":
            merged = replace(merged, bound=wanted.bound)
        elif merged.bound is not None and wanted.bound is not None:
            try:
                unify_vars(merged.bound, wanted.bound)
            except MismatchError:
                raise self._classes_conflict(name, known, wanted, span) from None
        known.wanted = merged

    def _unify_list(self, name: str, wanted: Wanted, span: Span) -> None:
        """A list is as many inputs as it has elements."""
        if name in self.found:
            raise self._conflict(name, self.found[name], wanted, span)
        nest = self.frame.lists.setdefault(name, _element_names(name, wanted))
        self._unify_items(name, nest, wanted, span)

    def _unify_items(self, name: str, nest: tuple[Nest, ...], wanted: Wanted, span: Span) -> None:
        if len(nest) != len(wanted.items):
            raise error(
                "LL0302",
                f"the list '{name}' has {len(nest)} elements, and {wanted.loss} takes {len(wanted.items)} of them",
                span,
                expected=f"{len(nest)} elements",
                found=f"{len(wanted.items)}, as {wanted.loss} takes '{wanted.parameter}'",
                hint=f"bind another list: {wanted.loss}({wanted.parameter}=other_{name})",
            )
        for item, inner in zip(nest, wanted.items, strict=True):
            if isinstance(item, str) and not inner.items:
                self._unify(item, inner, span)
            elif not isinstance(item, str) and inner.items:
                self._unify_items(name, item, inner, span)
            else:
                raise error(
                    "LL0302",
                    f"'{name}' is a list of {'lists' if inner.items else 'tensors'} to {wanted.loss}",
                    span,
                    expected=f"a list of {'tensors' if inner.items else 'lists'}, as '{name}' is elsewhere",
                    found=f"'{wanted.parameter}' of {wanted.loss}",
                    hint=f"bind another list: {wanted.loss}({wanted.parameter}=other_{name})",
                )

    def _conflict(self, name: str, known: Found, wanted: Wanted, span: Span) -> LosslangError:
        return error(
            "LL0303",
            f"'{name}' cannot be both {known.wanted.text()} and {wanted.text()}",
            span,
            expected=f"{known.wanted.text()}, {'as it is declared' if name in self.fixed else known.wanted.taken()}",
            found=f"{wanted.text()}, {wanted.taken()}",
            hint=f"bind another tensor: {wanted.given(f'other_{name}')}",
            labels=[Label(known.span, "first wanted here")],
        )

    def _classes_conflict(self, name: str, known: Found, wanted: Wanted, span: Span) -> LosslangError:
        assert known.wanted.bound is not None and wanted.bound is not None
        ours, theirs = find(known.wanted.bound), find(wanted.bound)
        return error(
            "LL0303",
            f"'{name}' cannot hold labels of {ours.size} classes and of {theirs.size}",
            span,
            expected=f"labels below {ours.size}, as {known.wanted.loss} takes '{known.wanted.parameter}'",
            found=f"labels below {theirs.size}, as {wanted.loss} takes '{wanted.parameter}'",
            hint=f"bind other labels: {wanted.loss}({wanted.parameter}=other_{name})",
            labels=[Label(known.span, "first wanted here")],
        )

    def _range_conflict(self, name: str, known: Found, wanted: Wanted, span: Span) -> LosslangError:
        ours, theirs = _range(known.wanted.kind), _range(wanted.kind)
        return error(
            "LL0303",
            f"{known.wanted.loss} takes '{name}' in {ours}, {wanted.loss} in {theirs}, and nothing says which it is",
            span,
            expected="a declared range: it is converted, never guessed",
            hint=f"declare it: objective main({name}: image[b, c=3, h, w] in {ours}): ...",
            labels=[Label(known.span, "first wanted here")],
        )

    # --------------------------------------------------------------------------------- result
    def _size_boxes(self) -> None:
        """A box has four coordinates, unless its type says six."""
        for found in self.found.values():
            row = expanded(found.wanted.row or []) if found.wanted.kind.name == "box" else []
            if row and isinstance(row[-1], Var) and row[-1].size is None:
                row[-1].size = 4

    def resolve(self, unused: Collection[str] = ()) -> dict[str, ir.Input]:
        """The inputs with their axes fixed, in the order in which the text meets them, unused ones last."""
        made: dict[Var | Rest, Axis] = {}
        names = Names()
        dims: dict[str, Axes] = {}
        self._size_boxes()
        for name in sorted(self.found, key=lambda name: name in unused):
            row = self.found[name].wanted.row
            dims[name] = tuple(_axis(element, made, names) for element in expanded(row or []))
        # a label's class axis may be that of a later input, so bounds come when all axes are named
        inputs = {name: _input(name, self.found[name].wanted, axes, made, names) for name, axes in dims.items()}
        self.taken = {
            name: resolved(name, model, set(made), lambda element: _axis(element, made, names))
            for name, model in self.models.items()
        }
        self.made = {axis: element for element, axis in made.items()}
        own = {id(find(one)) if isinstance(one, Var) else id(one) for one in self.kept}
        mine = {axis: element for axis, element in self.made.items() if id(element) in own}
        self.frame.local = {axis: _written(element) for axis, element in mine.items()}
        return inputs

    def fix(self, extents: Mapping[Axis, int]) -> None:
        """Give axes of the latest result their extents."""
        for axis, size in extents.items():
            element = self.made[axis]
            assert isinstance(element, Var)
            element.size = size


_MAPS = {"softmax": "logit", "log_softmax": "logit", "sigmoid": "logit", "unit": "embed", "stop": "real"}

_PLACES = ("pick", "size", "index")
"""What has other axes than its argument."""


def _tensor_and_model(name: str, model: ModelWanted, tensor: Span, span: Span) -> LosslangError:
    return error(
        "LL0303",
        f"'{name}' is a tensor in one place and a model in another",
        span,
        expected="one thing for each name",
        found=f"{model.text()}, as {model.loss} takes '{model.parameter}'",
        hint=f"bind another model: {model.loss}({model.parameter}=net)",
        labels=[Label(tensor, "a tensor here")],
    )


def is_input(parameter: ast.Parameter) -> bool:
    """Whether the caller passes a parameter of an objective: a tensor, or a number without a default."""
    return sort_of(parameter) == "tensor" or (sort_of(parameter) == "number" and parameter.default is None)


def _positions(node: ast.Index) -> list[ast.Expression]:
    items = [item.value if isinstance(item, ast.NamedIndex) else item for item in node.items]
    return [item for item in items if not isinstance(item, ast.Rest)]


FOREIGN = {"True": "true", "False": "false", "None": "none", "null": "none", "nan": "none", "NaN": "none"}
"""Words of other languages, which would pass for names of tensors, and ours."""

FAMILIES = (
    "vgg",
    "alex",
    "squeeze",
    "resnet",
    "inception",
    "densenet",
    "efficientnet",
    "convnext",
    "vit",
    "dino",
)
"""How the names of networks begin."""


def _foreign(name: ast.Name) -> LosslangError:
    ours = FOREIGN[name.name]
    return error(
        "LL0203",
        f"there is no '{name.name}' here",
        name.span,
        expected="true, false, none, inf or a number",
        found=name.name,
        hint=f"did you mean '{ours}'?",
        fix=() if name.name.lower() == "nan" else [Edit(name.span, ours)],
    )


def _elements(
    definition: ast.Definition, types: dict[str, Wanted], variables: dict[str, Var], rests: dict[str, Rest]
) -> Row | None:
    """The axes of a mask or weight that is a tensor of its own: those of the rows, else what all arguments share."""
    if definition.result is not None:
        return row_of(definition.result.axes, variables, rests)
    rows = [types[p.name].row or [] for p in definition.parameters if p.name in types and p.default is None]
    shared = [element for element in rows[0] if all(element in row for row in rows)] if rows else []
    first = next((element for element in shared if isinstance(element, Var)), None)
    return None if first is None else [first]


def children(node: ast.Expression) -> list[ast.Expression]:
    """The direct subexpressions that may hold inputs."""
    match node:
        case ast.Unary():
            return [node.operand]
        case ast.Sum():
            return [term for _, term in node.terms]
        case ast.Binary():
            return [node.left, node.right]
        case ast.Compare():
            return list(node.operands)
        case ast.Conditional():
            return [node.then, node.condition, node.otherwise]
        case ast.ListOf():
            return [item for item in node.items if not isinstance(item, ast.Rest)]
        case ast.Pipe() | ast.Labelled():
            return [node.value]
        case _:
            return []


def _input(name: str, wanted: Wanted, dims: tuple[Axis, ...], made: dict[Var | Rest, Axis], names: Names) -> ir.Input:
    bound = _axis(find(wanted.bound), made, names) if wanted.bound is not None else None
    axes = tuple(sorted(dims, key=lambda axis: axis.key))
    return ir.intern(ir.Input, (), axes, wanted.kind.dtype, name, wanted.kind, dims, bound)


def _axis(element: Var | Rest, made: dict[Var | Rest, Axis], names: Names) -> Axis:
    if element not in made:
        name = names.unique(element.name)
        size = None if isinstance(element, Rest) else element.size
        made[element] = Axis(name, size, rest=isinstance(element, Rest), index=len(made))
    return made[element]


def _written(element: Var | Rest) -> str:
    """What the text calls an axis."""
    return element.name if isinstance(element, Var) else "..." if element.name == "rest" else f"...{element.name}"


def _element_names(name: str, wanted: Wanted) -> tuple[Nest, ...]:
    """The names of the inputs that the elements of a list are: ``fake__0``."""
    names = (f"{name}__{number}" for number in range(len(wanted.items)))
    return tuple(_element_names(n, item) if item.items else n for n, item in zip(names, wanted.items, strict=True))


def _list_axes(declared: ast.Type | None) -> tuple[str, ...]:
    groups = declared.groups[:-1] if isinstance(declared, ast.TensorType) else ()
    return tuple(group[0].name or "" for group in groups)


def _list_axis(declared: ast.Type | None) -> str:
    return ", ".join(_list_axes(declared))


def _outside(parameters: Sequence[ast.Parameter]) -> set[str]:
    """The axes that a header also names outside of lists."""
    types = [p.type for p in parameters if isinstance(p.type, ast.TensorType) and len(p.type.groups) == 1]
    return {axis.name for declared in types for axis in declared.groups[0] if axis.name is not None}


def _sizes(parameters: Sequence[ast.Parameter], known: Mapping[str, Var]) -> dict[str, int]:
    """The lengths of lists that types say: ``real[l=3][b, ...]``."""
    groups = [g for p in parameters if isinstance(p.type, ast.TensorType) for g in p.type.groups[:-1]]
    found = {g[0].name: g[0].size for g in groups if g[0].name is not None and g[0].size is not None}
    return {**{name: variable.size for name, variable in known.items() if variable.size is not None}, **found}


def _no_length(name: str, axis: str, span: Span, loss: str) -> LosslangError:
    return error(
        "LL0306",
        f"nothing says how many elements the list '{name}' has",
        span,
        expected=f"the extent of '{axis}'",
        hint=f"say it at the call: {loss}({axis.split(',')[0]}=3)"
        if loss != "objective"
        else f"say it in the type: {name}: real[{axis.split(',')[0]}=3][b, ...]",
    )


def _range(kind: Kind) -> str:
    return "any range" if kind.range is None else f"{kind.range[0]:g}..{kind.range[1]:g}"


def _ranges_differ(a: Kind, b: Kind) -> bool:
    return a.range is not None and b.range is not None and a.range != b.range
