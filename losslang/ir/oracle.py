"""The second opinion: evaluates the IR in numpy float64, with no cleverness.

A value is an array whose dimensions follow the node's axes; a rest axis takes as many as the inputs have.
Networks are opaque to it: the caller passes functions for them.
"""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from losslang.ir import maps, ops, twins
from losslang.ir import nodes as ir
from losslang.ir.models import model, operand_dims, result_dims, rows_of
from losslang.ir.netspec import NetSpec
from losslang.ir.nodes import Node
from losslang.types import Axes, Axis, ordered, places

Array: TypeAlias = NDArray[Any]
Network: TypeAlias = Callable[[Array], Sequence[Array]]
"""Image [b, c, h, w] to its feature maps."""
NetworkVjp: TypeAlias = Callable[[Array, Mapping[int, Array]], Array]
"""Image and the cotangents of some taps to the image's cotangent."""


class ModelTwin(Protocol):
    """A model and its derivatives, as functions of arrays in the order of the model's own dimensions."""

    def run(self, call: ir.ModelCall, steps: tuple[int, ...], args: Sequence[Array], rows: Sequence[int]) -> Array:
        """What the model gives, or a derivative of that; of each cotangent the first ``rows`` dimensions are rows."""
        ...


class Oracle:
    """Evaluates nodes for one set of inputs.

    Args:
        inputs: arrays by input name, dimensions as the input declares them.
        slots: values of learned slots by key; their initial value where absent.
        networks: feature maps of a network, and ``vjps`` their transposes, by spec.
        heads: LPIPS weights of each tap, by spec.
        state: what training calls before this one have stored, by key; nothing before the first.
        clocks: ``step`` and ``epoch``; 0 where absent.
        draws: random tensors by key; made from ``seed`` where absent.
        models: the models that the caller passes, by name.
    """

    def __init__(
        self,
        inputs: Mapping[str, Any],
        slots: Mapping[str, Any] | None = None,
        networks: Mapping[NetSpec, Network] | None = None,
        vjps: Mapping[NetSpec, NetworkVjp] | None = None,
        heads: Mapping[NetSpec, Sequence[Array]] | None = None,
        state: Mapping[str, Any] | None = None,
        clocks: Mapping[str, int] | None = None,
        draws: Mapping[str, Any] | None = None,
        seed: int = 0,
        models: Mapping[str, ModelTwin] | None = None,
    ) -> None:
        self.inputs = {name: np.asarray(value) for name, value in inputs.items()}
        self.slots = slots or {}
        self.state = {key: np.asarray(value) for key, value in (state or {}).items()}
        self.clocks, self.draws = clocks or {}, draws or {}
        self.seed = seed
        self.networks, self.vjps, self.heads = networks or {}, vjps or {}, heads or {}
        self.models = models or {}
        self.shapes: dict[Axis, tuple[int, ...]] = {}
        self.values: dict[Node, Array] = {}
        self.features: dict[tuple[NetSpec, Node], Sequence[Array]] = {}

    def evaluate(self, roots: Iterable[Node]) -> list[Array]:
        """The value of each root."""
        wanted = list(roots)
        for node in ir.topological(wanted):
            if isinstance(node, ir.Input):
                self.learn(node)
        order = self._order(wanted)
        with np.errstate(all="ignore"):
            for node in order:
                if node not in self.values:
                    self.values[node] = self._value(node)
                    self._measure(node)
        return [np.broadcast_to(self.values[root], self.shape(root.axes)) for root in wanted]

    def advance(self, updates: Iterable[ir.Update]) -> dict[str, Array]:
        """What a training call leaves for the next one: the ``state`` of the next oracle."""
        wanted = list(updates)
        values = self.evaluate([update.value for update in wanted])
        stored: dict[str, Array] = {}
        for update, value in zip(wanted, values, strict=True):
            axes = ordered(set(update.dims))
            whole = np.broadcast_to(self.spread(value, update.value.axes, axes), self.shape(axes))
            stored[update.key] = whole.transpose(self.places_in_order(update.dims, axes))
        return stored

    def _order(self, roots: Sequence[Node]) -> list[Node]:
        """Operands first, and before an extent that only another node says, that node."""
        made = ir.makers(roots)

        def operands(node: Node) -> tuple[Node, ...]:
            if isinstance(node, ir.ModelVjp):  # its cotangent has the axes of what the model gives
                return (*node.args, model(node.call, node.args[:1]))
            return ir.measured(node, made)

        return ir.topological(roots, operands)

    # ------------------------------------------------------------------------------------- shapes
    def learn(self, node: ir.Input) -> None:
        """Note the extents of an input's axes."""
        shape = self.inputs[node.name].shape
        spare = len(shape) - sum(not axis.rest for axis in node.dims)
        place = 0
        for axis in node.dims:
            width = spare if axis.rest else 1
            self.shapes.setdefault(axis.root, shape[place : place + width])
            place += width

    def _measure(self, node: Node) -> None:
        """Note the extents of axes that this node made."""
        place = 0
        for axis in node.axes:
            width = self.rank(axis)
            if axis.root not in self.shapes and axis.root.size is None:
                self.shapes[axis.root] = self.values[node].shape[place : place + width]
            place += width

    def extent(self, axis: Axis) -> tuple[int, ...]:
        """The dimensions of an axis: one, or any number where it is a rest axis."""
        root = axis.root
        return (root.size,) if root.size is not None else self.shapes[root]

    def rank(self, axis: Axis) -> int:
        """How many dimensions an axis stands for."""
        return len(self.shapes[axis.root]) if axis.rest else 1

    def shape(self, axes: Axes) -> tuple[int, ...]:
        """The full shape of a value with these axes."""
        return tuple(length for axis in axes for length in self.extent(axis))

    def align(self, node: Node, axes: Axes) -> Array:
        """A node's value with a dimension of 1 for each of ``axes`` that it lacks."""
        return self.spread(self.values[node], node.axes, axes)

    def spread(self, value: Array, own: Axes, axes: Axes) -> Array:
        """A value with axes ``own`` with a dimension of 1 for each of ``axes`` that it lacks."""
        shape: list[int] = []
        place = 0
        for axis in axes:
            width = self.rank(axis)
            if axis in own:
                shape += value.shape[place : place + width]
                place += width
            else:
                shape += [1] * width
        return value.reshape(shape)

    def places(self, over: Axes, axes: Axes) -> tuple[int, ...]:
        """The positions of axes among the dimensions of a value."""
        return tuple(places(over, axes, self.rank))

    def places_in_order(self, dims: Axes, axes: Axes) -> tuple[int, ...]:
        """Where each of ``dims`` is among the dimensions of a value with ``axes``."""
        return tuple(place for axis in dims for place in self.places((axis,), axes))

    def from_dims(self, value: Array, dims: Axes, axes: Axes) -> Array:
        """A value with the dimensions of ``dims``, in the order of ``axes``."""
        return np.transpose(value, self.places_in_order(axes, dims))

    # ------------------------------------------------------------------------------------- values
    def _value(self, node: Node) -> Array:
        match node:
            case ir.Input():
                return self._input(node)
            case ir.Const():
                return np.asarray(node.value, dtype=np.float64 if node.dtype == "real" else None)
            case ir.Table():
                return np.asarray(node.values, dtype=np.float64)
            case ir.Slot():
                value = self.slots[node.key] if node.key in self.slots else self._start(node)
                return self.from_dims(np.asarray(value, dtype=np.float64), node.dims, node.axes)
            case ir.Last():
                if node.key in self.state:
                    return self.from_dims(self.state[node.key], node.dims, node.axes)
                return np.broadcast_to(self.align(node.args[0], node.axes), self.shape(node.axes))
            case ir.Clock():
                return np.asarray(self.clocks.get(node.name, 0))
            case ir.Draw():
                value = self.draws[node.key] if node.key in self.draws else self._draw(node.name, node)
                return self.from_dims(np.asarray(value), node.dims, node.axes)
            case ir.Iota():
                extent = self.extent(node.axes[0])
                return np.arange(math.prod(extent)).reshape(extent)
            case ir.Size():
                return np.asarray(math.prod(self.extent(node.axis)))
            case ir.Op():
                args = [self.align(arg, node.axes) for arg in node.args]
                if node.name == "div" and node.args[1].dtype == "int" and not node.args[1].axes:
                    args[1] = np.where(args[1] == 0, 1, args[1])  # a count: the mean of nothing is 0
                return ELEMENTWISE[node.name](*args)
            case ir.Reduce():
                return self._reduce(node)
            case ir.Index():
                return self._index(node)
            case ir.Stack():
                shape = self.shape(tuple(axis for axis in node.axes if axis != node.axis))
                inner = tuple(axis for axis in node.axes if axis != node.axis)
                items = [np.broadcast_to(self.align(arg, inner), shape) for arg in node.args]
                return np.stack(items, axis=self.places((node.axis,), node.axes)[0])
            case ir.Map():
                return self._map(node)
            case ir.Net():
                return self._features(node.spec, node.args[0])[node.tap]
            case ir.Heads():
                return np.asarray(self.heads[node.spec][node.tap], dtype=np.float64)
            case ir.Model():
                return self._model(node)
            case ir.ModelVjp():
                return self._model_vjp(node)
            case ir.Minimum():
                return self._minimum(node)
            case ir.NetVjp():
                cotangents = {tap: self.full(arg) for tap, arg in zip(node.taps, node.args[1:], strict=True)}
                return self.vjps[node.spec](self.values[node.args[0]], cotangents)
            case _:
                raise TypeError(f"the oracle cannot evaluate {type(node).__name__}")

    def full(self, node: Node) -> Array:
        """A node's value with every dimension at its full extent."""
        return np.broadcast_to(self.values[node], self.shape(node.axes))

    def _input(self, node: ir.Input) -> Array:
        value = self.inputs[node.name]
        if node.kind.dtype == "real":
            value = value.astype(np.float64)
        dims = [place for axis in node.axes for place in self._declared_places(node, axis)]
        return value.transpose(dims)

    def _declared_places(self, node: ir.Input, axis: Axis) -> tuple[int, ...]:
        return self.places((axis,), node.dims)

    def _features(self, spec: NetSpec, x: Node) -> Sequence[Array]:
        if (spec, x) not in self.features:
            self.features[spec, x] = self.networks[spec](self.full(x))
        return self.features[spec, x]

    def _start(self, node: ir.Slot) -> Array:
        """Where a learned value starts."""
        if not isinstance(node.init, ir.Noise):
            return np.full(self.shape(node.dims), node.init)
        draw = self._draw(node.init.name, node)
        width = node.init.second - (node.init.first if node.init.name == "uniform" else 0.0)
        return node.init.first + width * draw

    def _draw(self, name: str, node: ir.Slot | ir.Draw) -> Array:
        """Numbers that hang on the seed and the key only, in whichever order nodes are evaluated."""
        random, shape = np.random.default_rng([self.seed, *node.key.encode()]), self.shape(node.dims)
        match name:
            case "normal":
                return random.normal(size=shape)
            case "permutation":
                return np.argsort(random.random(shape), axis=-1)
            case _:
                return random.random(shape)

    def _reduce(self, node: ir.Reduce) -> Array:
        axes = tuple(sorted({a for arg in node.args for a in arg.axes}, key=lambda axis: axis.key))
        x = np.broadcast_to(self.align(node.args[0], axes), self.shape(axes))
        mask = None
        if len(node.args) > 1:
            mask = np.broadcast_to(self.align(node.args[1], axes), self.shape(axes))
        return MONOIDS[node.monoid](x, mask, self.places(node.over, axes))

    def _index(self, node: ir.Index) -> Array:
        x = node.args[0]
        shape = self.shape(node.axes)
        if 0 in self.shape(x.axes):
            return np.zeros(shape, dtype=self.values[x].dtype)  # every place is outside
        index: list[Array] = []
        positions = dict(zip(node.along, node.args[1:], strict=True))
        for axis in x.axes:
            if axis in positions:
                extent = self.extent(axis)
                place = np.clip(self.align(positions[axis], node.axes), 0, math.prod(extent) - 1)
                index += np.unravel_index(np.broadcast_to(place, shape), extent) if extent else ()
            else:
                grids = np.indices(shape)
                index += [grids[place] for place in self.places((axis,), node.axes)]
        return self.full(x)[tuple(index)]

    def _model(self, node: ir.Model) -> Array:
        value = self.models[node.call.model.name].run(node.call, (), self._operands(node.call, node.args, ()), ())
        known = sum(self.rank(axis) for axis in node.call.gives if not axis.rest or axis in self.shapes)
        place = 0
        for axis in node.call.gives:
            own = axis.rest and axis not in self.shapes
            width = value.ndim - known if own else self.rank(axis)
            self.shapes.setdefault(axis.root, value.shape[place : place + width])
            place += width
        return self._in_axes(value, node.call.gives, node.axes)

    def _model_vjp(self, node: ir.ModelVjp) -> Array:
        call, args, steps = node.call, node.args, node.steps
        rows: list[int] = []
        for level, g in enumerate(args[len(args) - len(steps) :]):
            before = result_dims(call, args[: len(args) - len(steps) + level], steps[:level])
            rows.append(sum(self.rank(axis) for axis in rows_of(g, before)))
        value = self.models[call.model.name].run(call, steps, self._operands(call, args, steps), rows)
        return self._in_axes(value, result_dims(call, args, steps), node.axes)

    def _operands(self, call: ir.ModelCall, args: tuple[Node, ...], steps: tuple[int, ...]) -> list[Array]:
        """The operands of a call in the order of its dimensions, with all of them."""
        found: list[Array] = []
        for place, arg in enumerate(args):
            dims = operand_dims(call, args, steps, place)
            axes = ordered(set(dims))
            full = np.broadcast_to(self.align(arg, axes), self.shape(axes))
            found.append(full.transpose([at for axis in dims for at in self.places((axis,), axes)]))
        return found

    def _in_axes(self, value: Array, dims: Axes, axes: Axes) -> Array:
        """Dimensions brought from the order of a model to that of the axes."""
        return value.transpose([at for axis in axes for at in self.places((axis,), dims)])

    def _minimum(self, node: ir.Minimum) -> Array:
        """By projected gradients; the compiled form takes Newton's steps."""
        held = [self.full(arg) for arg in node.args]

        def at(vector: Array, part: Node) -> Array:
            inner = Oracle(self.inputs, self.slots)
            inner.shapes = self.shapes
            for leaf in ir.topological([part]):
                if isinstance(leaf, ir.Variable):
                    inner.values[leaf] = vector if leaf.place == 0 else held[leaf.place - 1]
            return inner.evaluate([part])[0]

        start = np.full(self.shape(node.axes), 1.0)
        return _least(node, start, lambda x: float(at(x, node.function)), lambda x: at(x, node.gradient))

    def _map(self, node: ir.Map) -> Array:
        apart = maps.stands_apart(node.name)
        axes = node.args[0].axes if apart else ops.merge(node.args)
        args = [self.full(arg) if apart else self._full_at(arg, axes) for arg in node.args]
        dims = tuple(dim for axis in node.over for dim in self.places((axis,), axes))
        return twins.TWINS[node.name](twins.Run(node, args, dims, self.shape, self.places))

    def _full_at(self, node: Node, axes: Axes) -> Array:
        return np.broadcast_to(self.align(node, axes), self.shape(axes))


def _least(node: ir.Minimum, x: Array, function: Callable[[Array], float], gradient: Callable[[Array], Array]) -> Array:
    """Spectral projected gradients (Birgin, Martinez and Raydan 2000): no second derivatives."""
    project: Callable[[Array], Array] = _onto_simplex if node.over == "simplex" else lambda x: np.maximum(x, 0.0)
    x = project(x)
    value, slope = function(x), gradient(x)
    scale = float(np.max(np.abs(slope))) or 1.0
    recent, step = [value], 1 / scale
    for _ in range(20_000):
        if np.max(np.abs(project(x - slope / scale) - x)) < 1e-12:
            break
        change = project(x - step * slope) - x
        size = 1.0
        while not function(x + size * change) <= max(recent[-10:]) + 1e-4 * size * float(slope @ change):
            size /= 2
            if size < 1e-18:
                return x
        moved = x + size * change
        new = gradient(moved)
        curvature = float((moved - x) @ (new - slope))
        step = float((moved - x) @ (moved - x)) / curvature if curvature > 0 else 1 / scale
        x, slope = moved, new
        recent.append(function(x))
    return x


def _onto_simplex(x: Array) -> Array:
    """The nearest vector of numbers that are at least 0 and add up to 1."""
    falling = np.sort(x)[::-1]
    excess = (np.cumsum(falling) - 1) / np.arange(1, len(x) + 1)
    return np.maximum(x - excess[np.count_nonzero(falling > excess) - 1], 0.0)


# ------------------------------------------------------------------------------------------ tables
def _softplus(x: Array) -> Array:
    return np.logaddexp(0.0, x)


def _sigmoid(x: Array) -> Array:
    return np.exp(-np.logaddexp(0.0, -x))


_erf = np.vectorize(math.erf, otypes=[np.float64])


def _lgamma_of(x: float) -> float:
    return math.inf if x == -math.inf or (x <= 0 and x == math.floor(x)) else math.lgamma(x)


_lgamma = np.vectorize(_lgamma_of, otypes=[np.float64])

_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)
"""The Bernoulli numbers of even order from the second on."""

_ASYMPTOTIC = 20.0
"""Beyond it the asymptotic series of polygamma is exact to double precision."""


def _polygamma(order: Array, x: Array) -> Array:
    """The derivatives of the logarithm of the gamma function: recurrence up to large x, then the asymptotic series."""
    n, x = int(order.flat[0]), np.array(x, dtype=np.float64)
    total = np.zeros_like(x)
    while np.any(small := x < _ASYMPTOTIC):
        total = np.where(small, total + x ** -(n + 1.0), total)
        x = np.where(small, x + 1, x)
    series = sum(
        b * math.factorial(2 * k + n - 1) / math.factorial(2 * k) * x ** -(2.0 * k + n)
        for k, b in enumerate(_BERNOULLI, 1)
    )
    tail = series + 0.5 * math.factorial(n) * x ** -(n + 1.0)
    lead = -np.log(x) if n == 0 else math.factorial(n - 1) * x ** -float(n)
    return (-1.0) ** (n + 1) * (math.factorial(n) * total + tail + lead)


ELEMENTWISE: dict[str, Callable[..., Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.true_divide,
    "neg": np.negative,
    "pow": lambda x, y: np.power(np.asarray(x, dtype=np.float64), y),
    "max": np.maximum,
    "min": np.minimum,
    "clamp": lambda x, low, high: np.minimum(np.maximum(x, low), high),
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "expm1": np.expm1,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "sign": lambda x: np.sign(np.asarray(x, dtype=np.float64)),
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "arsinh": np.arcsinh,
    "arcosh": np.arccosh,
    "artanh": np.arctanh,
    "erf": _erf,
    "lgamma": _lgamma,
    "polygamma": _polygamma,
    "floor": lambda x: np.floor(np.asarray(x, dtype=np.float64)),
    "ceil": lambda x: np.ceil(np.asarray(x, dtype=np.float64)),
    "round": lambda x: np.round(np.asarray(x, dtype=np.float64)),
    "int": lambda x: np.asarray(x).astype(np.int64),
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "not": np.logical_not,
    "where": np.where,
    "real": lambda x: np.asarray(x, dtype=np.float64),
    "stop": lambda x: x,
}


def _masked(x: Array, mask: Array | None, empty: float) -> Array:
    return x if mask is None else np.where(mask, x, empty)


def _extremum(ufunc: Any, empty: float) -> Callable[[Array, Array | None, tuple[int, ...]], Array]:
    def reduce(x: Array, mask: Array | None, dims: tuple[int, ...]) -> Array:
        whole = x.dtype.kind in "iu"
        initial = int(np.clip(empty, np.iinfo(np.int64).min, np.iinfo(np.int64).max)) if whole else empty
        return ufunc.reduce(_masked(x, mask, initial), axis=dims, initial=initial)

    return reduce


def _argmax(x: Array, mask: Array | None, dims: tuple[int, ...]) -> Array:
    return np.argmax(_masked(x, mask, -np.inf), axis=dims[0])


MONOIDS: dict[str, Callable[[Array, Array | None, tuple[int, ...]], Array]] = {
    "sum": lambda x, mask, dims: np.sum(_masked(x, mask, 0), axis=dims),
    "prod": lambda x, mask, dims: np.prod(_masked(x, mask, 1), axis=dims),
    "max": _extremum(np.maximum, -np.inf),
    "min": _extremum(np.minimum, np.inf),
    "logsumexp": lambda x, mask, dims: (
        np.logaddexp.reduce(_masked(x, mask, -np.inf), axis=dims, initial=-np.inf)
        if len(dims) == 1
        else _logsumexp(_masked(x, mask, -np.inf), dims)
    ),
    "any": lambda x, mask, dims: np.any(_masked(x, mask, 0), axis=dims),
    "all": lambda x, mask, dims: np.all(_masked(x, mask, 1), axis=dims),
    "argmax": _argmax,
}


def _logsumexp(x: Array, dims: tuple[int, ...]) -> Array:
    for place in sorted(dims, reverse=True):
        x = np.logaddexp.reduce(x, axis=place, initial=-np.inf)
    return x
