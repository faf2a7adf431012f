"""Warnings: objectives that mean something, and hardly what was meant.

Each rule is one silent mistake that people make; `docs/diagnostics.md` lists them with those that are errors. What is
meant as it is, ``allow=`` says, or a comment beside it: ``# allow LL0812``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TypeAlias

from losslang.diagnostics import MOST, Diagnostic, Label, LosslangError, is_meant, warning
from losslang.ir import nodes as ir
from losslang.ir import ops
from losslang.ir.grad import carriers
from losslang.ir.nodes import Node
from losslang.sema.elaborate import Program, planned
from losslang.sema.resolve import bind, sort_of
from losslang.sema.terms import Frame, Part
from losslang.source import Span
from losslang.syntax import ast


def lint(text: Program, objective: ir.Objective, allow: Collection[str] = ()) -> list[Diagnostic]:
    """The warnings of an objective, but for those that are meant; no more than anybody reads."""
    case = Case(text, objective)
    found = {(one.code, one.span): one for rule in RULES for one in rule(case)}
    by_term = any("." in entry for entry in allow)
    unmeant = (one for one in found.values() if not is_meant(one, allow, case.terms_at(one.span) if by_term else ()))
    return list(islice(unmeant, MOST))


def lint_definition(definition: ast.Definition, allow: Collection[str] = ()) -> list[Diagnostic]:
    """The warnings of a loss or function of a user's own."""
    return [one for one in unused_names(definition) if not is_meant(one, allow)]


@dataclass(frozen=True)
class Given:
    """A call of a loss or function in the objective's own text: its definition, and the value of each parameter."""

    definition: ast.Definition
    call: ast.Call
    values: dict[str, ast.Expression]

    @property
    def tensors(self) -> str:
        """The tensors that it gets, as a phrase."""
        wanted = [p for p in self.definition.parameters if sort_of(p) == "tensor" and p.default is None]
        given = [self.values.get(p.name) for p in wanted]
        texts = [p.name if value is None else value.span.text for p, value in zip(wanted, given, strict=True)]
        return f" of {' and '.join(texts)}" if texts else ""


@dataclass(frozen=True)
class Case:
    """An objective as written and as elaborated."""

    text: Program
    objective: ir.Objective

    @cached_property
    def _plan(self) -> tuple[Frame, dict[str, Part]]:
        frame, plan = planned(self.text)
        return frame, {part.name: part for part in plan.parts}

    @property
    def frame(self) -> Frame:
        """The names of the objective."""
        return self._plan[0]

    @property
    def parts(self) -> dict[str, Part]:
        """The terms as written, by name."""
        return self._plan[1]

    def place(self, term: str) -> Span | None:
        """Where a term stands."""
        return self.objective.origin.terms.get(term)

    def terms_at(self, span: Span | None) -> list[str]:
        """The terms that a place belongs to: it lies in them, or in the bindings that they are."""
        if span is None:
            return []
        places = [*self.objective.origin.terms.items(), *((one.name, one.span) for one in self.text.bindings)]
        return [name for name, whole in places if name in self.objective.origin.terms and _inside(span, whole)]

    @cached_property
    def calls(self) -> list[Given]:
        """The calls in the objective's own text, each once."""
        texts = [self.text.expression, *(binding.value for binding in self.text.bindings)]
        nodes = [node for text in texts for node in ast.walk(text) if isinstance(node, ast.Call)]
        found = [(self.frame.definition(node.callee), node) for node in nodes]
        return [Given(known, node, self._values(known, node)) for known, node in found if known is not None]

    def _values(self, definition: ast.Definition, call: ast.Call) -> dict[str, ast.Expression]:
        try:
            bound = bind(definition, call.arguments, self.frame.sort, modifiers=True)
        except LosslangError:  # a partial call, say: what it gives by name is known
            return {argument.name: argument.value for argument in call.arguments if argument.name is not None}
        return {**bound.values, **bound.modifiers}

    @cached_property
    def owned(self) -> dict[Node, str]:
        """Every node, operands first, and the first term that needs it."""
        owner: dict[Node, str] = {}
        for term in self.objective.terms:
            for node in ir.topological([term.value], lambda node: () if node in owner else node.args):
                owner.setdefault(node, term.name)
        return owner

    @cached_property
    def carried(self) -> dict[Node, tuple[Node, ...]]:
        """Every node, operands first, and those of its operands that its gradient reaches."""
        return {node: carriers(node) for node in ir.topological(self.objective.roots())}

    @cached_property
    def live(self) -> set[Node]:
        """The nodes that have a gradient by some input or learned value."""
        found: set[Node] = set()
        for node, operands in self.carried.items():
            if _is_learned(node) or any(arg in found for arg in operands):
                found.add(node)
        return found

    @cached_property
    def trained(self) -> set[Node]:
        """The nodes that a gradient of the objective reaches."""
        return set(ir.topological(self.objective.roots(), self.carried.__getitem__))


def _is_learned(node: Node) -> bool:
    """Whether a gradient may start here: a tensor of the caller's, a learned value, a model that is not frozen."""
    if isinstance(node, ir.Model | ir.ModelVjp):
        return not node.call.frozen
    return isinstance(node, ir.Input | ir.Slot | ir.TermValue) and node.dtype == "real"


def _inside(span: Span, whole: Span) -> bool:
    return span.source is whole.source and whole.start <= span.start and span.end <= whole.end


def number(value: ast.Expression) -> float | None:
    """A number as written, or None."""
    match value:
        case ast.Number(value=found):
            return float(found)
        case ast.Unary(op="-", operand=ast.Number(value=found)):
            return -float(found)
        case _:
            return None


SHOWN = 4
"""Tensors that a message names."""


def tensors(node: Node) -> str:
    """The inputs that a value is made of, as a phrase."""
    names = list(dict.fromkeys(leaf.name for leaf in ir.topological([node]) if isinstance(leaf, ir.Input)))
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return " and ".join(f"'{name}'" for name in names[:SHOWN]) + more


def _about(node: Node) -> str:
    return f" of {named}" if (named := tensors(node)) else ""


# ------------------------------------------------------------------------------------------ terms
def no_weight(case: Case) -> Iterator[Diagnostic]:
    """LL0801."""
    for term in case.objective.terms:
        if ops.is_const(term.weight, 0):
            yield warning(
                "LL0801",
                f"the term '{term.name}' has weight 0: it changes nothing",
                case.place(term.name),
                expected="a weight other than 0",
                found="0",
                hint="remove the term; its value in a log is that of the loss called by itself",
            )


def no_gradient(case: Case) -> Iterator[Diagnostic]:
    """LL0802."""
    for term in case.objective.terms:
        if term.value in case.live or ops.is_const(term.weight, 0):
            continue
        what = (
            f"the number {term.value.value:g}" if isinstance(term.value, ir.Const) else f"a value{_about(term.value)}"
        )
        yield warning(
            "LL0802",
            f"the term '{term.name}' teaches nothing: its gradient is 0 whatever the batch",
            case.place(term.name),
            expected="a loss that depends smoothly on some tensor",
            found=f"{what}, without a gradient",
            hint=_dead_hint(term.value),
        )


def _dead_hint(value: Node) -> str:
    """Why a value may have no gradient."""
    if isinstance(value, ir.Const):
        return "is it compared with itself, or is everything masked?"
    if any(ops.is_op(node, "stop") for node in ir.topological([value])):
        return "stop(...) lets no gradient through"
    if any(isinstance(node, ir.Last) for node in ir.topological([value])):
        return "what was stored in an earlier call has no gradient"
    return "comparisons, counts, argmax and rounding have no gradient"


def one_term_twice(case: Case) -> Iterator[Diagnostic]:
    """LL0812."""
    first: dict[Node, str] = {}
    for term in case.objective.terms:
        known = first.setdefault(term.value, term.name)
        place = case.place(known)
        if known != term.name and term.value in case.live and place is not None:
            yield warning(
                "LL0812",
                f"the terms '{known}' and '{term.name}' are the same",
                case.place(term.name),
                expected="terms that differ",
                found=f"{known}{_about(term.value)} once more",
                hint="if it should count twice, give it the weight 2; else name the other tensors: l1(pred, target)",
                labels=(Label(place, "first here"),),
            )


def negative_under_balancer(case: Case) -> Iterator[Diagnostic]:
    """LL0815."""
    weights = {term.name: term.weight for term in case.objective.terms}
    for balancer in case.objective.balancers:
        for name in balancer.terms:
            weight = weights[name]
            if isinstance(weight, ir.Const) and weight.value < 0:
                yield warning(
                    "LL0815",
                    f"'{name}' has a negative weight under {balancer.name}, which expects terms to be made small",
                    case.place(name),
                    expected="a weight above 0",
                    found=f"{weight.value:g}",
                    hint=f"write what is to become small, as in 1 - ssim, or leave '{name}' outside: (... | "
                    f"{balancer.name}) - ...",
                )


def maximised(case: Case) -> Iterator[Diagnostic]:
    """LL0817; under a balancer it is LL0815."""
    balanced = {name for balancer in case.objective.balancers for name in balancer.terms}
    for term in case.objective.terms:
        part = case.parts.get(term.name)
        if part is None or term.name in balanced or not isinstance(term.weight, ir.Const) or term.weight.value >= 0:
            continue
        definition = case.frame.definition(ast.callee_of(part.body))
        if definition is None or definition.keyword != "loss" or not _endless(definition):
            continue
        yield warning(
            "LL0817",
            f"'{term.name}' is made as large as it gets: {definition.name} is 0 at best and has no greatest value",
            case.place(term.name),
            expected="a loss that is made small",
            found=f"a weight of {term.weight.value:g}",
            hint="remove the minus sign; what may grow is bounded: max(0, 1 - ...)",
        )


def _endless(definition: ast.Definition) -> bool:
    held = {d.name: d for d in definition.decorators if not any(a.name == "when" for a in d.arguments)}
    return "nonneg" in held and "bounded" not in held


# ------------------------------------------------------------------------------------------ what is not used
def unused_inputs(case: Case) -> Iterator[Diagnostic]:
    """LL0803, of the objective's header."""
    used = set(ir.topological(case.objective.roots()))
    names = {node.name for node in case.objective.inputs if node in used}
    written = _mentioned([case.text.expression, *(binding.value for binding in case.text.bindings)])
    mentioned = written | {node.name for node in used if isinstance(node, ir.Input)}
    mentioned |= {node.call.model.name for node in used if isinstance(node, ir.Model | ir.ModelVjp)}
    elements = {held.name: [name for name, _ in ir.leaves(held.items)] for held in case.objective.lists}
    mentioned |= {name for name, own in elements.items() if names & set(own)}
    for parameter in case.text.parameters:
        if parameter.name not in names | mentioned:
            yield _unused("parameter", parameter.name, parameter.span, "remove it, or name it where it belongs")
    for binding in case.text.bindings:
        if binding.name in names - written:
            hint = f"a loss takes what it is not given from the caller: give it, {binding.name}={binding.name}"
            yield _unused("binding", binding.name, binding.span, hint)
        elif binding.name not in written:
            yield _unused("binding", binding.name, binding.span, "add it to the last line, or remove it")


def unused_names(definition: ast.Definition) -> Iterator[Diagnostic]:
    """LL0803, of a definition of the user's own; an fn may take what others of its form need, as miners do."""
    parts = [definition.value, definition.result, definition.normaliser, *definition.bindings]
    parts += [p.default for p in definition.parameters]
    mentioned = _mentioned(part for part in parts if part is not None)
    for parameter in definition.parameters:
        if definition.keyword == "loss" and parameter.name not in mentioned:
            yield _unused("parameter", parameter.name, parameter.span, "remove it, or use it")
    for binding in definition.bindings:
        if binding.name not in mentioned:
            yield _unused("binding", binding.name, binding.span, "remove it, or use it")


def _mentioned(parts: Iterable[ast.Node]) -> set[str]:
    return {node.name for part in parts for node in ast.walk(part) if isinstance(node, ast.Name)}


def _unused(what: str, name: str, span: Span, hint: str) -> Diagnostic:
    return warning(
        "LL0803",
        f"nothing uses the {what} '{name}'",
        span,
        expected=f"a line that mentions '{name}'",
        found="none",
        hint=hint,
    )


def untrained(case: Case) -> Iterator[Diagnostic]:
    """LL0804."""
    idle = {term.name for term in case.objective.terms if term.value not in case.live or ops.is_const(term.weight, 0)}
    trained = {node.key for node in case.trained if isinstance(node, ir.Slot)}
    for key in (slot.key for slot in case.objective.slots()):
        if key in trained or key.partition(".")[0] in idle:
            continue
        yield warning(
            "LL0804",
            f"'{key}' is learned, and nothing trains it: the objective's gradient by it is 0",
            case.objective.origin.slots.get(key) or case.place(key.partition(".")[0]),
            expected="a learned value that the objective depends on",
            found="none of its terms does",
            hint="give it as a number instead of auto, or use it outside of stop(...)",
        )


# ------------------------------------------------------------------------------------------ normalisation
def normalised_twice(case: Case) -> Iterator[Diagnostic]:
    """LL0805."""
    for node, term in case.owned.items():
        what = _second_normalisation(node)
        if what is not None:
            yield warning(
                "LL0805",
                f"in '{term}' {what}",
                case.place(term),
                expected="logits: scores before any softmax or sigmoid",
                found="probabilities, which lie in 0..1 and are flattened by a second one",
                hint="pass the logits themselves: the loss normalises them",
            )


def _second_normalisation(node: Node) -> str | None:
    match node:
        case ir.Reduce(monoid="logsumexp", args=(x, *_)) if _is_probability(_core(x)):
            return f"a softmax is taken of a {_normaliser(_core(x))}{_about(x)}"
        case ir.Op(name="sigmoid" | "softplus", args=(x,)) if _is_probability(_core(x)):
            return f"a sigmoid is taken of a {_normaliser(_core(x))}{_about(x)}"
        case _:
            return None


def _core(node: Node) -> Node:
    """What is multiplied, divided or shifted by numbers."""
    while isinstance(node, ir.Op):
        rest = [arg for arg in node.args if not isinstance(arg, ir.Const)]
        if node.name not in ("add", "sub", "mul", "div", "neg") or len(rest) != 1:
            break
        node = rest[0]
    return node


def _is_softmax(node: Node) -> bool:
    match node:
        case ir.Op(name="exp", args=(ir.Op(name="sub", args=(x, ir.Reduce(monoid="logsumexp", args=(y, *_)))),)):
            return x is y
        case _:
            return False


def _is_probability(node: Node) -> bool:
    return ops.is_op(node, "sigmoid") or _is_softmax(node)


def _normaliser(node: Node) -> str:
    return "sigmoid" if ops.is_op(node, "sigmoid") else "softmax"


def normalisers(nodes: Iterable[Node]) -> list[ir.Reduce]:
    """The sums that turn scores into logarithms of probabilities: those that scores themselves are compared with."""
    pairs = [pair for node in nodes if ops.is_op(node, "sub") for pair in (node.args, node.args[::-1])]
    sums = [(total, score) for total, score in pairs if isinstance(total, ir.Reduce) and total.monoid == "logsumexp"]
    return list(dict.fromkeys(total for total, score in sums if total.args[0] in (score, _picked(score))))


def _picked(node: Node) -> Node:
    """What an index picks from."""
    return node.args[0] if isinstance(node, ir.Index) else node


def one_class(case: Case) -> Iterator[Diagnostic]:
    """LL0806."""
    for node in normalisers(case.owned):
        term = case.owned[node]
        if all(axis.root.size == 1 for axis in node.over):
            yield warning(
                "LL0806",
                f"'{term}' takes a softmax{_about(node)} over an axis of one element, '{node.over[0]}'",
                case.place(term),
                expected="two classes or more",
                found="one, whose probability is 1 whatever its logit",
                hint="one logit for two classes is for bce, dice(prob=sigmoid(logits)) and sigmoid_focal",
            )


# ------------------------------------------------------------------------------------------ arguments
def over_the_batch(case: Case) -> Iterator[Diagnostic]:
    """LL0808."""
    for given in case.calls:
        batch = _first_axis(given.definition)
        for parameter in given.definition.parameters:
            value = given.values.get(parameter.name)
            axes = isinstance(parameter.type, ast.TensorType) and parameter.type.kind == "axes"
            if not axes or not isinstance(value, ast.ListOf) or ast.Name(batch) not in value.items:
                continue
            yield warning(
                "LL0808",
                f"{given.definition.name}{given.tensors} adds up over the batch: its value depends on the batch size",
                value.span,
                expected=f"axes of one element of the batch, such as {parameter.name}=[...]",
                found=value.span.text,
                hint=f"without '{batch}' each image has a value of its own, and their mean is the loss",
            )


def _first_axis(definition: ast.Definition) -> str:
    for parameter in definition.parameters:
        if isinstance(parameter.type, ast.TensorType) and parameter.type.groups and sort_of(parameter) == "tensor":
            return parameter.type.groups[-1][0].name or ""
    return ""


def numbers_by_place(case: Case) -> Iterator[Diagnostic]:
    """LL0809."""
    for given in case.calls:
        by_place = {id(argument.value) for argument in given.call.arguments if argument.name is None}
        numbers = {p.name for p in given.definition.parameters if sort_of(p) == "number"}
        found = {n: v for n, v in given.values.items() if n in numbers and id(v) in by_place and number(v) is not None}
        if len(found) < 2 or len(numbers) == len(given.definition.parameters):
            continue  # a schedule, say, is a function of numbers alone, in an order of its own
        yield warning(
            "LL0809",
            f"{len(found)} numbers are given to {given.definition.name} by their place, and other libraries have "
            "other orders",
            given.call.span,
            expected="names for numbers",
            found=given.call.span.text,
            hint="as it stands it means "
            + ", ".join(f"{name}={value.span.text}" for name, value in found.items())
            + ": write that, or what was meant",
        )


def inverse(case: Case) -> Iterator[Diagnostic]:
    """LL0814."""
    for given in case.calls:
        for parameter in given.definition.parameters:
            value, default = number(given.values.get(parameter.name) or ast.Number(0)), _default(parameter)
            if not value or not default or value < 0 or default < 0:
                continue
            ratio = value / default
            if 0.5 <= value * default <= 2 and (ratio > 10 or ratio < 0.1):
                yield warning(
                    "LL0814",
                    f"'{parameter.name}' of {given.definition.name} looks like the inverse of what is meant",
                    given.values[parameter.name].span,
                    expected=f"a value nearer to the default, {default:g}",
                    found=f"{value:g}, about 1/{default:g}",
                    hint=f"{parameter.name}={1 / value:.3g}; a temperature divides, its inverse (a scale) multiplies",
                )


def _default(parameter: ast.Parameter) -> float | None:
    bounded = isinstance(parameter.type, ast.TensorType) and sort_of(parameter) == "number" and parameter.type.bounds
    return number(parameter.default) if bounded and parameter.default is not None else None


TARGETS = frozenset({"target", "targets", "teacher", "y", "reference"})
"""What losses call a tensor that is given."""


def only_the_target(case: Case) -> Iterator[Diagnostic]:
    """LL0811; where another call of the same loss stops the target, both sides are to meet, as in vq."""
    sides = [(given, *_sides(given, case.frame)) for given in case.calls]
    mutual = {given.definition.name for given, _, stopped in sides if stopped.keys() & TARGETS}
    for given, learned, stopped in sides:
        if not stopped or not learned or not learned.keys() <= TARGETS or given.definition.name in mutual:
            continue
        yield warning(
            "LL0811",
            f"the gradient of {given.definition.name} reaches only its {_texts(learned)}",
            given.call.span,
            expected="a target that is given, and a prediction that is learned",
            found=f"no gradient through the {_texts(stopped)}",
            hint="swap the two arguments, or stop the target"
            if any("stop" in value.span.text for value in stopped.values() if value is not None)
            else "comparisons, argmax and rounding have no gradient: give the prediction itself",
        )


Arguments: TypeAlias = dict[str, ast.Expression | None]


def _sides(given: Given, frame: Frame) -> tuple[Arguments, Arguments]:
    """The tensors of a call that a gradient reaches, and those that are stopped."""
    wanted = [p for p in given.definition.parameters if sort_of(p) == "tensor" and p.default is None]
    real: Arguments = {p.name: given.values.get(p.name) for p in wanted if not _is_label(p)}
    stopped: Arguments = {
        name: value for name, value in real.items() if value is not None and _is_stopped(value, frame)
    }
    return {name: value for name, value in real.items() if name not in stopped}, stopped


def _texts(arguments: Arguments) -> str:
    """Arguments as a phrase: ``target teacher``."""
    texts = {name: name if value is None else value.span.text for name, value in arguments.items()}
    return ", ".join(name if name == text else f"{name} {text}" for name, text in texts.items())


STEPS = frozenset({"stop", "round", "floor", "ceil", "sign", "argmax", "argmin", "rank"})
"""What lets no gradient through."""


def _is_stopped(value: ast.Expression, frame: Frame) -> bool:
    """Whether every tensor in a value stands inside of something that lets no gradient through."""
    stops = [node for node in ast.walk(value) if isinstance(node, ast.Call) and ast.called_name(node) in STEPS]
    inside = {id(name) for stop in stops for name in ast.walk(stop)}
    names = [node for node in ast.walk(value) if isinstance(node, ast.Name)]
    learned = [node for node in names if frame.is_input(node.name) or node.name in frame.models]
    return bool(stops) and all(id(node) in inside for node in learned)


def weighed_logits(case: Case) -> Iterator[Diagnostic]:
    """LL0818."""
    for given in case.calls:
        for parameter in given.definition.parameters:
            value = given.values.get(parameter.name)
            logits = isinstance(parameter.type, ast.TensorType) and parameter.type.kind == "logit"
            if logits and isinstance(value, ast.Sum) and sum(_is_weighed(term) for _, term in value.terms) > 1:
                yield warning(
                    "LL0818",
                    f"{given.definition.name} gets a weighted sum of logits, which is no weighted sum of losses",
                    value.span,
                    expected="the logits of one model",
                    found=value.span.text,
                    hint=f"a weighted sum of losses: 0.5*{given.definition.name}(a, ...) + 0.5*"
                    f"{given.definition.name}(b, ...)",
                )


def _is_weighed(term: ast.Expression) -> bool:
    match term:
        case ast.Binary(op="*", left=left, right=right):
            return number(left) is not None or number(right) is not None
        case _:
            return False


def ignored_class(case: Case) -> Iterator[Diagnostic]:
    """LL0816."""
    for given in case.calls:
        value = given.values.get("ignore")
        label = number(value) if value is not None else None
        for name, classes in _class_counts(given, case).items():
            if value is not None and label is not None and 0 <= label < classes:
                yield warning(
                    "LL0816",
                    f"ignore={label:g} is one of the {classes} classes of '{name}': none of its elements counts",
                    value.span,
                    expected="a label that is no class, such as -100 or 255",
                    found=f"{label:g}",
                    hint="if that class is padding, say so: # allow LL0816",
                )


def _class_counts(given: Given, case: Case) -> dict[str, int]:
    """How many classes there are for the labels of a call, by their names, where the text says so."""
    wanted = [given.values.get(p.name, ast.Name(p.name)) for p in given.definition.parameters if _is_label(p)]
    names = {value.name for value in wanted if isinstance(value, ast.Name)}
    bounds = {node.name: node.bound.root.size for node in case.objective.inputs if node.bound is not None}
    return {name: size for name, size in bounds.items() if name in names and size is not None}


def _is_label(parameter: ast.Parameter) -> bool:
    return isinstance(parameter.type, ast.TensorType) and parameter.type.kind in ("label", "int", "bool")


Rule: TypeAlias = Callable[[Case], Iterator[Diagnostic]]

RULES: tuple[Rule, ...] = (
    no_weight,
    no_gradient,
    unused_inputs,
    untrained,
    normalised_twice,
    one_class,
    over_the_batch,
    numbers_by_place,
    only_the_target,
    one_term_twice,
    inverse,
    negative_under_balancer,
    ignored_class,
    maximised,
    weighed_logits,
)
