"""From a parsed text to the IR: plans the terms, finds the inputs, evaluates each term to its nodes.

Non-goals: nothing is optimised, and passes are only recorded; a pass is a function of the IR.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from losslang.diagnostics import LosslangError, Problems, at_call, did_you_mean, error, renamed
from losslang.ir import nodes as ir
from losslang.ir import ops
from losslang.ir.netspec import ALIASES, TAPS
from losslang.ir.rewrite import substitute, transform
from losslang.sema import body, calls, explicit, lists, memory, modifiers, parameters, settings, wellformed
from losslang.sema.binders import NeedsMarksError
from losslang.sema.brackets import conjunction
from losslang.sema.elementwise import tensor
from losslang.sema.evaluate import defined, evaluate
from losslang.sema.inputs import Inputs, is_input
from losslang.sema.modules import LIBRARY_ONLY, Environment, environment
from losslang.sema.resolve import sort_of
from losslang.sema.scope import Scope, Session
from losslang.sema.settings import Constant, Override
from losslang.sema.terms import Frame, Part, Piped, Plan, expand_aliases, is_auto, names
from losslang.sema.unit import Unit, unit_of
from losslang.sema.values import Function, Listed, Model, Static, Tensor, Value, describe
from losslang.source import Source, Span
from losslang.syntax import ast
from losslang.types import Axes, Axis


@dataclass(frozen=True)
class Program:
    """A text that holds one objective: its names and its expression, with what its header declares."""

    name: str
    environment: Environment
    expression: ast.Expression
    axes: tuple[ast.Axis, ...] = ()
    """Axes with their extents: ``objective main[c=10](labels: label[b] < c)``."""
    parameters: tuple[ast.Parameter, ...] = ()
    bindings: tuple[ast.Binding, ...] = ()
    constants: tuple[Constant, ...] = ()
    overrides: tuple[Override, ...] = ()
    canonical: bool = False
    """Whether terms, passes and inputs come in the order of their names, and not in that of the text."""


def program(unit: Unit, name: str | None = None) -> Program:
    """The objective in a text: an expression, or a file (``name`` chooses where it holds several).

    Raises:
        LosslangError: for syntax, and LL0405 where no single objective is meant.
    """
    source, module = unit.source, unit.parsed()
    if not isinstance(module, ast.Module):
        return of_expression(module, unit)
    wellformed.check(module)
    env = environment(module, unit.search)
    found = {
        item.name: item for item in module.items if isinstance(item, ast.Definition) and item.keyword == "objective"
    }
    chosen = found.get(name) if name is not None else next(iter(found.values())) if len(found) == 1 else None
    if chosen is None:
        raise _no_objective(source, name, list(found))
    return of_definition(chosen, env, unit)


def of_expression(expression: ast.Expression, unit: Unit) -> Program:
    """An objective of one expression."""
    return Program("objective", LIBRARY_ONLY, expression, constants=unit.constants, overrides=unit.overrides)


def of_definition(item: ast.Definition, known: Environment, unit: Unit) -> Program:
    """An objective of a file."""
    given = {constant.name: ast.Name(constant.name, span=constant.span) for constant in unit.constants}
    header = tuple(
        replace(p, default=given[p.name]) if p.name in given and sort_of(p) == "number" else p for p in item.parameters
    )
    return Program(item.name, known, item.value, item.axes, header, item.bindings, unit.constants, unit.overrides)


def _no_objective(source: Source, name: str | None, found: list[str]) -> LosslangError:
    if name is not None:
        return error(
            "LL0405",
            f"{source.name} has no objective '{name}'",
            expected="one of " + ", ".join(found) if found else "an objective",
            found=name,
            hint=did_you_mean(name, found) or "name= chooses among the objectives of a file",
        )
    if not found:
        return error(
            "LL0405",
            f"{source.name} has no objective",
            expected="one objective",
            found="none",
            hint="add one: objective main(): l1 + 0.5*mse",
        )
    return error(
        "LL0405",
        f"{source.name} has several objectives",
        expected="name=" + " or ".join(found),
        found=f"{len(found)} objectives",
        hint=f"choose one: name='{found[0]}'",
    )


def elaborate(text: Source | Unit, name: str | None = None) -> ir.Objective:
    """The IR of a text.

    Raises:
        LosslangError: with every error found; one term's error does not hide another's.
    """
    return elaborated(program(unit_of(text), name))


def elaborated(text: Program) -> ir.Objective:
    """The IR of an objective that is parsed already."""
    try:
        return _elaborate(text)
    except RecursionError:
        # calls within calls, each of them written out: no text says how deep they go before they are evaluated
        raise error(
            "LL0103",
            "the definitions call each other too deeply",
            expected="fewer levels of calls",
            hint="give parts of them to the objective as bindings",
        ) from None


def planned(text: Program) -> tuple[Frame, Plan]:
    """The terms and passes of an objective, with what the caller sets of them.

    Raises:
        LosslangError: for what can be said before any term is evaluated.
    """
    frame = _frame(text)
    plan = Plan(frame)
    plan.problems.attempt(lambda: plan.add(_expanded(text.expression, frame)))
    defaults = [parameter.default for parameter in text.parameters if parameter.default is not None]
    texts = [text.expression, *(binding.value for binding in text.bindings), *defaults]
    plan.problems.attempt(lambda: settings.check_used(text.constants, plan, text.parameters, texts))
    if not plan.problems.errors:
        plan.problems.attempt(lambda: settings.apply(plan, text.overrides))
    if text.canonical:
        plan.parts.sort(key=lambda part: part.name)
        plan.piped.sort(key=lambda piped: sorted(piped.terms))
    return frame, plan


def _elaborate(text: Program) -> ir.Objective:
    frame, plan = planned(text)
    found = _inputs(text, frame, plan)
    objective = _settled(found, frame, partial(_objective, text, frame, plan, found))
    if not objective.inputs and not objective.models:
        raise error(
            "LL0401",
            "the objective depends on no input",
            plan.parts[0].span,
            expected="a loss of a tensor that each call brings",
            hint="leave tensors out and they become inputs: l1 is l1(pred, target)",
        )
    inputs = found.resolve()
    used = set(objective.inputs)
    unused = {name for name, node in inputs.items() if node not in used}
    # axes are numbered as the inputs come: an input that nothing uses may not count
    again = Session(evaluate, frame.sort, found.taken, marking=frame.marks)
    return _objective(text, frame, plan, found, found.resolve(unused), again) if unused else objective


def unmarked(objective: ir.Objective) -> ir.Objective:
    """The objective without marks: every value in normal form again."""
    return transform(objective, lambda node: node.args[0] if ops.is_op(node, "mark") else None)


R = TypeVar("R")


def _settled(found: Inputs, frame: Frame, run: Callable[[dict[str, ir.Input], Session], R]) -> R:
    """What an elaboration gives once it has said nothing new about the extents of the inputs' axes.

    Calls give some (``proxy_anchor(c=100)``), and an input's axis has its extent from the start.
    """
    while True:
        inputs = found.resolve()
        session = Session(evaluate, frame.sort, found.taken, marking=frame.marks)
        try:
            result = run(inputs, session)
        except NeedsMarksError:
            frame.marks = True
            continue
        except LosslangError:
            if not session.extents:
                raise
        else:
            if not session.extents:
                return result
        found.fix(session.extents)


def _objective(
    text: Program, frame: Frame, plan: Plan, found: Inputs, inputs: dict[str, ir.Input], session: Session
) -> ir.Objective:
    bindings = {binding.name: binding for binding in text.bindings}
    root = _root(frame, inputs, session)
    objective = memory.settled(root, bindings, lambda: _weighed(text, frame, plan, root))
    objective = replace(objective, updates=(*objective.updates, *session.updates), learned=tuple(session.keys))
    objective = unmarked(objective) if session.marking else objective
    memory.check_sizes(objective, inputs.values(), session)
    elements = {leaf: name for name, items in frame.lists.items() for leaf, _ in ir.leaves(items)}
    declared = (node for name, node in inputs.items() if elements.get(name, name) in frame.declared)
    used = {*ir.topological(objective.roots()), *declared}
    used |= _measures(inputs.values(), used, objective.updates)
    _check_extents(plan, objective, _known_extents(used))
    ordered = tuple(node for node in inputs.values() if node in used)
    taken = {elements.get(node.name) for node in ordered}
    held = tuple(ir.InputList(name, items) for name, items in frame.lists.items() if name in taken)
    called = {node.call.model for node in used if isinstance(node, ir.Model | ir.ModelVjp)}
    models = tuple(held for name, held in session.models.items() if held in called or name in frame.models)
    origin = _origin(text, plan, found, objective, session)
    return replace(objective, inputs=ordered, models=models, lists=held, origin=origin)


def _known_extents(used: Iterable[ir.Node]) -> set[Axis]:
    """The axes whose extent a call brings: those of inputs, and those of what models give."""
    found = {axis.root for node in used if isinstance(node, ir.Input) for axis in node.dims}
    return found | {axis.root for node in used if isinstance(node, ir.Model) for axis in node.axes}


def _weighed(text: Program, frame: Frame, plan: Plan, scope: Scope) -> ir.Objective:
    """The terms of an objective and its balancers, in the scope of its header."""
    if any(piped.pipe.name == explicit.TOTAL for piped in plan.piped):
        explicit.show_terms(plan, scope)
    problems = Problems()
    _bindings(text, frame, plan, scope, problems)
    terms = _terms(plan, scope, problems)
    if problems.errors or plan.problems.errors:
        raise _together(plan, problems, frame)
    _check_rows(plan, terms)
    objective = ir.Objective(text.name, (), tuple(terms))
    for piped in plan.piped:
        objective = _piped(piped, objective, scope, frame)
    objective = _auto_weights(objective, plan, scope)
    explicit.check_total(objective, plan)
    return objective


def _origin(text: Program, plan: Plan, found: Inputs, objective: ir.Objective, session: Session) -> ir.Origin:
    """Where the text says what an objective is made of; what a default brings in stands where its term does."""
    terms = {part.name: part.span for part in plan.parts}
    networks = {**session.networks}
    for term in objective.terms:
        for node in ir.topological([term.value]) if session.networks else ():
            if isinstance(node, ir.Net | ir.Heads) and networks.get(str(node.spec)) is None:
                networks[str(node.spec)] = terms[term.name]
    header = {node.name: node.span for node in (*text.parameters, *text.bindings)}
    asked = {key: span for key, span in session.places.items() if not span.source.library}
    return ir.Origin(
        terms,
        {name: one.span for name, one in found.found.items()},
        {**header, **asked},
        {name: place for name, place in networks.items() if place is not None},
    )


def _measures(inputs: Iterable[ir.Input], used: Set[ir.Node], updates: Iterable[ir.Update]) -> set[ir.Node]:
    """Inputs of which nothing but the extent counts: of the mean of what is the same for every element, of a draw."""
    found: set[ir.Node] = set()
    shaped = [axes for node in used for axes in _shape(node)]
    shaped += [tuple(axis for axis in update.dims if axis.root.size is None) for update in updates]
    wanted = {axis.root for axes in shaped for axis in axes}
    wanted -= {axis.root for node in used if isinstance(node, ir.Input) for axis in node.dims}
    wanted -= {axis.root for node in used if isinstance(node, ir.Model) for axis in node.call.gives}
    for node in inputs:
        axes = {axis.root for axis in node.dims}
        if axes & wanted:
            found.add(node)
            wanted -= axes
    return found


def _check_extents(plan: Plan, objective: ir.Objective, known: Set[Axis]) -> None:
    """An axis that only labels index has the extent that the call gives it."""
    for part, term in zip(plan.parts, objective.terms, strict=True):
        shaped = [
            axis.root for node in ir.topological([term.value, term.weight]) for axes in _shape(node) for axis in axes
        ]
        missing = next((a for a in shaped if a.size is None and a.index is not None and a not in known), None)
        if missing is not None:
            raise error(
                "LL0306",
                f"nothing says how long the axis '{missing}' of '{term.name}' is",
                part.span,
                expected="a tensor that has the axis, or an extent that the call gives",
                found="labels that index it, and no tensor along it",
                hint=f"give it where the loss is used: {missing}=10",
            )


def _shape(node: ir.Node) -> Iterator[Axes]:
    """The axes whose extents a node takes from elsewhere than its operands."""
    match node:
        case ir.Size(args=()):
            yield (node.axis,)
        case ir.Iota():
            yield node.axes
        case ir.Last() | ir.Draw():
            yield tuple(axis for axis in node.dims if axis.root.size is None)
        case _:
            pass


def _frame(text: Program) -> Frame:
    """The scalars, bindings and declared tensors of an objective's header."""
    constants = {constant.name: constant for constant in text.constants}
    declared = frozenset(p.name for p in text.parameters if is_input(p))
    models = frozenset(p.name for p in text.parameters if sort_of(p) == "model")
    groups = [g for p in text.parameters if isinstance(p.type, ast.TensorType) for g in p.type.groups]
    groups += [binding.axes.axes for binding in text.bindings if binding.axes is not None]
    axes = frozenset(axis.name for group in groups for axis in group if axis.name)
    frame = Frame(text.environment, declared=declared, models=models, axes=axes)
    taken = {*wellformed.RESERVED, *TAPS, *ALIASES, *(binding.name for binding in text.bindings)}
    settings.check_constants(text.constants, frame, text.parameters, taken)
    frame.values.update({name: Static(constant.value) for name, constant in constants.items()})
    for parameter in text.parameters:
        if sort_of(parameter) == "number" and parameter.default is not None:
            session = Session(evaluate, frame.sort)
            scope = Scope(text.environment, session, "", values=frame.values)
            value = evaluate(parameter.default, scope)
            frame.values[parameter.name] = parameters.scalar(parameter, value, parameter.default.span, scope)
    for binding in text.bindings:
        frame.bind(binding.name, _expanded(binding.value, frame), binding.axes is not None)
    return frame


def _expanded(expression: ast.Expression, frame: Frame) -> ast.Expression:
    return expand_aliases(expression, frame)


def _inputs(text: Program, frame: Frame, plan: Plan) -> Inputs:
    found = Inputs(frame)
    found.declare(text.parameters, text.axes)
    kept = [plan.problems.attempt(partial(_collected, part, found)) for part in plan.parts]
    plan.parts = [part for part in kept if part is not None]
    if text.canonical:
        found.found = dict(sorted(found.found.items()))
    return found


def _collected(part: Part, found: Inputs) -> Part:
    found.collect(part.body)
    return part


INDEPENDENT = frozenset(
    {"LL0201", "LL0202", "LL0205", "LL0206", "LL0207", "LL0208", "LL0305", "LL0308", "LL0402", "LL0403"}
)
"""Errors of a term that what its inputs are has no part in: they are true whatever is wrong with other terms."""


def _together(plan: Plan, problems: Problems, frame: Frame) -> LosslangError:
    """The errors of all terms; where some were given up early, others may know too little of their inputs."""
    for piped in plan.piped:
        if piped.pipe.name not in explicit.WORDS:
            problems.attempt(partial(_balancer_of, piped, frame))
    early = [one for problem in plan.problems.errors for one in problem.diagnostics]
    late = [one for problem in problems.errors for one in problem.diagnostics]
    return LosslangError([*early, *(one for one in late if not early or one.code in INDEPENDENT)])


def _root(frame: Frame, inputs: dict[str, ir.Input], session: Session) -> Scope:
    def implicit(name: str) -> Value | None:
        if name in session.models:
            return Model(session.models[name], session.models[name].result)
        if name in frame.lists:
            return nested(frame.lists[name], frame.list_axes.get(name, ()))
        node = inputs.get(name)
        return None if node is None else Tensor(node, node.dims, (), node.kind, node.bound)

    def nested(items: tuple[ir.Nest, ...], axes: tuple[str, ...]) -> Listed:
        found = (implicit(item) if isinstance(item, str) else nested(item, axes[1:]) for item in items)
        return Listed(axes[0] if axes else "", tuple(value for value in found if value is not None))

    axes = [axis for node in inputs.values() for axis in (*node.dims, node.bound) if axis is not None]
    given = [axis for model in session.models.values() for axis in model.gives if axis.index is not None]
    axes += [axis for axis in given if axis not in axes]
    session.named.update({axis.name: axis for axis in axes})
    named: dict[str, Axes] = {f"...{axis.name}" if axis.rest else axis.name: (axis,) for axis in axes}
    rests = list({axis for axis in axes if axis.rest})
    if len(rests) == 1:
        named["..."] = (rests[0],)
    values: dict[str, Value] = {
        **{name: found for name in (*inputs, *frame.lists, *session.models) if (found := implicit(name))},
        **frame.values,
    }
    scope = Scope(frame.environment, session, "", axes=named, values=values, implicit=implicit, local=dict(frame.local))
    for name, axes in frame.list_axes.items():
        lists.note(values[name], axes, scope)
    return scope


def _bindings(text: Program, frame: Frame, plan: Plan, scope: Scope, problems: Problems) -> None:
    """Evaluate what is a value of its own; a loss that is a term keeps its rows until then."""
    for binding in kept_bindings(text, frame, plan):
        scope.attempt(binding, partial(body.bind_value, binding, replace(scope, path=binding.name)), problems)


def kept_bindings(text: Program, frame: Frame, plan: Plan) -> list[ast.Binding]:
    """The bindings that are values of their own: formulas, and losses that stand inside expressions."""
    mentioned = [n for b in text.bindings for n in names(b.value)] + list(names(text.expression))
    inner = {name.name for name in mentioned if id(name) not in plan.direct}
    return [b for b in text.bindings if b.name in inner or b.name in frame.formulas or b.axes is not None]


def _terms(plan: Plan, scope: Scope, problems: Problems) -> list[ir.Term]:
    if not plan.parts and not plan.problems.errors:
        raise error("LL0401", "the objective has no terms", expected="a loss, such as focal(gamma=2)")
    terms = [problems.attempt(partial(_term, part, scope)) for part in plan.parts]
    return [term for term in terms if term is not None]


def _term(part: Part, scope: Scope) -> ir.Term:
    inner = scope.inner(part.name)
    rows = _rows(part.body, inner)
    value = modifiers.reduced(tensor(rows.value, part.span), rows.reduce, part.span)
    _check_direction(part, inner)
    weight = _weight(part, inner)
    return ir.Term(part.name, weight, value.node)


def _check_rows(plan: Plan, terms: Sequence[ir.Term]) -> None:
    """Rows have no total with anything else."""
    for part, term in zip(plan.parts, terms, strict=True):
        if term.value.axes and len(terms) > 1:
            raise error(
                "LL0302",
                f"'{term.name}' is not reduced, and stands beside other terms",
                part.span,
                expected="one number for each term",
                found=f"rows over {', '.join(map(str, term.value.axes))}",
                hint="reduce=none is for an objective of one term",
            )


def _rows(body: ast.Expression, scope: Scope) -> modifiers.Result:
    """The rows of a term: of a single call with its normaliser and modifiers, else of the whole expression."""
    callee, arguments, items, condition = body, (), (), None
    match body:
        case ast.Call(callee=ast.Name("rows"), arguments=(ast.Argument(value, None),)):
            return modifiers.Result(evaluate(value, scope), "none")  # how the IR's text says reduce=none
        case _:
            pass
    if isinstance(body, ast.Call):
        callee, arguments = body.callee, body.arguments
    if isinstance(callee, ast.Index):
        callee, items, condition = callee.base, callee.items, callee.filter
    if isinstance(callee, ast.Name) and callee.name not in scope.values:
        function = defined(callee.name, scope)
        if isinstance(function, Function) and function.definition.keyword in ("loss", "fn"):
            return calls.call(function, arguments, scope, body.span, items, condition)
    return modifiers.Result(evaluate(body, scope))


def _check_direction(part: Part, scope: Scope) -> None:
    """A bare fn has no direction: it may be higher-is-better."""
    callee = ast.callee_of(part.body)
    if not isinstance(callee, ast.Name) or callee.name in scope.values or sum(map(_is_negative, part.weights)) % 2:
        return
    item = defined(callee.name, scope)
    if isinstance(item, Function) and item.definition.keyword == "fn":
        raise error(
            "LL0403",
            f"'{callee.name}' is a function, not a loss: nothing says that lower is better",
            part.span,
            expected="a loss",
            hint=f"if higher is better, write 1 - {callee.name} or -{callee.name}",
        )


def _is_negative(weight: ast.Expression) -> bool:
    return isinstance(weight, ast.Number) and weight.value < 0 or isinstance(weight, ast.Unary)


def _weight(part: Part, scope: Scope) -> ir.Node:
    whole = ops.const(1.0)
    learned = [factor for factor in part.weights if is_auto(factor)]
    if len(learned) > 1:
        raise error(
            "LL0402",
            "auto stands twice in one weight",
            learned[1].span,
            expected="one learned weight for each term",
            hint="leave one out: auto*loss",
        )
    for factor in part.weights:
        if is_auto(factor):
            continue
        if _has_bare_auto(factor):
            raise error(
                "LL0402",
                "auto stands alone as a weight",
                factor.span,
                expected="auto*loss, or a number times it: 0.5*auto*loss",
                hint="the weight is learned by uncertainty weighting, and has no start",
            )
        value = evaluate(factor, scope)
        match value:
            case Static(value=int() | float() as number) if not isinstance(number, bool) and _finite(number):
                whole = ops.apply("mul", whole, ops.const(float(number)))
            case Tensor() if not value.order and value.node.dtype != "bool":
                whole = ops.apply("mul", whole, value.node)
            case _:
                raise error(
                    "LL0402",
                    "a weight is a finite number",
                    factor.span,
                    expected="a number, or auto for a weight that is learned",
                    found=describe(value),
                    hint=_weight_hint(factor, value),
                )
    return whole


def _finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # a whole number beyond every float
        return False


def _has_bare_auto(factor: ast.Expression) -> bool:
    """Whether ``auto`` stands in a weight without a key: the IR's own text says which slot it means."""
    calls_of_it = [node for node in ast.walk(factor) if isinstance(node, ast.Call) and node.callee == ast.Name("auto")]
    keyed = [call for call in calls_of_it if any(argument.name == "key" for argument in call.arguments)]
    return sum(name.name == "auto" for name in names(factor)) > len(keyed)


def _weight_hint(factor: ast.Expression, value: Value) -> str:
    match value:
        case Static(value=str() as text):
            return f"leave out the quotes: {text}"
        case Tensor() if value.order:
            return f"for a weight of each element: loss(weight={factor.span.text})"
        case Static(value=bool()):
            return "write 1 or 0"
        case _:
            return "leave the term out, or give it a number"


# ------------------------------------------------------------------------------------------ alone
@dataclass(frozen=True)
class Alone:
    """An expression evaluated on its own, outside any objective: its elements, and their mean."""

    value: Tensor
    present: ir.Node | None
    """Which elements exist; None where all of them do."""
    mean: ir.Node
    """What it would be as a term: the mean, or what its own call says instead."""
    inputs: dict[str, ir.Input]


def value_of(expression: ast.Expression, environment: Environment, declared: Sequence[ast.Parameter] = ()) -> Alone:
    """The value of one expression that need not be a loss: nothing is asked of its direction.

    Free names become inputs, as in an objective; ``declared`` gives types of some, as its header would.
    """
    frame = Frame(environment, declared=frozenset(parameter.name for parameter in declared))
    body = _expanded(expression, frame)
    found = Inputs(frame)
    found.declare(tuple(declared))
    found.collect(body)
    inputs, rows = _settled(found, frame, lambda inputs, session: (inputs, _rows(body, _root(frame, inputs, session))))
    value = tensor(rows.value, body.span)
    present = conjunction([condition.node for condition in value.domain])
    mean = modifiers.reduced(value, rows.reduce, body.span).node
    roots = [value.node, mean, *([] if present is None else [present])]
    plain = substitute(roots, lambda node: node.args[0] if ops.is_op(node, "mark") else None)
    present = None if present is None else plain[present]
    return Alone(replace(value, node=plain[value.node]), present, plain[mean], inputs)


# ------------------------------------------------------------------------------------------ balancers
def _piped(piped: Piped, objective: ir.Objective, scope: Scope, frame: Frame) -> ir.Objective:
    """The objective with one pass applied."""
    if piped.pipe.name in explicit.WORDS:
        return explicit.piped(piped, objective, scope)
    balancer = _balancer(piped, objective.terms, frame, scope)
    _check_once(objective, balancer, piped.pipe.step)
    return replace(objective, balancers=(*objective.balancers, balancer))


def _balancer_of(piped: Piped, frame: Frame) -> ast.Definition:
    """The balancer that a pipe names."""
    item = frame.environment.find(piped.pipe.name)
    if not isinstance(item, ast.Definition) or item.keyword != "balancer":
        names = frame.environment.balancers()
        raise error(
            "LL0206",
            f"there is no balancer or pass '{piped.pipe.name}'",
            piped.pipe.step,
            expected="one of " + ", ".join(sorted(names)),
            hint=did_you_mean(piped.pipe.name, names)
            or (f"'{item.name}' is no balancer; another term is added with +" if item is not None else None),
            fix=renamed(piped.pipe.step, piped.pipe.name, names),
        )
    return item


def _balancer(piped: Piped, terms: Sequence[ir.Term], frame: Frame, scope: Scope) -> ir.Balancer:
    """The total of a balancer over the terms it is applied to."""
    item = _balancer_of(piped, frame)
    wanted = set(piped.terms)
    chosen = [term for term in terms if term.name in wanted]
    try:
        total = balance(item, piped.pipe.arguments, chosen, frame, scope)
    except LosslangError as problem:
        raise at_call(problem, piped.pipe.step) from None
    return ir.Balancer(item.name, piped.terms, total)


def _check_once(objective: ir.Objective, balancer: ir.Balancer, span: Span) -> None:
    """A term has one weight, so one balancer."""
    for other in objective.balancers:
        taken = set(other.terms)
        shared = [name for name in balancer.terms if name in taken]
        if shared:
            raise error(
                "LL0309",
                f"'{shared[0]}' is balanced twice: by {other.name} and by {balancer.name}",
                span,
                expected="at most one balancer over a term",
                hint="keep one; as a weight, auto is the balancer uncertainty",
            )


def balance(
    definition: ast.Definition,
    arguments: Sequence[ast.Argument],
    terms: Sequence[ir.Term],
    frame: Frame,
    caller: Scope,
) -> ir.Node:
    """A balancer's body over the values and nominal weights of terms, which are tensors over an axis of their own."""
    session = caller.session
    scope = Scope(frame.environment.home(definition), session, definition.name)
    axis = scope.stacked(_terms_axis(definition), len(terms))
    session.terms[axis] = tuple(term.name for term in terms)
    session.values.update({explicit.term_value(term.name): term.value for term in terms})
    losses = ops.stack(axis, [explicit.term_value(term.name) for term in terms])
    weights = ops.stack(axis, [term.weight for term in terms])
    given: dict[str, Value] = {"loss": Tensor(losses, (axis,)), "w": Tensor(weights, (axis,))}
    own = [p for p in definition.parameters if p.name not in given]
    options = {argument.name: argument for argument in arguments}
    for parameter in definition.parameters:
        if parameter.name in given:
            scope.values[parameter.name] = given[parameter.name]
    parameters.bind_options(definition, own, options, scope, caller)
    value = memory.settled(scope, body.bindings_of(definition), lambda: _balanced(definition, scope))
    if not isinstance(value, Tensor) or value.order:
        raise error(
            "LL0307",
            "a balancer gives one number",
            definition.value.span,
            expected="a number",
            found=describe(value),
            hint="sum over the terms: sum[k](w*loss)",
        )
    return value.node


def _balanced(definition: ast.Definition, scope: Scope) -> Value:
    for binding in definition.bindings:
        scope.bind(binding.name, body.bind_value(binding, scope))
    return evaluate(definition.value, scope)


def _terms_axis(definition: ast.Definition) -> str:
    """What a balancer calls the axis of the terms: ``k`` in ``loss: real[k]``."""
    types = [p.type for p in definition.parameters if p.name in ("loss", "w")]
    groups = [t.groups[-1] for t in types if isinstance(t, ast.TensorType) and t.groups]
    return next((group[0].name for group in groups if group[0].name is not None), "k")


def _auto_weights(objective: ir.Objective, plan: Plan, scope: Scope) -> ir.Objective:
    """``auto*loss`` is uncertainty weighting of that term."""
    chosen = tuple(part.name for part in plan.parts if any(is_auto(weight) for weight in part.weights))
    if not chosen:
        return objective
    definition = LIBRARY_ONLY.find("uncertainty")
    assert isinstance(definition, ast.Definition)
    wanted = set(chosen)
    terms = [term for term in objective.terms if term.name in wanted]
    total = balance(definition, (), terms, Frame(LIBRARY_ONLY), scope)
    balancer = ir.Balancer("uncertainty", chosen, total)
    _check_once(objective, balancer, next(part.span for part in plan.parts if part.name in chosen))
    return replace(objective, balancers=(*objective.balancers, balancer))
