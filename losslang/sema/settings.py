"""What a caller adds to a text: constants that its names stand for, and overrides of what its terms are made of.

Both are told from outside (Python, the command line, a config), and both point there when they are wrong.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, cast

from losslang.diagnostics import LosslangError, did_you_mean, error
from losslang.sema.resolve import MODIFIERS, axis_names, bind
from losslang.sema.terms import Frame, Part, Piped, Plan, expand_aliases, product
from losslang.source import Source, Span
from losslang.syntax import ast, parser
from losslang.syntax.printer import number

Scalar: TypeAlias = float | int | bool | str


@dataclass(frozen=True)
class Constant:
    """A number, truth value or choice that a name of the objective stands for."""

    name: str
    value: Scalar
    span: Span


@dataclass(frozen=True)
class Override:
    """``terms.cls.gamma=3``: the steps that lead to a part of the objective, where each stands, and the new value."""

    steps: tuple[tuple[str, Span], ...]
    value: ast.Expression

    @property
    def path(self) -> str:
        """The steps as written."""
        return ".".join(name for name, _ in self.steps)

    @property
    def span(self) -> Span:
        """Where it is written."""
        return self.steps[0][1].to(self.value.span)


def text_of(value: object) -> str | None:
    """A Python value as losslang writes it; a string is a text already. None where nothing says how.

    >>> text_of([1, 0.5, None, True])
    '[1, 0.5, none, true]'
    """
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case numbers.Real():
            return _number_text(value)
        case list() | tuple():
            items = [text_of(item) for item in cast("Sequence[object]", value)]
            return None if None in items else f"[{', '.join(map(str, items))}]"
        case _:
            return None


def _number_text(value: numbers.Real) -> str | None:
    known = number_of(value)
    if known is None or math.isnan(known):
        return None
    return number(known) if math.isfinite(known) else "inf" if known > 0 else "-inf"


def number_of(value: object) -> int | float | None:
    """A number of Python or numpy as a plain one; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def constants_of(given: Mapping[str, object], origin: str) -> tuple[Constant, ...]:
    """Constants from Python values.

    Raises:
        LosslangError: LL0709 for a name or a value that cannot be a constant.
    """
    found: list[Constant] = []
    for name, value in given.items():
        text = text_of(value)
        source = Source(origin, f"{name}={repr(value)[:60] if text is None else text[:60]}")
        found.append(constant(name, value, Span(source, 0, len(source.text))))
    return tuple(found)


def merged(first: Sequence[Constant], second: Sequence[Constant]) -> tuple[Constant, ...]:
    """Constants of which the later ones count."""
    return tuple({constant.name: constant for constant in (*first, *second)}.values())


def constant(name: str, value: object, span: Span) -> Constant:
    """A constant that is given at a place.

    Raises:
        LosslangError: LL0709 for a name or a value that cannot be a constant.
    """
    if not name.isidentifier():
        raise error(
            "LL0709",
            f"'{name}' cannot name a constant",
            span,
            expected="a name, such as beta",
            found=name,
            hint="letters, digits and underscores; a parameter of a term is set by an override: terms.focal.gamma=3",
        )
    if isinstance(value, str) and value.isidentifier():
        return Constant(name, value, span)
    known = value if isinstance(value, bool) else number_of(value)
    if known is None or math.isnan(known):
        raise error(
            "LL0709",
            f"the constant '{name}' is no number, truth value or choice",
            span,
            expected="a number, true or false, or a word such as mean",
            found=f"{repr(value)[:60]} ({type(value).__name__})",
            hint="a tensor is an input of the objective; what is computed stands in the text",
        )
    return Constant(name, known, span)


def constant_of(text: str, origin: str) -> Constant:
    """A constant from a word of the command line: ``beta=0.3``, ``flag=true``, ``kind=l2``."""
    name, _, value = text.partition("=")
    known: dict[str, object] = {"true": True, "false": False, "inf": math.inf, "-inf": -math.inf}
    try:
        read: object = known[value] if value in known else int(value)
    except ValueError:
        try:
            read = float(value)
        except ValueError:
            read = value
    (found,) = constants_of({name: read}, origin)
    return found


def overrides_of(given: Mapping[str, object], origin: str) -> tuple[Override, ...]:
    """Overrides from paths and Python values; a string is an expression.

    Raises:
        LosslangError: LL0705 for a path of the wrong form, LL0709 for a value that no text says, syntax errors.
    """
    found: list[Override] = []
    for path, value in given.items():
        text = text_of(value)
        if text is None:
            source = Source(origin, f"{path}={repr(value)[:60]}")
            raise error(
                "LL0709",
                f"'{path}' is set to what no text says",
                Span(source, len(path) + 1, len(source.text)),
                expected='a number, true, false, none, a list of them, or a text such as "auto"',
                found=f"{repr(value)[:60]} ({type(value).__name__})",
                hint="a tensor is an input of the objective: leave it out here",
            )
        found.append(override_of(f"{path}={text}", origin))
    return tuple(found)


def override_of(text: str, origin: str) -> Override:
    """An override as it is written: ``terms.cls.gamma=3``."""
    source = Source(origin, text)
    path, equals, _ = text.partition("=")
    steps: list[tuple[str, Span]] = []
    start = 0
    for step in path.split("."):
        steps.append((step.strip(), Span(source, start, start + len(step))))
        start += len(step) + 1
    head = steps[0][0]
    if not equals or len(steps) != 3 or head not in FORMS or not all(name for name, _ in steps):
        near = did_you_mean(head, FORMS) if head not in FORMS else None
        raise error(
            "LL0705",
            f"'{path}' leads to nothing that can be set",
            Span(source, 0, max(len(path), 1)),
            expected=" or ".join(FORMS.values()),
            found=text,
            hint=near or "a term is known by its name, and has weight, loss and the parameters of its loss",
        )
    return Override(tuple(steps), parser.parse_expression(source, len(path) + 1))


FORMS = {"terms": "terms.NAME.PARAMETER=value", "passes": "passes.NAME.PARAMETER=value"}


# ------------------------------------------------------------------------------------------ constants
def check_constants(
    constants: Sequence[Constant], frame: Frame, parameters: Sequence[ast.Parameter], taken: Iterable[str]
) -> None:
    """A constant has a name of its own.

    Raises:
        LosslangError: LL0703 where the name means something else.
    """
    scalars = {parameter.name for parameter in parameters} - frame.declared
    words = set(taken)
    for constant in constants:
        name = constant.name
        item = frame.environment.find(name)
        if name in scalars or (item is None and name not in frame.declared and name not in words):
            continue
        meaning = "a tensor" if name in frame.declared else "a word of the language" if item is None else "a definition"
        raise error(
            "LL0703",
            f"'{name}' is a constant, and {meaning} of the same name",
            constant.span,
            expected="one meaning for each name",
            found=name,
            hint=f"call the constant {name}_value, in the text as well",
        )


def check_used(
    constants: Sequence[Constant], plan: Plan, parameters: Sequence[ast.Parameter], texts: Iterable[ast.Expression]
) -> None:
    """A constant that nothing mentions is a slip.

    Raises:
        LosslangError: LL0704, with the place where it may have been meant.
    """
    mentioned = {parameter.name for parameter in parameters}
    mentioned |= {node.name for text in texts for node in ast.walk(text) if isinstance(node, ast.Name)}
    for constant in constants:
        if constant.name not in mentioned:
            raise error(
                "LL0704",
                f"nothing uses the constant '{constant.name}'",
                constant.span,
                expected=f"a text that mentions '{constant.name}'",
                found=constant.span.text,
                hint=_meant(constant, plan) or did_you_mean(constant.name, mentioned) or "remove it",
            )


def _meant(constant: Constant, plan: Plan) -> str | None:
    """Where a loss has a parameter of that name, the two ways to set it."""
    for part in plan.parts:
        for call in _calls(part.body, plan.frame, constant.name):
            loss = _definition(call, plan.frame)
            assert loss is not None
            return (
                f"write {loss.name}({constant.name}={constant.name}) in the text, "
                f"or set the term: terms.{part.name}.{constant.name}"
            )
    return None


# ------------------------------------------------------------------------------------------ overrides
def apply(plan: Plan, overrides: Sequence[Override]) -> None:
    """Set parameters, losses and weights of terms by their names, and options of passes.

    Raises:
        LosslangError: LL0705 where a path leads to nothing.
    """
    for override in overrides:
        if override.steps[0][0] == "terms":
            _set_term(plan, override)
        else:
            _set_pass(plan, override)


def _set_term(plan: Plan, override: Override) -> None:
    (_, _), (name, span), (what, _) = override.steps
    places = {part.name: place for place, part in enumerate(plan.parts)}
    if name not in places:
        raise _nothing("term", name, span, list(places))
    part = plan.parts[places[name]]
    value = expand_aliases(override.value, plan.frame)
    if what == "weight":
        part = replace(part, weights=product(value))
    elif what == "loss":
        part = replace(part, body=value)
    else:
        part = replace(part, body=_with_parameter(part, override, plan.frame))
    plan.parts[places[name]] = part


def _with_parameter(part: Part, override: Override, frame: Frame) -> ast.Expression:
    """The body of a term with one parameter set, in the one call that has it."""
    what, span = override.steps[2]
    whole = [part.body] if _definition(part.body, frame) is not None else []
    found = whole if whole and _has(whole[0], frame, what) else _calls(part.body, frame, what)
    if not found:
        calls = [loss for node in ast.walk(part.body) if (loss := _definition(node, frame)) is not None]
        known = [name for loss in calls for name in (*(p.name for p in loss.parameters), *_modifiers(loss))]
        known = list(dict.fromkeys([*known, "weight", "loss"]))
        raise _nothing(f"parameter of the term '{part.name}'", what, span, known)
    if len(found) > 1:
        raise error(
            "LL0705",
            f"'{what}' is a parameter of several losses of the term '{part.name}'",
            span,
            expected="a term in which one loss has it",
            found=", ".join(loss.name for call in found if (loss := _definition(call, frame)) is not None),
            hint="give each of them a term of its own, or a constant: 'beta' in the text, beta=0.3 outside",
        )
    new = _given(found[0], what, override.value, frame)
    return ast.rewritten(part.body, lambda node: new if node is found[0] else None)


def _calls(body: ast.Expression, frame: Frame, parameter: str) -> list[ast.Expression]:
    """The calls in a body whose loss has a parameter."""
    found: list[ast.Expression] = []
    callees: set[int] = set()
    for node in ast.walk(body):
        if isinstance(node, ast.Call):
            callees.add(id(node.callee))
        if isinstance(node, ast.Call | ast.Name) and id(node) not in callees and _has(node, frame, parameter):
            found.append(node)
    return found


def _definition(node: ast.Node, frame: Frame) -> ast.Definition | None:
    callee = node.callee if isinstance(node, ast.Call) else node
    found = frame.definition(callee) if isinstance(callee, ast.Name | ast.Index) else None
    return found if found is not None and found.keyword in ("loss", "fn") else None


def _modifiers(loss: ast.Definition) -> tuple[str, ...]:
    return MODIFIERS if loss.keyword == "loss" else ()


def _has(node: ast.Expression, frame: Frame, parameter: str) -> bool:
    loss = _definition(node, frame)
    if loss is None:
        return False
    return parameter in {*(p.name for p in loss.parameters), *_modifiers(loss), *axis_names(loss)}


def _given(call: ast.Expression, parameter: str, value: ast.Expression, frame: Frame) -> ast.Call:
    """A call with a parameter given by name, whether it was given by name, by its place or not at all."""
    argument = ast.Argument(value, parameter, span=value.span)
    if not isinstance(call, ast.Call):
        return ast.Call(call, (argument,), span=call.span)
    loss = _definition(call, frame)
    assert loss is not None
    bound = bind(loss, call.arguments, frame.sort, modifiers=True)
    old = {**bound.sizes, **bound.modifiers, **bound.values}.get(parameter)
    if old is None:
        return replace(call, arguments=(*call.arguments, argument))
    return replace(call, arguments=tuple(argument if one.value is old else one for one in call.arguments))


def _set_pass(plan: Plan, override: Override) -> None:
    (_, _), (name, span), (what, _) = override.steps
    found = [place for place, piped in enumerate(plan.piped) if piped.pipe.name.rpartition(".")[2] == name]
    if not found:
        raise _nothing("pass", name, span, [piped.pipe.name.rpartition(".")[2] for piped in plan.piped])
    for place in found:
        pipe = plan.piped[place].pipe
        argument = ast.Argument(override.value, what, span=override.value.span)
        kept = tuple(one for one in pipe.arguments if one.name != what)
        plan.piped[place] = Piped(replace(pipe, arguments=(*kept, argument)), plan.piped[place].terms)


def _nothing(kind: str, name: str, span: Span, known: list[str]) -> LosslangError:
    return error(
        "LL0705",
        f"there is no {kind} '{name}'" if " of " not in kind else f"there is no '{name}': it is no {kind}",
        span,
        expected="one of " + ", ".join(known) if known else f"an objective with a {kind}",
        found=name,
        hint=did_you_mean(name, known) or "losslang explain shows the terms of an objective and their weights",
    )
