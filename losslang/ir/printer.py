"""The IR as legal losslang: what it prints elaborates back to the same nodes.

An objective is one definition: what is large or used twice has a line of its own, the rest stands where
it is used. A node's text is a tree of `syntax.ast`, so that brackets and line breaks are the formatter's.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from losslang.ir import maps, ops
from losslang.ir import nodes as ir
from losslang.ir.netspec import ALIASES, TAPS, NetSpec
from losslang.ir.nodes import Node, Objective
from losslang.syntax import ast, printer
from losslang.types import Axes, Axis, Kind

LIMIT = 90
"""Characters that an expression may have before it gets a line of its own."""

_BUILTIN = """
    mean var std sample_var sample_std argmin topk argtopk pyramid eigmin spectral_norm
    count logmeanexp softmax log_softmax log_sigmoid log2 log10 elu digamma
    gaussian size index pick rows auto
    lpips_heads lo hi center extent re im abs2 angle random
    last push put step epoch clock normal uniform bernoulli permutation draw store
    vjp grad iterate loss pi inf none true false as if else and or not in
"""

RESERVED = frozenset({*ops.OPS, *ops.MONOIDS, *maps.MAPS, *TAPS, *ALIASES, *_BUILTIN.split()})
"""Words that no line may be called."""


def print_objective(objective: Objective) -> str:
    """An objective as a definition; elaborating the text gives the same nodes."""
    terms = (term.name for term in objective.terms)
    text = _Text(_Names.of(objective.inputs, objective.roots(), terms, objective.models))
    owners: dict[Node, str] = {}
    for term in objective.terms:
        owners.setdefault(term.value, term.name)
    totals = [balancer.total for balancer in objective.balancers]
    totals += [] if objective.total is None else [objective.total, *_own_weights(objective)]
    text.plan([*owners, *totals, *(update.value for update in objective.updates)], owners)
    bindings = text.bindings()
    value = _piped(_terms(objective, text), objective, text)
    inputs = (ast.Parameter(node.name, _type(node, text.names)) for node in objective.inputs)
    models = (ast.Parameter(model.name, _model_type(model, text.names)) for model in objective.models)
    parameters = (*inputs, *models)
    axes = tuple(ast.Axis(axis.name, axis.size) for axis in _sized_bounds(objective.inputs))
    return printer.print_definition(
        ast.Definition("objective", objective.name, axes, parameters, None, None, tuple(bindings), value)
    )


def _sized_bounds(inputs: Sequence[ir.Input]) -> list[Axis]:
    """Axes of known extent that labels index and no input has."""
    bounds = [node.bound for node in inputs if node.bound is not None and node.bound.size is not None]
    return [axis for axis in dict.fromkeys(bounds) if all(axis not in node.dims for node in inputs)]


def _own_weights(objective: Objective) -> tuple[Node, ...]:
    """The weights where they are others than the terms' nominal ones."""
    nominal = (term.weight for term in objective.terms)
    return () if all(map(operator.is_, objective.weights, nominal)) else objective.weights


def _piped(value: ast.Expression, objective: Objective, text: _Text) -> ast.Expression:
    """The sum with its balancers, or with what the pass ``balance`` made of them."""
    every = tuple(term.name for term in objective.terms)
    for balancer in objective.balancers:
        by = ast.Argument(ast.Name(balancer.name), "by")
        of = ast.Argument(ast.ListOf(tuple(map(ast.Name, balancer.terms))), "of")
        some = () if balancer.terms == every else (of,)
        value = ast.Pipe(value, "total", (ast.Argument(text.write(balancer.total)), by, *some))
    if objective.total is not None:
        listed = tuple(text.write(weight) for weight in _own_weights(objective))
        weights = (ast.Argument(ast.ListOf(listed), "weights"),) if listed else ()
        value = ast.Pipe(value, "total", (ast.Argument(text.write(objective.total)), *weights))
    for update in objective.updates:
        kept = _keyed("store", update.key, update.dims, text.names, text.write(update.value))
        value = ast.Pipe(value, "store", kept.arguments)
    return value


def print_nodes(roots: Mapping[str, Node]) -> str:
    """Named values as bindings, with those that they share before them."""
    wanted = list(roots.values())
    inputs = [node for node in ir.topological(wanted) if isinstance(node, ir.Input)]
    text = _Text(_Names.of(inputs, wanted, roots))
    owners: dict[Node, str] = {}
    for name, node in roots.items():
        owners.setdefault(node, name)
    text.plan(wanted, owners)
    lines = text.bindings()
    lines += [ast.Binding(name, None, ast.Name(owners[n])) for name, n in roots.items() if owners[n] != name]
    return "\n".join(printer.binding_lines(line)[4:].replace("\n    ", "\n") for line in lines) + "\n"


def _terms(objective: Objective, text: _Text) -> ast.Expression:
    """The weighted sum, each term under its name."""
    terms: list[tuple[str, ast.Expression]] = []
    for term in objective.terms:
        sign, weight = "+", text.alone(term.weight)
        if isinstance(weight, ast.Number) and weight.value < 0 and terms:
            sign, weight = "-", ast.Number(-weight.value)
        value: ast.Expression = ast.Name(text.bound[term.value])
        named = text.bound[term.value] == term.name
        if term.value.axes:
            value, named = _call("rows", value), False
        if not ops.is_const(term.weight, 1) or sign == "-":
            value = ast.Binary("*", weight, value)
        terms.append((sign, value if named else ast.Labelled(value, term.name)))
    return terms[0][1] if len(terms) == 1 else ast.Sum(tuple(terms))


def _type(node: ir.Input, names: _Names) -> ast.TensorType:
    bounds = () if node.bound is None else (ast.Bound("<", ast.Name(node.bound.name)),)
    return _tensor_type(node.kind, [names.axis(axis) for axis in node.dims], node.dims, bounds)


def _tensor_type(kind: Kind, names: Sequence[str], dims: Axes, bounds: tuple[ast.Bound, ...] = ()) -> ast.TensorType:
    axes = tuple(ast.Axis(n, None if axis.rest else axis.size) for n, axis in zip(names, dims, strict=True))
    if kind.range is not None:
        bounds = (*bounds, ast.Bound("in", ast.Range(*map(_number, kind.range))))
    if kind.format is not None:
        bounds = (*bounds, ast.Bound("in", ast.Name(kind.format)))
    return ast.TensorType(kind.name, (axes,) if axes else (), bounds=bounds)


def _model_type(model: ir.ModelInput, names: _Names) -> ast.FunctionType:
    """Its own axes have their own names; ``...`` that argument and result share has one."""
    own = {axis: f"...{axis.name}" if axis.rest and axis in model.gives else str(axis) for axis in model.takes}
    gives = [own[axis] if axis in own else "..." if axis.index is None else names.axis(axis) for axis in model.gives]
    return ast.FunctionType(
        _tensor_type(model.argument, list(own.values()), model.takes), _tensor_type(model.result, gives, model.gives)
    )


# ------------------------------------------------------------------------------------------ names
@dataclass
class _Names:
    """The names that are taken, and what axes are called."""

    inputs: dict[str, ir.Input]
    taken: set[str]
    several: bool
    """Whether there are several rest axes, so that each is named."""

    @classmethod
    def of(
        cls,
        inputs: Iterable[ir.Input],
        roots: Iterable[Node],
        terms: Iterable[str],
        models: Sequence[ir.ModelInput] = (),
    ) -> _Names:
        """The names of what is to be printed."""
        known = {node.name: node for node in inputs}
        axes = {axis for node in _all_nodes(roots) for axis in node.axes}
        axes |= {axis for node in known.values() for axis in (*node.dims, *((node.bound,) if node.bound else ()))}
        taken = {*known, *RESERVED, *terms, *(axis.name for axis in axes), *(axis.root.name for axis in axes)}
        axes |= {axis for model in models for axis in model.gives if axis.index is not None}
        taken |= {*(axis.name for axis in axes), *(model.name for model in models)}
        several = sum(axis.rest for axis in axes) > 1 or any(axis.rest and axis.made for axis in axes)
        return cls(known, taken, several)

    def axis(self, axis: Axis) -> str:
        """An axis in a declaration."""
        if not axis.rest:
            return axis.name
        return f"...{axis.name}" if self.several else "..."

    def item(self, axis: Axis) -> ast.Name | ast.Rest:
        """An axis in brackets."""
        return ast.Rest(self.axis(axis)[3:]) if axis.rest else ast.Name(axis.name)

    def new(self, hint: str) -> str:
        """A name like this one that is free."""
        number = 1
        while (name := hint if number == 1 else f"{hint}{number}") in self.taken:
            number += 1
        self.taken.add(name)
        return name


def _all_nodes(roots: Iterable[Node]) -> list[Node]:
    """Every node, also those in the functions of minima."""
    found = ir.topological(roots)
    return found + [part for node in found if isinstance(node, ir.Minimum) for part in _all_nodes([node.function])]


# ------------------------------------------------------------------------------------------ texts
Write = Callable[[Sequence[ast.Expression]], ast.Expression]


@dataclass(frozen=True, slots=True)
class _View:
    """How a node is written: over which other nodes, and what a line that holds it is called."""

    args: tuple[Node, ...]
    write: Write
    hint: str = "v"
    light: bool = False
    """Short enough to be written wherever it is used."""


@dataclass
class _Text:
    """What is known while nodes are written."""

    names: _Names
    users: dict[Node, set[Node]] = field(default_factory=dict[Node, "set[Node]"])
    views: dict[Node, _View] = field(default_factory=dict[Node, _View])
    bound: dict[Node, str] = field(default_factory=dict[Node, str])
    """The nodes with a line of their own."""
    order: list[Node] = field(default_factory=list[Node])
    makers: dict[Axis, Node] = field(default_factory=dict[Axis, Node])
    """What says how long an axis is that no input has."""
    declared: set[Axis] = field(default_factory=set[Axis])
    ranged: set[Axis] = field(default_factory=set[Axis])
    """Index variables whose range has to be said in the line that is being written."""

    def plan(self, roots: Sequence[Node], owners: Mapping[Node, str]) -> None:
        """Decide what gets a line; ``owners`` are those that do, and their names."""
        every = ir.topological(roots)
        self.makers = ir.makers(roots)
        for node in every:
            for arg in node.args:
                self.users.setdefault(arg, set()).add(node)
        stacks = [node for node in every if _names_an_axis(node)]
        self.order = self._topological([*stacks, *roots])
        uses: dict[Node, int] = dict.fromkeys(roots, 1)
        forced: set[Node] = {*stacks, *owners}
        for node in self.order:
            for arg in self.view(node).args:
                uses[arg] = uses.get(arg, 0) + 1
            forced |= _forced(node)
        length: dict[Node, int] = {}
        for node in self.order:
            view = self.view(node)
            length[node] = _width(view) + sum(3 if arg in self.bound else length[arg] for arg in view.args)
            shared = uses[node] > 1 and not view.light
            if node in forced or shared or length[node] > LIMIT:
                self.bound[node] = self._called(node, owners)

    def _called(self, node: Node, owners: Mapping[Node, str]) -> str:
        wanted = owners.get(node)
        free = wanted is not None and wanted not in RESERVED and wanted not in self.names.inputs
        return wanted if wanted is not None and free else self.names.new(self.view(node).hint)

    def _topological(self, roots: Iterable[Node]) -> list[Node]:
        done: dict[Node, None] = {}
        stack = [(root, False) for root in reversed(list(roots))]
        while stack:
            node, expanded = stack.pop()
            if expanded:
                done.setdefault(node)
            elif node not in done:
                stack.append((node, True))
                stack.extend((arg, False) for arg in reversed(self.view(node).args) if arg not in done)
        return list(done)

    def view(self, node: Node) -> _View:
        """How a node is written."""
        if node not in self.views:
            self.views[node] = _view(node, self)
        return self.views[node]

    def bindings(self) -> list[ast.Binding]:
        """A line for each node that has one."""
        return [self._binding(node, name) for node, name in ((n, self.bound.get(n)) for n in self.order) if name]

    def _binding(self, node: Node, name: str) -> ast.Binding:
        inside = self._inside(node)
        counted = {arg.axes[0] for n in inside for arg in self._counted(n)}
        self.ranged = {axis for axis in counted if _is_variable(axis)} - self.declared
        axes = [ast.Axis(self.names.axis(axis), bound=self._range(axis)) for axis in _written_order(node, self.users)]
        value = self.view(node).write([self.write(arg) for arg in self.view(node).args])
        self.declared |= {axis for n in inside for axis in n.axes}
        self.ranged = set()
        return ast.Binding(name, ast.Axes(tuple(axes)) if axes else None, value)

    def _counted(self, node: Node) -> list[Node]:
        """The index variables that it counts with; as a mere position, ``x[i=i2]``, one needs no range."""
        args = [node, *self.view(node).args]
        if isinstance(node, ir.Index):
            positions = zip(node.along, args[2:], strict=True)
            args = [*args[:2], *(place for axis, place in positions if place.axes and place.axes[0].root != axis.root)]
        return [arg for arg in args if isinstance(arg, ir.Iota)] if not isinstance(node, ir.Iota) else []

    def _inside(self, node: Node) -> list[Node]:
        """The nodes that are written in the line of a node."""
        found: list[Node] = []
        waiting = [node]
        while waiting:
            current = waiting.pop()
            found.append(current)
            waiting += [arg for arg in self.view(current).args if arg not in self.bound]
        return found

    def _range(self, axis: Axis) -> ast.Expression | None:
        return _limit(axis) if axis in self.ranged else None

    def write(self, node: Node) -> ast.Expression:
        """A node as an expression: its name, or what it is."""
        if node in self.bound:
            return ast.Name(self.bound[node])
        view = self.view(node)
        return view.write([self.write(arg) for arg in view.args])

    def alone(self, node: Node) -> ast.Expression:
        """A node as an expression that mentions no line: a weight is a number of its own."""
        return self.view(node).write([self.alone(arg) for arg in self.view(node).args])

    def items(self, axes: Axes) -> tuple[ast.Expression | ast.Rest | ast.NamedIndex, ...]:
        """Axes in brackets, with the range of a variable that is met here first."""
        found: list[ast.Expression | ast.Rest | ast.NamedIndex] = []
        for axis in axes:
            name, limit = self.names.item(axis), self._range(axis)
            found.append(name if limit is None or isinstance(name, ast.Rest) else ast.Compare((name, limit), ("<",)))
        return tuple(found)


def _names_an_axis(node: Node) -> bool:
    """Whether the axis that a node makes gets its name on the left of a line."""
    return isinstance(node, ir.Stack) or (isinstance(node, ir.Map) and node.name == "concat")


def _is_variable(axis: Axis) -> bool:
    """Whether an axis comes into being where the text first names it."""
    return axis.ordinal > 0 or (axis.parent is None and axis.index is None and not axis.made)


def _forced(node: Node) -> set[Node]:
    """What needs a line: a list, an image whose order of axes matters, what is indexed along a variable."""
    match node:
        case ir.Net(args=(x,)) if not isinstance(x, ir.Input):
            return {x}
        case ir.Index(args=(x, *_)) if x.args and any(axis.ordinal for axis in node.along):
            return {x}
        case ir.Table() if not _is_gaussian(node):
            return {node}
        case _:
            return set()


def _written_order(node: Node, users: Mapping[Node, set[Node]]) -> Axes:
    """The axes of a line in order; a network takes the last four as batch, channels, height and width."""
    net = next((user for user in users.get(node, ()) if isinstance(user, ir.Net) and user.args[0] is node), None)
    if net is None:
        return node.axes
    suffix = f"_{net.spec.name}_"
    made = [axis.name.partition(suffix)[0] for axis in net.axes if axis.made > 1]
    gone = [axis for axis in node.axes if axis not in net.axes]
    by_name = {str(axis): axis for axis in gone}
    height, width = by_name[made[0]], by_name[made[1]]
    channels = next(axis for axis in gone if axis not in (height, width))
    return (*(axis for axis in node.axes if axis not in gone), channels, height, width)


def _width(view: _View) -> int:
    """The characters that a node adds to those of its operands."""
    return len(printer.print_expression(view.write([ast.Name("x")] * len(view.args)))) - len(view.args)


# ------------------------------------------------------------------------------------------ nodes
def _number(value: float | int | bool) -> ast.Expression:
    if isinstance(value, bool):
        return ast.Name("true" if value else "false")
    if math.isnan(value):
        return ast.Sum((("+", ast.Name("inf")), ("-", ast.Name("inf"))))
    if math.isinf(value):
        return ast.Name("inf") if value > 0 else ast.Unary("-", ast.Name("inf"))
    return ast.Number(value)


def _call(name: str, *args: ast.Expression, **named: ast.Expression) -> ast.Call:
    given = [*map(ast.Argument, args), *(ast.Argument(value, key) for key, value in named.items())]
    return ast.Call(ast.Name(name), tuple(given))


def _over(name: str, axes: Axes, text: _Text) -> Callable[..., ast.Expression]:
    """``name[axes if condition](...)``; the condition is the last of the two where there is one."""

    def write(x: ast.Expression, *condition: ast.Expression) -> ast.Expression:
        bracket = ast.Index(ast.Name(name), text.items(axes), condition[0] if condition else None)
        return ast.Call(bracket, (ast.Argument(x),))

    return write


def _leaf(expression: ast.Expression, hint: str = "v") -> _View:
    return _View((), lambda _: expression, hint, light=True)


def _view(node: Node, text: _Text) -> _View:
    match node:
        case ir.Op():
            return _op_view(node, text)
        case ir.Reduce():
            return _reduce_view(node, text)
        case ir.Index():
            return _index_view(node)
        case ir.Map():
            return _View(
                tuple(dict.fromkeys(node.args)), lambda args: _map(node, args, text), _MAP_HINTS.get(node.name, "y")
            )
        case ir.Stack():
            return _View(node.args, lambda args: ast.ListOf(tuple(args)), "z")
        case ir.Last():
            return _View(node.args, lambda args: _keyed("last", node.key, node.dims, text.names, *args), "old")
        case ir.Size():
            return _size_view(node, text)
        case ir.Net() | ir.Heads() | ir.NetVjp():
            return _network_view(node)
        case ir.Minimum():
            return _minimum_view(node, text)
        case ir.Model() | ir.ModelVjp():
            return _model_view(node, text)
        case _:
            return _leaf_view(node, text)


def _model_view(node: ir.Model | ir.ModelVjp, text: _Text) -> _View:
    """``D(x)``, or ``D[b, ...](x)`` where the value does not have its axes in this order by itself."""
    x, called = node.args[0], _called(node.call)
    bracket = ast.Index(called, text.items(node.call.takes))
    if isinstance(node, ir.Model):
        natural = isinstance(x, ir.Input) and x.dims == node.call.takes
        return _View(node.args, lambda args: ast.Call(called if natural else bracket, (ast.Argument(args[0]),)), "y")
    steps = ast.ListOf(tuple(map(ast.Number, node.steps)))
    return _View(node.args, lambda args: _call("vjp", bracket, *args, steps=steps), "g")


def _called(call: ir.ModelCall) -> ast.Expression:
    """A model as it is called: frozen, or at other parameters."""
    model = ast.Name(call.model.name)
    return _call("stop", model) if call.frozen else model


def _minimum_view(node: ir.Minimum, text: _Text) -> _View:
    """``argmin[a in simplex(k)](f)``: the function is written out where it stands, over the texts of the operands."""
    vector = ast.Name(text.names.new("a"))
    order = ir.topological([node.function])

    def write(args: Sequence[ast.Expression]) -> ast.Expression:
        written: dict[Node, ast.Expression] = {}
        for part in order:
            if isinstance(part, ir.Variable):
                written[part] = (vector, *args)[part.place]
            elif part not in written:
                view = text.view(part)
                written[part] = view.write([written[arg] for arg in view.args])
        chosen = ast.Member(vector, _call(node.over, ast.Name(text.names.axis(node.axes[0]))))
        return ast.Call(ast.Index(ast.Name("argmin"), (chosen,)), (ast.Argument(written[node.function]),))

    return _View(node.args, write, "best")


def _leaf_view(node: Node, text: _Text) -> _View:
    match node:
        case ir.Input(name=name):
            return _leaf(ast.Name(name))
        case ir.Const(value=value):
            return _leaf(_number(value))
        case ir.Iota(axes=(axis,)):
            return _leaf(_call("index", ast.Name(axis.name)) if axis.name in text.names.inputs else ast.Name(axis.name))
        case ir.TermValue(term=term):
            return _leaf(ast.Index(ast.Name("loss"), (ast.Name(term),)))
        case ir.Slot():
            bounds = {"lower": node.lower, "upper": node.upper}
            named = {name: _number(limit) for name, limit in bounds.items() if limit is not None}
            auto = _keyed("auto", node.key, node.dims, text.names, _start(node.init), **named)
            return _View((), lambda _: auto, _identifier(node.key))
        case ir.Clock(name=name):
            return _leaf(_call("clock", ast.String(name)) if name in text.names.inputs else ast.Name(name))
        case ir.Draw():
            drawn = _keyed("draw", node.key, node.dims, text.names, ast.String(node.name))
            return _View((), lambda _: drawn, _identifier(node.key))
        case ir.Table():
            return _table_view(node)
        case _:
            raise TypeError(f"no text for {type(node).__name__}")


def _start(init: float | ir.Noise) -> ast.Expression:
    if isinstance(init, ir.Noise):
        return _call(init.name, _number(init.first), _number(init.second))
    return _number(init)


def _keyed(word: str, key: str, dims: Axes, names: _Names, *args: ast.Expression, **named: ast.Expression) -> ast.Call:
    """``last(x, key="moco.queue", axes=[n < 8, d])``: what has a place of its own outside the text."""
    items = [_ranged(axis, names) for axis in dims]
    axes = {"axes": ast.ListOf(tuple(items))} if items else {}
    return _call(word, *args, key=ast.String(key), **named, **axes)


def _ranged(axis: Axis, names: _Names) -> ast.Expression | ast.Rest:
    """An axis, with its range where it may be named here first."""
    name = names.item(axis)
    if isinstance(name, ast.Rest) or not _is_variable(axis):
        return name
    return ast.Compare((name, _limit(axis)), ("<",))


def _limit(axis: Axis) -> ast.Expression:
    """The range of an index variable."""
    return ast.Name(axis.root.name) if axis.ordinal else ast.Number(axis.size or 0)


def _identifier(key: str) -> str:
    last = "_".join(key.split(".")[-2:])
    return last if last.isidentifier() else "v"


def _table_view(node: ir.Table) -> _View:
    sigma = _sigma(node.values)
    if _is_gaussian(node):
        return _View((), lambda _: _call("gaussian", ast.Number(len(node.values)), _number(sigma)), "window")
    return _View((), lambda _: ast.ListOf(tuple(map(_number, node.values))), "w")


def _is_gaussian(node: ir.Table) -> bool:
    """Whether ``gaussian(n, sigma)`` gives exactly this table."""
    count = len(node.values)
    if node.axes[0] != Axis(f"window{count}", count):
        return False
    sigma = _sigma(node.values)
    return sigma > 0 and tuple(ops.gaussian(count, sigma)) == node.values


def _sigma(values: tuple[float, ...]) -> float:
    """The width of the bell that these values may be, or 0."""
    middle = len(values) // 2
    if not 0 < values[0] < values[middle]:
        return 0.0
    centre = (len(values) - 1) / 2
    spread = (centre**2 - (middle - centre) ** 2) / (2 * math.log(values[middle] / values[0]))
    return round(math.sqrt(spread), 9)


def _size_view(node: ir.Size, text: _Text) -> _View:
    if node.args:
        return _View(node.args, lambda args: _over("size", (node.axis,), text)(*args), "n")
    if not node.axis.rest:
        return _leaf(_call("size", ast.Name(node.axis.name)))
    if node.axis in text.makers:
        return _View((text.makers[node.axis],), lambda args: _over("size", (node.axis,), text)(*args), "n")
    holder = next((name for name, known in text.names.inputs.items() if node.axis in known.axes), None)
    if holder is None:  # a gradient that depends on no input: it is shown, not read back
        return _leaf(_call("size", ast.Name(str(node.axis))))
    return _View((), lambda _: _over("size", (node.axis,), text)(ast.Name(holder)), "n")


def _network_view(node: ir.Net | ir.Heads | ir.NetVjp) -> _View:
    net = _network(node.spec)
    if isinstance(node, ir.NetVjp):
        taps = ast.ListOf(tuple(map(ast.Number, node.taps)))
        return _View(node.args, lambda args: _call("vjp", net, *args, taps=taps), "g")
    tap = (ast.NamedIndex("l", ast.Number(node.tap)),)
    if isinstance(node, ir.Heads):
        return _leaf(ast.Index(_call("lpips_heads", net), tap), "heads")
    return _View(node.args, lambda args: ast.Index(ast.Call(net, (ast.Argument(args[0]),)), tap), "f")


def _network(spec: NetSpec) -> ast.Expression:
    match spec.weights:
        case "random":
            return _call(spec.name, weights=_call("random", seed=ast.Number(spec.seed or 0)))
        case "path":
            return _call(spec.name, weights=ast.String(spec.path or ""))
        case _:
            return _call(spec.name)


_MAP_HINTS = {"sort": "sorted", "rank": "place", "cumsum": "running"}


def _map(node: ir.Map, args: Sequence[ast.Expression], text: _Text) -> ast.Expression:
    """``sort[j](x, by=key)``: what a map takes, then what it is told; a key that is the value itself is left out."""
    by = maps.MAPS[node.name].by
    written = dict(zip(dict.fromkeys(node.args), args, strict=True))
    count = len(node.args) - len(by)
    given = [ast.Argument(written[arg]) for arg in node.args[:count]]
    keys = zip(by, node.args[count:], strict=True)
    given += [ast.Argument(written[key], name) for name, key in keys if key is not node.args[0]]
    given += [ast.Argument(_option(value), name) for name, value in node.options]
    return ast.Call(ast.Index(ast.Name(node.name), text.items(node.over)), tuple(given))


def _option(value: ir.Option) -> ast.Expression:
    return ast.Name(value) if isinstance(value, str) else _number(value)


def _index_view(node: ir.Index) -> _View:
    base, *positions = node.args
    names = [axis.name for axis in node.along]
    if any(_adds_filter(position, axis) for axis, position in zip(node.along, positions, strict=True)):
        return _View(node.args, lambda args: _call("pick", args[0], **dict(zip(names, args[1:], strict=True))))

    def write(args: Sequence[ast.Expression]) -> ast.Expression:
        items = (ast.NamedIndex(name, value) for name, value in zip(names, args[1:], strict=True))
        return ast.Index(args[0], tuple(items))

    light = all(isinstance(position, ir.Iota) for position in positions)
    return _View((base, *positions), write, light=light)


def _adds_filter(position: Node, axis: Axis) -> bool:
    """Whether the language leaves out what such a position puts outside: arithmetic, a variable over another axis."""
    if isinstance(position, ir.Iota):
        return position.axes[0].root != axis.root
    plain = (ir.Op, ir.Iota, ir.Const, ir.Size)
    return isinstance(position, ir.Op) and all(isinstance(node, plain) for node in ir.topological([position]))


def _reduce_view(node: ir.Reduce, text: _Text) -> _View:
    counts = node.monoid == "sum" and node.args[0].dtype == "bool"
    name = "count" if counts else node.monoid
    hint = {"logsumexp": "lse", "sum": "s", "count": "n", "max": "top", "min": "low"}.get(name, "v")
    return _View(node.args, lambda args: _over(name, node.over, text)(*args), hint)


# ------------------------------------------------------------------------------------------ elementwise
_COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<="}
_BINARY = {"mul": "*", "div": "/", "pow": "^", "and": "and", "or": "or"}
_HINTS = {
    "sigmoid": "p",
    "exp": "e",
    "sqrt": "r",
    "max": "top",
    "min": "low",
    "sub": "d",
    "abs": "a",
    "where": "w",
}


def _op_view(node: ir.Op, text: _Text) -> _View:
    special = _mean_view(node, text) or _softmax_view(node, text)
    if special is not None:
        return special
    args = node.args
    if ops.OPS[node.name].dtype is None and node.name not in ("where", "stop"):
        args = tuple(arg.args[0] if _is_flag(arg) else arg for arg in args)
    if node.name == "mul" and args[0] is args[1]:
        return _View(args[:1], lambda x: ast.Binary("^", x[0], ast.Number(2)), "q")
    name = node.name
    hint = "m" if node.dtype == "bool" else _HINTS.get(name, "v")
    simple = name in ("neg", "not") or (name in _COMPARISONS and all(not arg.args for arg in args))
    return _View(args, lambda written: _operation(name, written), hint, light=simple)


def _is_flag(node: Node) -> bool:
    """Whether this is a condition as a number: arithmetic converts it by itself."""
    return ops.is_op(node, "real") and node.args[0].dtype == "bool"


def _operation(name: str, args: Sequence[ast.Expression]) -> ast.Expression:
    match name, args:
        case "add" | "sub", (x, y):
            if name == "add" and isinstance(y, ast.Sum) and not isinstance(x, ast.Sum):
                x, y = y, x
            first = x.terms if isinstance(x, ast.Sum) else (("+", x),)
            return ast.Sum((*first, ("+" if name == "add" else "-", y)))
        case "neg", (x,):
            return ast.Unary("-", x)
        case "not", (x,):
            return ast.Unary("not", x)
        case "real", (x,):
            return ast.Binary("*", ast.Number(1.0), x)
        case "where", (condition, x, y):
            return ast.Conditional(x, condition, y)
        case _, (x, y) if name in _COMPARISONS:
            return ast.Compare((x, y), (_COMPARISONS[name],))
        case _, (x, y) if name in _BINARY:
            return ast.Binary(_BINARY[name], x, y)
        case _:
            return _call(name, *args)


def _mean_view(node: ir.Op, text: _Text) -> _View | None:
    """A sum over a count is a mean, where writing it so gives the same node."""
    if node.name != "div" or not isinstance(node.args[0], ir.Reduce) or node.args[0].monoid != "sum":
        return None
    total = node.args[0]
    x, *mask = total.args
    if text.users.get(total, set()) - {node} or x.dtype == "bool" or ops.mean(x, total.over, *mask) is not node:
        return None
    return _View(total.args, lambda args: _over("mean", total.over, text)(*args), "mu")


def _softmax_view(node: ir.Op, text: _Text) -> _View | None:
    """``x - logsumexp[c](x)`` is ``log_softmax[c](x)``, and its exponential ``softmax[c](x)``."""
    inner = node.args[0] if node.name == "exp" else node
    lse = _own_logsumexp(inner, text)
    if lse is None or (inner is not node and text.users.get(inner, set()) - {node}):
        return None
    name, hint = ("log_softmax", "logp") if inner is node else ("softmax", "p")
    return _View(lse.args, lambda args: _over(name, lse.over, text)(*args), hint)


def _own_logsumexp(node: Node, text: _Text) -> ir.Reduce | None:
    match node:
        case ir.Op(name="sub", args=(x, ir.Reduce(monoid="logsumexp") as lse)) if lse.args[0] is x:
            return None if text.users.get(lse, set()) - {node} else lse
        case _:
            return None
