"""The shape of an objective: which parts of its text are terms, their names and weights, and what is piped where."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from losslang.diagnostics import Label, LosslangError, Problems, error, renamed
from losslang.ir.netspec import ALIASES, TAPS
from losslang.ir.nodes import Nest
from losslang.ir.printer import RESERVED
from losslang.sema.elsewhere import meant
from losslang.sema.evaluate import CLOCKS, CONSTANTS, is_builtin
from losslang.sema.limits import MAX_EXPANSIONS, MAX_TERMS, too_large
from losslang.sema.losses import applied, definition_of, is_open, map_operands, parts
from losslang.sema.modules import Environment
from losslang.sema.naming import Names
from losslang.sema.resolve import Sort, sort_of
from losslang.sema.values import Static, Value
from losslang.source import Span
from losslang.syntax import ast
from losslang.types import Axis


@dataclass
class Frame:
    """The names at the level of an objective: its own scalars and bindings, then definitions; the rest are inputs."""

    environment: Environment
    values: dict[str, Value] = field(default_factory=dict[str, Value])
    bindings: dict[str, ast.Expression] = field(default_factory=dict[str, ast.Expression])
    declared: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()
    """The models that the header declares."""
    axes: frozenset[str] = frozenset()
    """Axes that the header or the left of a binding names: index variables, as in ``mask=c != 0``."""
    marks: bool = False
    """Whether values are marked: something is differentiated by one of them."""
    lists: dict[str, tuple[Nest, ...]] = field(default_factory=dict[str, "tuple[Nest, ...]"])
    """The inputs that are lists, and the inputs that their elements are."""
    list_axes: dict[str, tuple[str, ...]] = field(default_factory=dict[str, "tuple[str, ...]"])
    """What the list axes of these inputs are called, where the header declares them."""
    local: dict[Axis, str] = field(default_factory=dict[Axis, str])
    """What axes that belong to one element of a list are called."""
    formulas: set[str] = field(default_factory=set[str])
    """Bindings that call no loss: each is a value of its own, and is not taken apart."""

    shaped: set[str] = field(default_factory=set[str])
    """Bindings with axes or a filter on the left: values as they stand there, not terms or tensors of another name."""

    def bind(self, name: str, value: ast.Expression, shaped: bool = False) -> None:
        """Add a binding."""
        if shaped:
            self.shaped.add(name)
        known = [n.name for n in names(value)]
        if not any((n in self.bindings and n not in self.formulas) or self._defined(n) for n in known):
            self.formulas.add(name)
        self.bindings[name] = value

    def _defined(self, name: str) -> bool:
        """Whether a name is a loss, or a fn that may be one: not a schedule, which is a number."""
        item = None if self._taken(name) else self.environment.find(name)
        return item is not None and not (isinstance(item, ast.Definition) and is_schedule(item))

    def definition(self, callee: ast.Expression) -> ast.Definition | None:
        """The loss or fn that a callee names; for an alias, one with the parameters of its parts."""
        if isinstance(callee, ast.Index):
            callee = callee.base
        if not isinstance(callee, ast.Name) or self._taken(callee.name):
            return None
        return definition_of(callee, self.environment)

    def alias(self, name: str) -> ast.Alias | None:
        """The alias of a name."""
        item = None if self._taken(name) else self.environment.find(name)
        return item if isinstance(item, ast.Alias) else None

    def body(self, alias: ast.Alias, span: Span) -> ast.Expression:
        """What an alias stands for, at the place where it is used."""
        value = self.environment.home(alias).qualified(alias.value)
        return ast.rewritten(value, lambda _: None, span) if alias.span.source.library else value

    def _taken(self, name: str) -> bool:
        return name in self.values or name in self.bindings or name in self.declared or name in self.models

    def is_input(self, name: str) -> bool:
        """Whether a name means a tensor of the caller."""
        if name in self.declared:
            return True
        known = (
            self._taken(name)
            or "." in name
            or name in self.axes
            or name in CONSTANTS
            or name in CLOCKS
            or name in TAPS
            or name in ALIASES
        )
        known = known or name == "auto"
        return not known and self.environment.find(name) is None

    def sort(self, expression: ast.Expression) -> Sort:
        """What kind of argument an expression is, before anything is evaluated."""
        match expression:
            case _ if model_name(expression) in self.models:
                return "model"
            case ast.Name(name=name) if name not in self.declared and self.is_input(name):
                return "open"
            case ast.String():
                return "string"
            case ast.Number():
                return "number"
            case ast.ListOf(items=items):
                return "axes" if any(isinstance(item, ast.Rest) for item in items) else "tensor"
            case ast.Name(name=name) if name in TAPS or name in ALIASES:
                return "network"
            case ast.Call(callee=ast.Name(name=name)) if name in TAPS or name in ALIASES:
                return "network"
            case ast.Name(name=name) if isinstance(found := self.values.get(name), Static) and isinstance(
                found.value, str
            ):
                return "choice"
            case ast.Name(name=name) if name in (*CONSTANTS, *CLOCKS, "auto") or name in self.values:
                return "number"
            case ast.Call(callee=ast.Name(name="auto")):
                return "number"
            case ast.Call(callee=callee) if model_name(callee) in self.models:
                return "tensor"
            case ast.Name() | ast.Call() if self.definition(ast.callee_of(expression)) is not None:
                return "tensor" if self._has_input(expression) else "function"
            case _ if self._has_input(expression):
                return "tensor"
            case _:
                return "function" if any(map(is_open, parts(expression, self.environment))) else "number"

    def _has_input(self, expression: ast.Expression) -> bool:
        """Whether a tensor of the batch has a part in an expression, also through bindings."""
        waiting, seen = [expression], set[str]()
        while waiting:
            for name in names(waiting.pop(), callees=False):
                if self.is_input(name.name):
                    return True
                if name.name in self.bindings and name.name not in seen:
                    seen.add(name.name)
                    waiting.append(self.bindings[name.name])
        return False

    def has_loss(self, expression: ast.Expression) -> bool:
        """Whether a loss, fn, alias or named term stands in an expression."""
        for name in names(expression):
            if name.name in self.bindings:
                return True
            if self._defined(name.name):
                return True
        return False


def _main_factor(expression: ast.Expression) -> ast.Expression:
    """The factor of a product that is no number."""
    match expression:
        case ast.Binary(op="*" | "/", left=left, right=right):
            return _main_factor(right if isinstance(left, ast.Number) else left)
        case ast.Unary(op="-") | ast.Labelled():
            return _main_factor(expression.operand if isinstance(expression, ast.Unary) else expression.value)
        case _:
            return expression


def _operands(expression: ast.Expression) -> Iterator[ast.Expression]:
    """The factors and summands of a term, in order."""
    match expression:
        case ast.Binary(op="*" | "/", left=left, right=right):
            yield from _operands(left)
            yield from _operands(right)
        case ast.Sum(terms=terms):
            for _, term in terms:
                yield from _operands(term)
        case ast.Unary(op="-", operand=inner) | ast.Labelled(value=inner):
            yield from _operands(inner)
        case _:
            yield expression


def _called(part: ast.Expression) -> str:
    """The name of what is called, or of a bare name; empty for anything else."""
    callee = ast.callee_of(part)
    return callee.name if isinstance(callee, ast.Name) else ""


def is_schedule(definition: ast.Definition) -> bool:
    """Whether a fn takes numbers only, such as ``ramp(0, 1, begin=1000, end=5000)``."""
    return definition.keyword == "fn" and all(sort_of(p) in ("number", "choice") for p in definition.parameters)


def model_name(expression: ast.Expression) -> str | None:
    """The name of the model that an expression would be: ``D``, ``stop(D)``, ``at(D, w)``."""
    match expression:
        case ast.Name(name=name):
            return name
        case ast.Call(callee=ast.Name(name="stop" | "at"), arguments=(ast.Argument(value=inner, name=None), *_)):
            return model_name(inner)
        case _:
            return None


def is_auto(weight: ast.Expression) -> bool:
    """Whether a factor of a weight is the word ``auto``."""
    return isinstance(weight, ast.Name) and weight.name == "auto"


def names(expression: ast.Expression, *, callees: bool = True) -> Iterator[ast.Name]:
    """Every name in an expression, those of what is called included or not; iterative."""
    stack: list[object] = [expression]
    while stack:
        node = stack.pop()
        match node:
            case ast.Name():
                yield node
            case ast.Call(callee=ast.Index(base=base)) if bound := ast.bound_names(node):
                inside = (name for argument in node.arguments for name in names(argument.value))
                yield from (name for name in inside if name.name not in bound)
                stack += [base, *ast.bound_values(node)]
            case ast.Call(callee=ast.Index(base=base, filter=condition)):
                stack += [condition, *(argument.value for argument in node.arguments)]
                stack += [base] if callees else []
            case ast.Call():
                stack += [argument.value for argument in node.arguments]
                stack += [node.callee] if callees or not isinstance(node.callee, ast.Name) else []
            case ast.Index(base=ast.Name(name="loss") as base):
                yield base
            case ast.Index():
                stack += [node.base, *node.items, node.filter]
            case ast.NamedIndex() | ast.Labelled() | ast.Pipe():
                stack.append(node.value)
            case ast.Unary():
                stack.append(node.operand)
            case ast.Sum():
                stack += [term for _, term in node.terms]
            case ast.Binary():
                stack += [node.left, node.right]
            case ast.Compare():
                stack += node.operands
            case ast.Conditional():
                stack += [node.then, node.condition, node.otherwise]
            case ast.ListOf():
                stack += node.items
            case ast.Range():
                stack += [node.low, node.high]
            case _:
                pass


@dataclass(frozen=True)
class Part:
    """A term as written: its name, the factors of its weight (with a sign), its loss."""

    name: str
    weights: tuple[ast.Expression, ...]
    body: ast.Expression
    span: Span


@dataclass(frozen=True)
class Piped:
    """A pass over some terms, by their names."""

    pipe: ast.Pipe
    terms: tuple[str, ...]


@dataclass
class Plan:
    """The terms and passes of an objective, in order."""

    frame: Frame
    parts: list[Part] = field(default_factory=list[Part])
    piped: list[Piped] = field(default_factory=list[Piped])
    direct: set[int] = field(default_factory=set[int])
    """The mentions (by `id`) of bindings that are terms by themselves."""
    labels: dict[str, Span] = field(default_factory=dict[str, Span])
    """The names that ``as`` gives, and where."""
    named: Names = field(default_factory=Names)
    """The names of the terms so far."""
    problems: Problems = field(default_factory=Problems)
    """What is wrong with terms that are no part of the plan."""

    def add(
        self, expression: ast.Expression, weights: tuple[ast.Expression, ...] = (), name: str | None = None
    ) -> None:
        """Take an expression apart into terms."""
        match expression:
            case ast.Pipe():
                before = len(self.parts)
                self.add(expression.value, weights, name)
                self.piped.append(Piped(expression, tuple(part.name for part in self.parts[before:])))
            case ast.Labelled():
                self._check_name(expression)
                self._single(expression.value, weights, expression.name, expression.span)
            case ast.Sum() if name is None:
                self._sum(expression, weights)
            case _:
                self._single(expression, weights, name, expression.span)

    def _sum(self, expression: ast.Sum, weights: tuple[ast.Expression, ...]) -> None:
        """Constants belong to the loss that follows: ``1 - ssim`` is one term."""
        pending: list[tuple[str, ast.Expression]] = []
        for sign, term in expression.terms:
            if not self.frame.has_loss(term):
                if self._misspelt(term):
                    self.problems.attempt(partial(self._refuse, term))
                    pending = []
                else:
                    pending.append((sign, term))
                continue
            self.problems.attempt(partial(self._next, pending, sign, term, weights))
            pending = []
        for _, term in pending[-1:]:
            self.problems.attempt(partial(self._refuse, term))

    def _next(
        self,
        pending: Sequence[tuple[str, ast.Expression]],
        sign: str,
        term: ast.Expression,
        weights: tuple[ast.Expression, ...],
    ) -> None:
        if pending:
            whole = ast.Sum((*pending, (sign, term)), span=pending[0][1].span.to(term.span))
            self._single(whole, weights, None, whole.span)
        elif sign == "-":
            self.add(term, (*weights, ast.Number(-1, span=term.span)))
        else:
            self.add(term, weights)

    def _refuse(self, term: ast.Expression) -> None:
        raise self._no_loss(self._culprit(term))

    def _misspelt(self, term: ast.Expression) -> bool:
        """Whether what looks like a constant beside a loss is a loss whose name is wrong: auto weighs losses only."""
        parts = list(_operands(term))
        return any(is_auto(part) or self._is_unknown(part) and self._near(part) for part in parts)

    def _culprit(self, term: ast.Expression) -> ast.Expression:
        """What should have been the loss of a term: a name near to that of one, any that means nothing, or the term."""
        unknown = [part for part in _operands(term) if self._is_unknown(part)]
        return next((part for part in unknown if self._near(part)), unknown[0] if unknown else _main_factor(term))

    def _is_unknown(self, part: ast.Expression) -> bool:
        name = _called(part)
        return bool(name) and name not in {*RESERVED, *self.frame.declared} and self.frame.is_input(name)

    def _near(self, part: ast.Expression) -> bool:
        return meant(_called(part), self.frame.environment.names()) is not None

    def _single(
        self, expression: ast.Expression, weights: tuple[ast.Expression, ...], name: str | None, span: Span
    ) -> None:
        factors, body = self._factors(expression)
        weights = (*weights, *factors)
        if isinstance(body, ast.Labelled):
            self._check_name(body)
            return self._single(body.value, weights, name or body.name, span)
        named = body.name if isinstance(body, ast.Name) else ""
        inline = self.frame.bindings.keys() - self.frame.formulas - self.frame.shaped
        if isinstance(body, ast.Name) and named in inline:
            self.direct.add(id(body))
            return self._single(self.frame.bindings[body.name], weights, name or body.name, span)
        if isinstance(body, ast.Pipe) or (isinstance(body, ast.Sum) and name is None and self._distributes(body)):
            return self.add(body, weights)
        if not self.frame.has_loss(body):
            raise self._no_loss(self._culprit(body))
        self._check_loss(body)
        if len(self.parts) >= MAX_TERMS:
            raise error(
                "LL0404",
                f"an objective has at most {MAX_TERMS} terms",
                span,
                expected=f"{MAX_TERMS} or fewer",
                found=f"a term number {MAX_TERMS + 1}",
                hint="terms of one kind belong in one loss over an axis: sum[k](...)",
            )
        self.parts.append(Part(self.named.unique(name or self._name(body)), weights, body, span))
        return None

    def _check_loss(self, body: ast.Expression) -> None:
        """A balancer stands after the terms; an objective is none of its own terms."""
        definition = self.frame.definition(ast.callee_of(body))
        if definition is not None and definition.keyword not in ("loss", "fn"):
            balancer = definition.keyword == "balancer"
            raise error(
                "LL0206" if balancer else "LL0201",
                f"'{definition.name}' is {'a balancer' if balancer else 'an objective'}, no loss",
                body.span,
                expected="a loss, such as 0.5*l1 + focal(gamma=2)",
                found=f"{definition.keyword} {definition.name}",
                hint=f"it stands after the terms: l1 + mse | {definition.name}" if balancer else "write its terms",
            )

    def _check_name(self, labelled: ast.Labelled) -> None:
        """A name that is written stands for one term; names that follow from a loss are numbered."""
        known = self.labels.get(labelled.name)
        if known is None and labelled.name in self.named.taken:
            known = next(part.span for part in self.parts if part.name == labelled.name)
        if known is not None:
            raise error(
                "LL0205",
                f"two terms are named '{labelled.name}'",
                labelled.span,
                expected="a name of its own for each term",
                labels=[Label(known, "first here")],
                hint=f"call it {labelled.name}_2",
            )
        self.labels[labelled.name] = labelled.span

    def _distributes(self, body: ast.Sum) -> bool:
        return all(self.frame.has_loss(term) for _, term in body.terms)

    def _factors(self, expression: ast.Expression) -> tuple[tuple[ast.Expression, ...], ast.Expression]:
        """The weight's factors and the loss in ``2*auto*loss/3``."""
        match expression:
            case ast.Binary(op="*", left=left, right=right):
                for weight, body in ((left, right), (right, left)):
                    if self.frame.has_loss(body) and not self.frame.has_loss(weight):
                        inner, loss = self._factors(body)
                        return (*product(weight), *inner), loss
            case ast.Binary(op="/", left=left, right=right) if not self.frame.has_loss(right):
                inner, loss = self._factors(left)
                one = ast.Number(1, span=right.span)
                return (ast.Binary("/", one, right, span=right.span), *inner), loss
            case ast.Unary(op="-"):
                inner, loss = self._factors(expression.operand)
                return (ast.Number(-1, span=expression.span), *inner), loss
            case _:
                pass
        return (), expression

    def _name(self, body: ast.Expression) -> str:
        """The first loss in the body names the term."""
        found = {id(name) for name in names(body) if self.frame.has_loss(name)}
        first = next((node.name for node in ast.walk(body) if isinstance(node, ast.Name) and id(node) in found), "term")
        return re.split("[.:]", first)[-1]

    def _no_loss(self, body: ast.Expression) -> LosslangError:
        """Why an expression is no term."""
        callee = ast.callee_of(body)
        callee = callee.base if isinstance(callee, ast.Index) else callee
        example = "a loss, such as 0.5*l1 + focal(gamma=2)"
        if isinstance(body, ast.String):
            hint = "leave out the quotes; a file is compiled from a Path"
            return error("LL0402", "a weight or a loss is no string", body.span, expected=example, hint=hint)
        if not isinstance(callee, ast.Name) or callee.name in CONSTANTS or callee.name == "auto":
            hint = "a constant adds nothing to a gradient; remove it"
            return error("LL0401", "this is no loss", body.span, expected=example, hint=hint)
        name = callee.name
        if name in TAPS or name in ALIASES:
            hint = f"a loss takes it: lpips(net={name})"
            return error("LL0201", f"'{name}' is a network, no loss", callee.span, expected=example, hint=hint)
        item = self.frame.environment.find(name)
        if isinstance(item, ast.Definition) and is_schedule(item):
            hint = f"it weighs a loss: {body.span.text}*l1"
            return error("LL0201", f"'{name}' gives a number, no loss", body.span, expected=example, hint=hint)
        if name in self.frame.declared:
            hint = f"a loss compares it with something: l1({name}, target)"
            return error("LL0201", f"'{name}' is an input, no loss", body.span, expected=example, hint=hint)
        if isinstance(body, ast.Call) and is_builtin(name):
            hint = f"formulas stand in a loss of your own: loss mine(x: real[b, c]) -> [b]: {name}[c](x)"
            what = f"'{name}' is a function of the language, no loss"
            return error("LL0201", what, callee.span, expected=example, hint=hint)
        return error(
            "LL0201",
            f"there is no loss '{name}'",
            callee.span,
            expected=example,
            hint=self.frame.environment.advice(name, self.frame.environment.names())
            or "losslang list shows all of them",
            fix=renamed(callee.span, name, self.frame.environment.names()),
        )


def product(weight: ast.Expression) -> tuple[ast.Expression, ...]:
    """The factors of a product, so that ``auto`` among them is seen."""
    if isinstance(weight, ast.Binary) and weight.op == "*":
        return (*product(weight.left), *product(weight.right))
    return (weight,)


def expand_aliases(expression: ast.Expression, frame: Frame) -> ast.Expression:
    """The expression with every alias that is a sum of losses taken apart: its losses are terms.

    Arguments given to the alias go to the losses that it is built on. Any other alias is one loss under its own name.

    Raises:
        LosslangError: LL0406 where aliases of aliases stand for more than can be written out.
    """
    left = MAX_EXPANSIONS

    def expand(node: ast.Expression) -> ast.Expression:
        nonlocal left
        match node:
            case ast.Name(name=name) | ast.Call(callee=ast.Name(name=name)) if (alias := frame.alias(name)) is not None:
                if not _is_apart(frame.body(alias, node.span), frame):
                    return node
                left -= 1
                if left < 0:
                    raise too_large(expression.span, f"aliases are written out more than {MAX_EXPANSIONS} times")
                alias = replace(alias, value=expand(frame.body(alias, node.span)))
                given = node.arguments if isinstance(node, ast.Call) else ()
                return applied(alias, given, frame.environment, frame.sort)
            case ast.Call() if frame.definition(node.callee) is not None:
                return node
            case _:
                return map_operands(node, expand)

    return expand(expression)


def _is_apart(value: ast.Expression, frame: Frame) -> bool:
    """Whether an alias stands for several terms, or for a number."""
    match value:
        case ast.Pipe() | ast.Labelled():
            return True
        case ast.Sum(terms=terms):
            return sum(bool(parts(term, frame.environment)) for _, term in terms) != 1
        case _:
            return not parts(value, frame.environment)
