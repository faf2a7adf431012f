"""Objectives from Python, without texts: what is built is the text that one would write.

    losslang.term("focal", gamma=2) * 0.5 + losslang.term("l1") | losslang.balancer("uncertainty")

Messages show that text. A string in place of a value is an expression: the name of an input or a choice, ``auto``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TypeAlias

from losslang.diagnostics import LosslangError, error
from losslang.sema.settings import text_of
from losslang.source import Source, Span
from losslang.syntax import ast, parser, printer

Operand: TypeAlias = "Term | float | int | str"

NAME = re.compile(r"(?!(?:as|if|else|and|or|not|in)$)[^\W\d]\w*")
QUALIFIED = re.compile(rf"(?:[^\W\d]\w*\.)?{NAME.pattern}")


@dataclass(frozen=True)
class Balancer:
    """A balancer or pass with its options: what stands behind ``|``."""

    name: str
    arguments: tuple[ast.Argument, ...] = ()

    def __str__(self) -> str:
        call = ast.Call(ast.Name(self.name), self.arguments)
        return printer.print_expression(call if self.arguments else call.callee)


@dataclass(frozen=True)
class Term:
    """A loss, or what is made of losses: weighted, added, named, balanced. `losslang.compile` takes it."""

    tree: ast.Expression
    uses: tuple[str, ...] = ()
    """Modules, as `using` names them."""

    # ------------------------------------------------------------------------------------- arithmetic
    def __mul__(self, weight: Operand) -> Term:
        factor = _operand(weight, "a weight", "term * 0.5")
        product = (self.tree, factor) if isinstance(weight, Term) else (factor, self.tree)
        return self._with(ast.Binary("*", *product), weight)

    __rmul__ = __mul__

    def __truediv__(self, divisor: Operand) -> Term:
        return self._with(ast.Binary("/", self.tree, _operand(divisor, "a divisor", "term / 2")), divisor)

    def __add__(self, other: Operand) -> Term:
        return self._added("+", other)

    def __sub__(self, other: Operand) -> Term:
        return self._added("-", other)

    def __radd__(self, other: Operand) -> Term:
        if isinstance(other, int | float) and other == 0:
            return self  # where `sum(terms)` begins
        return self._added_to(other, "+")

    def __rsub__(self, other: Operand) -> Term:
        return self._added_to(other, "-")

    def __neg__(self) -> Term:
        return replace(self, tree=ast.Unary("-", self.tree))

    def __or__(self, balancer: Balancer) -> Term:
        if not isinstance(balancer, Balancer):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise _wrong("what stands behind | is a balancer", balancer, 'losslang.balancer("uncertainty")')
        return replace(self, tree=ast.Pipe(self.tree, balancer.name, balancer.arguments))

    # ------------------------------------------------------------------------------------- names
    def named(self, name: str) -> Term:
        """The same under a name: logs, state and overrides know it by that.

        Raises:
            LosslangError: LL0709 for what is no name.
        """
        if not isinstance(name, str) or not NAME.fullmatch(name):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise _wrong("this cannot name a term", name, 'a name: letters, digits and underscores: .named("cls")')
        if isinstance(self.tree, ast.Pipe):
            raise _wrong("what is balanced are several terms, which have names of their own", name, "one term")
        inner = self.tree.value if isinstance(self.tree, ast.Labelled) else self.tree
        return replace(self, tree=ast.Labelled(inner, name))

    def using(self, *modules: str) -> Term:
        """The same with modules in which its losses are found: ``.using("mine", "./other.loss as o")``."""
        for module in modules:
            if not isinstance(module, str) or "\n" in module:  # pyright: ignore[reportUnnecessaryIsInstance]
                raise _wrong("this is no module", module, '.using("mine")')
        return replace(self, uses=_joined(self.uses, modules))

    # ------------------------------------------------------------------------------------- texts
    def __str__(self) -> str:
        text = printer.print_expression(self.tree)
        if not self.uses:
            return text
        return "".join(f"use {module}\n" for module in self.uses) + f"\nobjective objective: {text}\n"

    def __repr__(self) -> str:
        return f"<losslang: {printer.print_expression(self.tree)}>"

    # ------------------------------------------------------------------------------------- parts
    def _added(self, sign: str, other: Operand) -> Term:
        before = self.tree.terms if isinstance(self.tree, ast.Sum) else (("+", self.tree),)
        return self._with(ast.Sum((*before, (sign, _operand(other, "a term", 'losslang.term("l1")')))), other)

    def _added_to(self, other: Operand, sign: str) -> Term:
        first = _operand(other, "a term", 'losslang.term("l1")')
        return self._with(ast.Sum((("+", first), (sign, self.tree))), other)

    def _with(self, tree: ast.Expression, other: Operand) -> Term:
        uses = _joined(self.uses, other.uses) if isinstance(other, Term) else self.uses
        return Term(tree, uses)


def term(loss: str, /, *inputs: object, **parameters: object) -> Term:
    """A loss with its parameters: ``term("focal", gamma=2)``, ``term("l1", "pred", "target")``.

    Args:
        loss: its name in the library, in the text of a module (``m.name``), or an alias.
        inputs: what it takes by its place: names of tensors, numbers, networks.
        parameters: what it takes by name, modifiers such as ``reduce="sum"`` included. A loss is a `Term`.

    Raises:
        LosslangError: LL0709 for a value that no text says, LL0101 for a string that is no expression.
    """
    if not isinstance(loss, str) or not QUALIFIED.fullmatch(loss):  # pyright: ignore[reportUnnecessaryIsInstance]
        hint = "a whole text is compiled as it is; a term is a name and its parameters: term('focal', gamma=2)"
        raise _wrong("this is no name of a loss", loss, "a name, such as focal", hint)
    arguments, uses = _arguments(loss, inputs, parameters)
    name = ast.Name(loss)
    return Term(ast.Call(name, arguments) if arguments else name, uses)


def balancer(name: str, /, **options: object) -> Balancer:
    """What stands behind ``|``: ``term("l1") + term("mse") | balancer("uncertainty")``.

    Raises:
        LosslangError: LL0709 for what is no name, and for a value that no text says.
    """
    if not isinstance(name, str) or not QUALIFIED.fullmatch(name):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise _wrong("this is no name of a balancer", name, 'a name, as in losslang.balancer("uncertainty")')
    return Balancer(name, _arguments(name, (), options)[0])


def _arguments(
    callee: str, inputs: tuple[object, ...], parameters: dict[str, object]
) -> tuple[tuple[ast.Argument, ...], tuple[str, ...]]:
    given = [(None, value) for value in inputs]
    every = [*given, *parameters.items()]
    values = [ast.Argument(_value(value, f"{callee}(", name), name) for name, value in every]
    uses = _joined(*(value.uses for _, value in every if isinstance(value, Term)))
    return tuple(values), uses


def _value(value: object, before: str, name: str | None) -> ast.Expression:
    """A Python value as an expression; a string is one already."""
    if isinstance(value, Term):
        return value.tree
    given: object = value
    text = None if given is None else text_of(given)
    if text is None:
        raise _wrong(
            f"'{name or before.rstrip('(')}' is given what no text says",
            value,
            "a number, true, false, none, a list of them, a term, or a text",
            "a tensor is an input of the objective: give its name",
        )
    lead = before if name is None else f"{before}{name}="
    try:
        return parser.parse_expression(Source("<python>", f"{lead}{text}"), len(lead))
    except LosslangError as problem:
        raise LosslangError(
            [replace(one, expected=one.expected or "an expression") for one in problem.diagnostics]
        ) from None


def _operand(value: object, what: str, example: str) -> ast.Expression:
    if isinstance(value, Term):
        return value.tree
    text = text_of(value)
    if text is None or (isinstance(value, str) and what == "a term"):
        hint = f'losslang.term("{value}")' if isinstance(value, str) and QUALIFIED.fullmatch(value) else None
        raise _wrong(f"this is no {what.removeprefix('a ')}", value, f"{what}, as in {example}", hint)
    return _value(value, "", None)


def _joined(*groups: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for group in groups for one in group))


def _wrong(message: str, value: object, expected: str, hint: str | None = None) -> LosslangError:
    shown = repr(value)
    source = Source("<python>", shown.split("\n")[0][:80])
    return error(
        "LL0709",
        message,
        Span(source, 0, len(source.text)),
        expected=expected,
        found=f"{source.text} ({type(value).__name__})",
        hint=hint or "losslang.term and losslang.balancer make what is added, weighted and piped",
    )
