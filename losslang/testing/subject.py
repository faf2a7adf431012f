"""A definition under test: called from outside any objective, with arrays, on the float64 oracle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields, replace
from functools import cache
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from losslang.diagnostics import error
from losslang.ir import nodes as ir
from losslang.ir import ops
from losslang.ir.grad import gradients
from losslang.ir.netspec import NetSpec
from losslang.ir.oracle import Oracle
from losslang.sema.elaborate import Alone, value_of
from losslang.sema.evaluate import CONSTANTS
from losslang.sema.modules import Environment, Item
from losslang.sema.resolve import open_axes, sort_of
from losslang.sema.terms import names
from losslang.syntax import ast
from losslang.syntax.printer import number, print_expression
from losslang.testing.models import stand_in

Array: TypeAlias = NDArray[Any]
Option: TypeAlias = float | int | bool | str | None
N = TypeVar("N", bound=ast.Node)

NETWORK = "squeeze"
"""The network that stands for any other: its random weights need no file."""


@dataclass(frozen=True)
class Case:
    """One try: arrays and numbers for the parameters of a definition, and the extents that were drawn."""

    arrays: dict[str, Array]
    options: dict[str, Option]
    extents: dict[str, tuple[int, ...]] = field(default_factory=dict[str, "tuple[int, ...]"])

    def having(self, **arrays: Array) -> Case:
        """The same try with other arrays."""
        return replace(self, arrays={**self.arrays, **arrays})


class Subject:
    """A definition or alias, and how to call it.

    Args:
        item: what is tested.
        environment: where its name and the names in its decorators are looked up.
    """

    def __init__(self, item: Item, environment: Environment) -> None:
        self.item, self.environment = item, environment
        self.signature = signature(item, environment)
        self.parameters = {p.name: p for p in self.signature.parameters}
        self._known: dict[tuple[ast.Expression, tuple[ast.Parameter, ...]], Alone] = {}

    @property
    def name(self) -> str:
        """What the definition is called."""
        return self.item.name

    @property
    def is_loss(self) -> bool:
        """Whether its elements are rows that an objective averages."""
        return self.signature.keyword == "loss"

    @property
    def inputs(self) -> list[str]:
        """The parameters that take a tensor."""
        return [p.name for p in self.signature.parameters if sort_of(p) == "tensor"]

    @property
    def networks(self) -> list[str]:
        """The parameters that take a network."""
        return [p.name for p in self.signature.parameters if sort_of(p) == "network"]

    @property
    def scores(self) -> list[str]:
        """The axes that only what a model gives has."""
        types = [p.type for p in self.signature.parameters if isinstance(p.type, ast.FunctionType)]
        given = [axis.name for t in types for axis in _given_alone(t)]
        return [name for name in given if name is not None and not name.startswith("...")]

    @property
    def open_axes(self) -> list[str]:
        """The axes whose extents a call has to give, such as that of a queue."""
        return open_axes(self.signature)

    # ------------------------------------------------------------------------------------- expressions
    def call(self, case: Case) -> ast.Expression:
        """The call of the definition with a try's parameters: arrays by their names."""
        arguments = [ast.Argument(ast.Name(self.input(name)), name) for name in case.arrays]
        arguments += [ast.Argument(literal(value), name) for name, value in case.options.items()]
        arguments += [ast.Argument(_random_network(), name) for name in self.networks]
        arguments += [ast.Argument(literal(case.extents[name][0]), name) for name in self.open_axes]
        return ast.Call(ast.Name(self.name), tuple(arguments))

    def input(self, parameter: str) -> str:
        """The name of a parameter's array: its own, if that is not the name of something else."""
        taken = parameter in CONSTANTS or self.environment.find(parameter) is not None
        return f"{parameter}_" if taken else parameter

    def substituted(self, expression: ast.Expression, case: Case) -> ast.Expression:
        """An expression of a decorator, with the try's numbers and arrays for the parameters it names."""
        given: dict[str, ast.Expression] = {name: literal(value) for name, value in case.options.items()}
        given |= {name: ast.Name(self.input(name)) for name in case.arrays}
        given |= {name: literal(case.extents[name][0]) for name in self.open_axes}

        def change(node: ast.Node) -> ast.Node | None:
            return given.get(node.name) if isinstance(node, ast.Name) else None

        return transformed(expression, change)

    # ------------------------------------------------------------------------------------- values
    def elements(self, case: Case) -> Array:
        """Every element that exists: of a loss its rows, of a function its result."""
        return present_elements(self.alone(self.call(case)), self.given(case))

    def value(self, case: Case) -> Array:
        """What others see of it: of a loss the mean of its rows, of a function every element."""
        return self.mean(case) if self.is_loss else self.elements(case)

    def mean(self, case: Case) -> Array:
        """The mean of its rows, as an objective takes it."""
        return self.evaluated(self.call(case), case)

    def evaluated(self, expression: ast.Expression, case: Case) -> Array:
        """The mean of any expression over the try's arrays."""
        alone, given = self.alone(expression, self.types(case)), self.given(case)
        self._check_inputs(expression, alone.inputs, given)
        return evaluate([alone.mean], given)[1][0]

    def _check_inputs(self, expression: ast.Expression, wanted: Iterable[str], given: Mapping[str, Array]) -> None:
        """An expression of a decorator is one of the definition's own inputs."""
        missing = next((name for name in wanted if name not in given), None)
        if missing is not None:
            raise error(
                "LL0202",
                f"{self.name} has no input '{missing}'",
                expression.span,
                expected="one of " + ", ".join(given),
                found=missing,
                hint=f"say what it is: {missing}=...",
            )

    def number(self, expression: ast.Expression, case: Case) -> float:
        """An expression of numbers and scalar parameters, such as ``sqrt(2)*delta``."""
        return float(self.evaluated(self.substituted(expression, case), case))

    def slopes(self, case: Case) -> dict[str, Array]:
        """The gradient of the mean at each array of real numbers."""
        alone = self.alone(self.call(case))
        inputs = [node for node in alone.inputs.values() if node.dtype == "real"]
        _, values = evaluate([alone.mean, *gradients(alone.mean, inputs)], self.given(case))
        return {node.name: value for node, value in zip(inputs, values[1:], strict=True)}

    def lengths(self, case: Case, name: str, change: Array) -> Array:
        """For each row of the loss, the Euclidean length of the part of an array's change that lies in it."""
        alone = self.alone(self.call(case))
        rows, x = alone.value.node, alone.inputs[self.input(name)]
        within = [axis for axis in x.axes if axis not in rows.axes]
        length = ops.apply("sqrt", ops.reduce("sum", ops.apply("mul", x, x), within))
        oracle, _ = evaluate([length, rows], self.given(case.having(**{name: change})))
        return np.broadcast_to(oracle.align(length, rows.axes), oracle.shape(rows.axes))

    def rows(self, case: Case) -> Array:
        """The rows of the loss, also those that a filter leaves out, in the order of their node."""
        return evaluate([self.alone(self.call(case)).value.node], self.given(case))[1][0]

    def given(self, case: Case) -> dict[str, Array]:
        """A try's arrays by the names of inputs."""
        return {self.input(name): value for name, value in case.arrays.items()}

    def alone(self, expression: ast.Expression, declared: tuple[ast.Parameter, ...] = ()) -> Alone:
        """An expression as IR; equal ones are elaborated once."""
        if (expression, declared) not in self._known:
            self._known[expression, declared] = value_of(expression, self.environment, declared)
        return self._known[expression, declared]

    def types(self, case: Case) -> tuple[ast.Parameter, ...]:
        """The inputs of a try as declarations: in another call, labels are still labels."""
        given = [self.parameters[name] for name in case.arrays]
        return tuple(replace(p, name=self.input(p.name)) for p in given if p.type is not None)

    # ------------------------------------------------------------------------------------- texts
    def text(self, case: Case) -> str:
        """A try as a call that a user can write."""
        arrays = [f"{name}={array_text(value)}" for name, value in case.arrays.items()]
        options = [
            f"{name}={print_expression(literal(value))}"
            for name, value in case.options.items()
            if self.parameters[name].default != literal(value)
        ]
        sizes = [f"{name}={case.extents[name][0]}" for name in self.open_axes]
        return f"{self.name}({', '.join([*arrays, *options, *sizes])})"


def _given_alone(declared: ast.FunctionType) -> list[ast.Axis]:
    """The axes that a model adds to those that it takes."""
    takes, gives = (t.groups[-1] if t.groups else () for t in (declared.parameter, declared.result))
    known = {axis.name for axis in takes}
    return [axis for axis in gives if axis.name not in known]


def signature(item: Item, environment: Environment) -> ast.Definition:
    """The definition whose parameters an item has: its own, or those of what an alias is built on."""
    if isinstance(item, ast.Definition):
        return item
    found = (environment.find(name.name) for name in names(item.value))
    return next(signature(base, environment) for base in found if base is not None)


# ------------------------------------------------------------------------------------------ the oracle
def evaluate(roots: Sequence[ir.Node], arrays: Mapping[str, Array]) -> tuple[Oracle, list[Array]]:
    """The values of nodes over arrays, and the oracle that knows the extents of their axes."""
    used = ir.topological(roots)
    nets = {node.spec for node in used if isinstance(node, ir.Net)}
    heads = {node.spec for node in used if isinstance(node, ir.Heads)}
    called = {node.call.model for node in used if isinstance(node, ir.Model | ir.ModelVjp)}
    oracle = Oracle(
        arrays,
        models={model.name: stand_in(model) for model in called},
        networks={spec: _maps(_network(spec)) for spec in nets},
        heads={spec: [head.numpy() for head in _network(spec).heads] for spec in heads},
    )
    return oracle, oracle.evaluate(roots)


def present_elements(alone: Alone, arrays: Mapping[str, Array]) -> Array:
    """The elements that exist, in the written order of their axes; one dimension where some do not exist."""
    if alone.present is None:
        oracle, (value,) = evaluate([alone.value.node], arrays)
        order = tuple(axis for axis in alone.value.order if axis in alone.value.node.axes)
        places = [place for axis in order for place in oracle.places((axis,), alone.value.node.axes)]
        return value.transpose(places)
    both = ops.apply("where", alone.present, alone.value.node, ops.const(0.0))
    oracle, (value, _) = evaluate([both, alone.present], arrays)
    return value[np.broadcast_to(oracle.align(alone.present, both.axes), value.shape)]


@cache
def _network(spec: NetSpec) -> Any:
    from losslang.runtime import nets

    return nets.build(nets.NetSpec(*astuple(spec)))


def _maps(net: Any) -> Callable[[Array], list[Array]]:
    import torch

    def features(image: Array) -> list[Array]:
        with torch.no_grad():
            return [tap.double().numpy() for tap in net(torch.from_numpy(np.array(image)).float())]

    return features


def _random_network() -> ast.Expression:
    seed = ast.Call(ast.Name("random"), (ast.Argument(ast.Number(0), "seed"),))
    return ast.Call(ast.Name(NETWORK), (ast.Argument(seed, "weights"),))


# ------------------------------------------------------------------------------------------ trees and texts
def transformed(node: N, change: Callable[[ast.Node], ast.Node | None]) -> N:
    """A tree with each node replaced by what ``change`` gives for it; where it gives None, by its parts."""
    new = change(node)
    if new is not None:
        return cast("N", new)
    parts = {f.name: _transformed(getattr(node, f.name), change) for f in fields(node) if f.name != "span"}
    return replace(node, **parts)


def _transformed(value: Any, change: Callable[[ast.Node], ast.Node | None]) -> Any:
    if isinstance(value, ast.Node):
        return transformed(value, change)
    if isinstance(value, tuple):
        return tuple(_transformed(item, change) for item in cast("tuple[Any, ...]", value))
    return value


def literal(value: Option) -> ast.Expression:
    """A number, truth value, choice or none as it is written."""
    match value:
        case None:
            return ast.Name("none")
        case bool():
            return ast.Name("true" if value else "false")
        case str():
            return ast.Name(value)
        case _:
            return ast.Unary("-", ast.Number(-value)) if value < 0 else ast.Number(value)


def number_text(value: float) -> str:
    """A number to seven digits."""
    return number(float(f"{value:.7g}")) if np.isfinite(value) else str(value)


def array_text(value: Array) -> str:
    """An array as a literal: a list where it is small, ``full(...)`` and its exceptions where it is not."""
    if value.size <= 32:
        return _list_text(value.tolist())
    values, counts = np.unique(value, return_counts=True)
    common = values[np.argmax(counts)]
    whole = f"full({', '.join([number_text(common), *map(str, value.shape)])})"
    others = np.argwhere(value != common)
    if not len(others):
        return whole
    shown = [f"{list(map(int, place))} is {number_text(float(value[tuple(place)]))}" for place in others[:4]]
    more = f" and {len(others) - 4} more" if len(others) > 4 else ""
    return f"{whole} where {', '.join(shown)}{more}"


def _list_text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_list_text, cast('list[Any]', value)))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else number_text(value)
