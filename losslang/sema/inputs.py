"""Finds the inputs of an objective and unifies what its terms want of each: kind, axes, rank.

Every loss that a term calls contributes the types it declares; one name in two terms is one tensor. What is left
undetermined (``...``) stays a rest axis, fixed by the rank of the first batch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from losslang.diagnostics import Edit, Label, LosslangError, error, nearest, renamed
from losslang.ir import nodes as ir
from losslang.ir.netspec import ALIASES, TAPS
from losslang.sema.elementwise import FUNCTIONS
from losslang.sema.evaluate import is_builtin
from losslang.sema.kinds import kind_of, label_axis
from losslang.sema.limits import MAX_EXPANSIONS, too_large
from losslang.sema.losses import applied
from losslang.sema.model_types import ModelWanted, applied_type, instantiated, joined, resolved
from losslang.sema.naming import Names
from losslang.sema.resolve import bind, sort_of
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
                wanted = self._instantiate(parameter, parameter.type, self.vars, rests, "objective")
                if sort_of(parameter) == "number":
                    wanted = replace(wanted, row=[])
                self.found[parameter.name] = Found(wanted, parameter.span)
                self.fixed.add(parameter.name)
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
        callee = call.callee.base if isinstance(call.callee, ast.Index) else call.callee
        alias = self.frame.alias(callee.name) if isinstance(callee, ast.Name) else None
        if alias is not None:
            return self._alias(alias, call, wanted)
        if definition.keyword not in ("loss", "fn"):
            return None
        bound = bind(definition, call.arguments, self.frame.sort, modifiers=True)
        arguments = bound.values
        types, variables, rests, lead = self._signature(definition)
        self._check_network(definition, call, arguments)
        for parameter in definition.parameters:
            argument = arguments.get(parameter.name)
            if sort_of(parameter) == "number" and argument is not None and isinstance(parameter.type, ast.TensorType):
                kind = Kind(parameter.type.kind)
                self.collect(argument, Wanted(kind, [], None, definition.name, parameter.name))
            elif isinstance(parameter.type, ast.FunctionType) and sort_of(parameter) == "model":
                self._model_argument(parameter, parameter.type, argument, definition, variables, rests, call.span)
            elif sort_of(parameter) == "tensor":
                if argument is not None:
                    self.collect(argument, types.get(parameter.name))
                elif parameter.default is None and parameter.name in types:
                    self._unify(parameter.name, types[parameter.name], call.span)
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
        callee = call.callee.base if isinstance(call.callee, ast.Index) else call.callee
        name = callee.name if isinstance(callee, ast.Name) else ""
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
            if argument is not None:
                self.collect(argument, None)
            return
        if argument is not None and name in FUNCTIONS and name not in self.models:
            return
        place = span if argument is None else argument.span
        wanted = instantiated(declared, variables, rests, definition.name, parameter.name, place)
        if name in self.found:
            raise _tensor_and_model(name, wanted, self.found[name].span, place)
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

    def _signature(self, definition: ast.Definition) -> tuple[dict[str, Wanted], dict[str, Var], dict[str, Rest], Row]:
        """What each tensor of a definition has to be, its axes, and the axes in front of what a fn declares.

        A fn works along the axes that it declares; all others pass through, in ``unit(z)`` the rows of z.
        """
        variables: dict[str, Var] = {}
        rests: dict[str, Rest] = {}
        lead: Row = [Rest()] if definition.keyword == "fn" else []
        types = {
            parameter.name: self._instantiate(parameter, parameter.type, variables, rests, definition.name)
            for parameter in definition.parameters
            if isinstance(parameter.type, ast.TensorType) and sort_of(parameter) == "tensor"
        }
        rows = [wanted.row for wanted in types.values() if wanted.row]
        if any(isinstance(element, Rest) for row in rows for element in row):
            lead = []
        if lead:
            types = {n: replace(w, row=[*lead, *w.row], passes=True) if w.row else w for n, w in types.items()}
        return types, variables, rests, lead

    def _instantiate(
        self,
        parameter: ast.Parameter,
        declared: ast.TensorType,
        variables: dict[str, Var],
        rests: dict[str, Rest],
        loss: str,
    ) -> Wanted:
        row = row_of(declared.groups[-1], variables, rests) if declared.groups else None
        bound = label_axis(declared)
        variable = variables.setdefault(bound, Var(bound)) if bound is not None else None
        return Wanted(kind_of(declared), row, variable, loss, parameter.name)

    def _unify(self, name: str, wanted: Wanted, span: Span) -> None:
        if name in self.models:
            raise _tensor_and_model(name, self.models[name], span, self.models[name].span)
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


def _range(kind: Kind) -> str:
    return "any range" if kind.range is None else f"{kind.range[0]:g}..{kind.range[1]:g}"


def _ranges_differ(a: Kind, b: Kind) -> bool:
    return a.range is not None and b.range is not None and a.range != b.range
