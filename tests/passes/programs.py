"""What the tests of the IR run on: every loss of the library, composites, random inputs, random programs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from losslang.ir import nodes as ir
from losslang.ir import ops
from losslang.ir.grad import gradients
from losslang.ir.netspec import TAPS, NetSpec
from losslang.ir.nodes import Node, Objective
from losslang.ir.oracle import Oracle
from losslang.sema.elaborate import elaborate
from losslang.sema.modules import Entry, library
from losslang.sema.resolve import open_axes
from losslang.source import Source
from losslang.syntax import ast
from losslang.testing.models import stand_in
from losslang.types import BOOL, REAL, Axis, Kind

Array = NDArray[Any]

NETWORKS = ("lpips", "content", "style")
SPELLED = {
    "w_mse": ("eps=0.5",),
    "mochi": ("hard=3",),
    "stft_loss": ("n=8", "hop=2", "win=8"),
    "multi_resolution_stft": ("n=[8, 4]", "hop=[2, 1]", "win=[8, 4]"),
    "sinkhorn": ("steps=3",),
}
"""What losses need besides their defaults: here are fewer samples than dimensions, short queues, short sounds."""


def call_of(entry: Entry) -> str:
    """A call of a loss that brings what has no default: a network, the extents of tables."""
    sizes = open_axes(entry.item) if isinstance(entry.item, ast.Definition) else []
    given = [f"{name}=7" for name in sizes]
    given += ["squeeze(weights=random(seed=0))"] if entry.name in NETWORKS else []
    given += SPELLED.get(entry.name, ())
    return f"{entry.name}({', '.join(given)})" if given else entry.name


LOSSES = tuple(call_of(entry) for entry in library() if entry.keyword in ("loss", "alias"))

STATEFUL = (
    """
loss contrast(q, k: unit[i, d]) -> [i]:
    old[n, d] = last(queue, 0)
    queue = push(old, k)
    softplus(logsumexp[n](dot(q[i], old[n])) - dot(q, k))
objective main: contrast(n=5) + l1(queue, q)
""",
    """
loss table(x: real[i, c], ids: int[i], samples: int) -> [i]:
    old[n < samples] = last(new, 2)
    new = put(old, ids, sum[c](x)^2)
    new[ids]*mean[c](x)
objective main: table(samples=4)
""",
    """
loss drift(x: real[b, ...], d: real = 0.9) -> [b, ...]:
    m = d*last(m, 0) + (1 - d)*x
    calls = last(calls, 0) + 1
    abs(x - m)*calls
objective main: ramp(0.5, 2, begin=-2, end=2)*drift + ramp(1, 0, begin=3, end=4, step=epoch)*mse
""",
    """
objective main(step, x: real[b]):
    m = 0.9*last(m, 1) + 0.1*mean[b](x^2)
    mse(x, step)/m as scaled + ramp(1, 2, begin=-1, end=1)*l1(x, step)
""",
    """
loss noisy(x: real[b, c], z: real[c, b] = normal(0.1), m: bool[b] = bernoulli(0.5),
           order: int[b] = permutation()) -> [b, c]:
    abs(x + z - 0.3*x[b=order])*m
objective main: noisy + noisy(x, z=0, m=true) as calm
""",
    """
loss proxy(z: embed[i, d], labels: label[i] < c, proxies: real[c, d] = auto(normal(0.1)),
           s: real[c] > 0 = auto(2)) -> [i]:
    v[i, c] = dot(z[i], proxies[c])*s[c]
    logsumexp[c](v) - v[labels]
objective main: proxy(c=4, d=5)
""",
    """
balancer b(loss, w: real[k], keep: bool = bernoulli(0.9)):
    m[k] = 0.9*last(m[k], 1) + keep*stop(loss)
    n = last(n, 0) + 1
    s[k, t < 2] = auto(0.5)
    sum[k](stop(softmax[k](m/n))*w*loss*sum[t](s))
objective main: l1 + 2*mse | b
""",
)
"""State, time, chance and learned tensors."""

COMPOSITES = (
    "l1 + 0.5*focal(gamma=1.5) | uncertainty",
    "auto*l1 + auto*mse(a, b) + 0.5*ce",
    "0.1*(l1 + 2*mse | uncertainty) + focal",
    "triplet(mine=semihard, hinge=softplus)",
    "triplet(distance=sqdist, mine=hard)",
    "ce(ignore=1, smoothing=0.1) + dice(prob=softmax[c](logits), target=labels, background=0)",
    "l1(mask=m) + mse(weight=w)",
    "2*l1(reduce=none)",
    "cross_entropy(smoothing=1)",
    "tv(order=l2) + tv(order=l2_squared)",
    "supcon(tau=auto) + supcon(z, labels=y, same=s)",
    "1 - ssim(win=5) + 0.5*ssim_loss",
    "infonce(tau=t) + l1(pred, target)",
    "infonce(z1, z2, tau=auto(0.2)) + infonce(z2, z1, tau=auto) as back + nt_xent(tau=0.3)",
    "l1(b, c) + mse(size, max)",
    "-hinge_g + hinge_d(real=exp, fake=log)",
    "kl(logits=a, target=softmax[c](a2)) + sigmoid_focal(alpha=none, gamma=0.5)",
    "dice(over=[b, ...]) + tversky(over=[...]) + l1",
    "clip(z1, z2, scale=auto(10)) + siglip(z1, z2) + align(z1, z2) + uniform(z1)",
    "objective main(x, y: real[i, d], s: real, lab: label[i] < c):\n    l1(x, y)*s + l1(y, x) as rev\n",
    "objective main(x, y: real[i, i2], w: real = auto(1)):\n    w*infonce(x, y) + l1(x, y)\n",
    "objective main(v, w: real[i, v]):\n    nt_xent(v, w) + infonce(v, w, tau=auto)\n",
    "objective main(a, b: real[n, ...], m: bool[n]):\n    d = abs(a - b)\n    g[n, ... if m] = d^3\n"
    "    top = max[n, ...](d)\n    l1(a, b) + 0.5*g + 2*top + mean[n, ...](d) as z\n",
    " + ".join(f"{k / 7 + 0.1}*l1(p{k % 9}, t{k % 9})" for k in range(40)),
    *STATEFUL,
)
"""Objectives that between them use what the language has."""


def objective(text: str) -> Objective:
    """The IR of an expression or of a file."""
    return elaborate(Source("test.loss", text))


# ------------------------------------------------------------------------------------------ inputs
_EXTENTS = {"h": 12, "w": 12, "c": 4, "b": 3, "d": 5, "v": 2}


def random_inputs(of: Objective, seed: int = 0) -> dict[str, Array]:
    """Inputs at a generic point: no ties, no zeros, valid labels."""
    rng = np.random.default_rng(seed)
    extents: dict[Axis, tuple[int, ...]] = {}
    nodes = ir.topological(of.roots())
    small = any(isinstance(node, ir.Net) for node in nodes)
    positive = {arg for node in nodes if ops.is_op(node, "log") for arg in node.args}

    def extent(axis: Axis) -> tuple[int, ...]:
        name = axis.name.partition("_")[0]
        size = axis.size if axis.size is not None else 2 if small else _EXTENTS.get(name, 4)
        return extents.setdefault(axis, (2, 3) if axis.rest else (size,))

    def value(node: ir.Input) -> Array:
        shape = tuple(length for axis in node.dims for length in extent(axis))
        match node.kind.name:
            case "label":
                return rng.integers(0, extent(node.bound)[0] if node.bound is not None else 3, shape)
            case "int":
                return rng.permutation(np.arange(math.prod(shape)) % 2).reshape(shape)  # two of each of two labels
            case "bool":
                return rng.random(shape) < 0.6
            case "prob":
                return rng.uniform(0.1, 0.9, shape)
            case "logprob":
                return np.log(rng.uniform(0.1, 0.9, shape))
            case "unit":
                rows = rng.normal(size=shape)
                return rows / np.linalg.norm(rows, axis=-1, keepdims=True)
            case "image":
                low, high = node.kind.range or (0.0, 1.0)
                return rng.uniform(low, high, shape)
            case _ if node in positive or not shape:
                return rng.uniform(0.5, 1.5, shape)
            case _:
                return rng.normal(size=shape)

    return {node.name: value(node) for node in of.inputs}


class AnyModel:
    """What stands for a model of whatever type."""

    def run(self, call: ir.ModelCall, steps: tuple[int, ...], args: Sequence[Array], rows: Sequence[int]) -> Array:
        """The result of the model that stands for this type, or a derivative of it."""
        return stand_in(call.model, _EXTENTS).run(call, steps, args, rows)


def oracle(inputs: dict[str, Array], slots: dict[str, float] | None = None) -> Oracle:
    """The oracle with stand-ins for the networks: each tap is a smooth function of every pixel."""
    specs = [NetSpec(name, "random", seed=0) for name in TAPS] + [NetSpec(name) for name in TAPS]
    weights = {spec: _tap_weights(spec.name) for spec in specs}

    def features(spec: NetSpec) -> Callable[[Array], Sequence[Array]]:
        return lambda x: [np.tanh(np.einsum("kc,bchw->bkhw", w, x)) for w in weights[spec]]

    def transposed(spec: NetSpec) -> Callable[[Array, Any], Array]:
        def vjp(x: Array, cotangents: Any) -> Array:
            maps = features(spec)(x)
            parts = [
                np.einsum("kc,bkhw->bchw", weights[spec][tap], g * (1 - maps[tap] ** 2))
                for tap, g in cotangents.items()
            ]
            return np.asarray(sum(parts))

        return vjp

    return Oracle(
        inputs,
        slots,
        {spec: features(spec) for spec in specs},
        {spec: transposed(spec) for spec in specs},
        {spec: [np.linspace(0.1, 1, count) for count in TAPS[spec.name]] for spec in specs},
        models={"model": AnyModel(), "D": AnyModel(), "G": AnyModel()},
    )


@cache
def _tap_weights(name: str) -> list[Array]:
    rng = np.random.default_rng(7)
    return [rng.normal(size=(count, 3)) for count in TAPS[name]]


def differentiable(of: Objective) -> list[ir.Input]:
    """The inputs that have a gradient."""
    return [node for node in of.inputs if node.dtype == "real"]


def value_and_gradients(root: Node, of: Objective, inputs: dict[str, Array]) -> list[Array]:
    """A scalar of the IR and its gradient at every real input, with dimensions as the caller passes them."""
    state = oracle(inputs)
    wrt = differentiable(of)
    found = gradients(root, wrt)
    value = state.evaluate([root, *of.inputs, *found])[0]
    return [value, *(_in_dims(state, node, gradient) for node, gradient in zip(wrt, found, strict=True))]


def of_module(module: Any, of: Objective, inputs: Mapping[str, Array]) -> list[Array]:
    """As `value_and_gradients`, of a compiled or exported module, in float64."""
    import torch

    batch = {name: torch.from_numpy(np.array(x)) for name, x in inputs.items()}
    batch = {name: x.double() if x.is_floating_point() else x for name, x in batch.items()}
    leaves = [batch[node.name].requires_grad_() for node in differentiable(of)]
    total = module(batch).total
    found = [None] * len(leaves)
    if total.requires_grad:
        found = torch.autograd.grad(total.sum(), leaves, allow_unused=True)
    grads = [np.zeros(x.shape) if g is None else g.numpy() for x, g in zip(leaves, found, strict=True)]
    return [total.detach().numpy(), *grads]


def _in_dims(state: Oracle, node: ir.Input, gradient: Node) -> Array:
    whole = np.broadcast_to(state.align(gradient, node.axes), state.shape(node.axes))
    return whole.transpose([place for axis in node.dims for place in state.places((axis,), node.axes)])


# ------------------------------------------------------------------------------------------ random programs
ROW, D = Axis("i", index=0), Axis("d", index=1)


def leaf(name: str, kind: Kind, *dims: Axis, bound: Axis | None = None) -> ir.Input:
    """An input with axes in order."""
    return ir.intern(ir.Input, (), tuple(sorted(dims, key=lambda a: a.key)), kind.dtype, name, kind, dims, bound)


X, Y, S = leaf("x", REAL, ROW, D), leaf("y", REAL, ROW, D), leaf("s", REAL, ROW)
M, L = leaf("m", BOOL, ROW, D), leaf("k", Kind("label"), ROW, bound=D)
INPUTS = (X, Y, S, M, L)

_UNARY = ("exp", "tanh", "sigmoid", "softplus", "abs", "relu", "neg", "sin", "cos", "stop", "erf", "sign")
_BINARY = ("add", "sub", "mul", "max", "min")


def _tame(x: Node) -> Node:
    """A value between -1 and 1, so that no chain of exponentials overflows."""
    return ops.apply("tanh", x)


def _positive(x: Node) -> Node:
    return ops.apply("add", ops.const(0.5), ops.apply("mul", x, x))


def _step(draw: st.DrawFn, pool: list[Node]) -> Node:
    """One more value, made of those that there are."""
    x, y = draw(st.sampled_from(pool)), draw(st.sampled_from(pool))
    match draw(st.integers(0, 11)):
        case 0:
            name = draw(st.sampled_from(_UNARY))
            return ops.apply(name, _tame(x) if name == "exp" else x)
        case 1:
            return ops.apply(draw(st.sampled_from(_BINARY)), x, y)
        case 2:
            return ops.apply("div", x, _positive(y))
        case 3:
            return ops.apply(draw(st.sampled_from(("log", "sqrt", "log1p"))), _positive(x))
        case 4:
            return ops.apply("pow", _positive(_tame(x)), ops.const(draw(st.sampled_from((0.5, 1.5, 2, 3.0, -1.0)))))
        case 5:
            return ops.apply("where", draw(st.sampled_from(_masks())), x, y)
        case 6:
            return _drawn_reduction(draw, x)
        case 7:
            over = [axis for axis in x.axes if axis in (D, ROW)][-1:]
            return ops.apply("sub", x, ops.reduce("logsumexp", x, over)) if over else x
        case 8:
            axis = draw(st.sampled_from([a for a in x.axes if a.root is ROW] or [ROW]))
            return ops.index(x, {axis: ops.iota(axis.copy(1))}) if axis.copy(1) not in x.axes else x
        case 9:
            place = draw(st.sampled_from((ops.const(1), L)))
            return ops.index(x, {D: place})
        case 10:
            number = draw(st.sampled_from((0.5, 2.0, -3.0, 1.0, 0.0, 7, -1)))
            return ops.apply(draw(st.sampled_from(("add", "sub", "mul"))), ops.const(number), x)
        case _:
            parts = [ops.apply("mul", ops.apply("real", draw(st.sampled_from(_masks()))), x), y]
            return ops.apply("add", *parts)


def _masks() -> list[Node]:
    first, second = ops.iota(ROW), ops.iota(ROW.copy(1))
    hot = ops.apply("eq", ops.iota(D), L)
    return [M, hot, ops.apply("lt", X, Y), ops.apply("ne", first, second), ops.apply("not", M)]


def _drawn_reduction(draw: st.DrawFn, x: Node) -> Node:
    axes = list(x.axes)
    if not axes:
        return x
    over = draw(st.lists(st.sampled_from(axes), min_size=1, max_size=2, unique=True))
    monoid = draw(st.sampled_from(("sum", "mean", "max", "min", "logsumexp")))
    mask = draw(st.sampled_from([None, *(m for m in _masks() if set(m.axes) <= set(x.axes))]))
    if monoid == "mean":
        return ops.mean(x, over, mask)
    if monoid == "sum":
        return ops.reduce("sum", x, over, mask)
    # over an empty set these are infinite; beside 0 they stay finite
    value = ops.reduce(monoid, x, over, mask)
    return value if mask is None else ops.apply("where", ops.reduce("any", mask, over), value, ops.const(0.0))


@st.composite
def programs(draw: st.DrawFn) -> Objective:
    """An objective with one or two random terms, rows averaged."""
    pool: list[Node] = [X, Y, S]
    for _ in range(draw(st.integers(1, 14))):
        made = _step(draw, pool)
        if made.dtype == "real" and len(made.axes) <= 3:
            pool.append(made)
    terms = tuple(
        ir.Term(name, ops.const(weight), ops.mean(value, value.axes))
        for name, weight, value in (("first", 1.0, pool[-1]), ("second", 0.25, draw(st.sampled_from(pool))))
    )
    return Objective("main", INPUTS, terms)


def as_total(of: Objective) -> Node:
    """The weighted sum of the terms, also before the pass `balance`."""
    if of.total is not None:
        return of.total
    total: Node = ops.const(0.0)
    for term in of.terms:
        total = ops.apply("add", total, ops.apply("mul", term.weight, term.value))
    return total


def same(first: Objective, second: Objective) -> bool:
    """Whether two objectives are one: equal names and identical nodes."""
    return (
        first.name == second.name
        and all(map(lambda a, b: a is b, first.inputs, second.inputs))
        and len(first.inputs) == len(second.inputs)
        and [(b.name, b.terms) for b in first.balancers] == [(b.name, b.terms) for b in second.balancers]
        and [t.name for t in first.terms] == [t.name for t in second.terms]
        and (first.total is None) == (second.total is None)
        and len(first.roots()) == len(second.roots())
        and all(map(lambda a, b: a is b, first.roots(), second.roots()))
    )


def finite(arrays: Sequence[Array]) -> bool:
    """Whether every number is finite."""
    return all(bool(np.all(np.isfinite(array))) for array in arrays)


def close(first: Sequence[Array], second: Sequence[Array], tolerance: float = 1e-9) -> bool:
    """Whether arrays agree, relative to their size."""
    return all(
        np.allclose(a, b, rtol=tolerance, atol=tolerance * (1 + math.sqrt(float(np.mean(np.square(b))))))
        for a, b in zip(first, second, strict=True)
    )
