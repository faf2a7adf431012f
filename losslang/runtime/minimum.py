"""Finds where a convex function of a few numbers is least, on a simplex or among positive numbers.

Needs torch only; exported objectives carry this file's text.
"""

from collections.abc import Callable
from typing import NamedTuple, cast

import torch
from torch import Tensor

Derivatives = Callable[..., tuple[Tensor, Tensor]]
"""A vector, and what the function is made of, to its slope and its matrix of second derivatives."""

STEPS = 100
"""Newton steps; it takes about a dozen."""

RESIDUAL = 1e-9
"""How far from 0 the conditions of a minimum may be, relative to the function's slope at the start."""


class NoMinimumError(Exception):
    """A function that is least nowhere on the set, or is not convex."""


class Point(NamedTuple):
    """Numbers, the prices of their being at least 0, that of their sum, and the derivatives there."""

    x: Tensor
    price: Tensor
    level: Tensor
    slope: Tensor
    curve: Tensor


def least(like: Tensor, derivatives: Derivatives, over: str, count: int, *held: Tensor) -> Tensor:
    """Where a function is least on a ``simplex`` or among ``positive`` numbers, on the device of ``like``.

    A primal-dual interior-point method in float64 on the CPU; ``derivatives`` takes the vector and ``held``. Where
    these are not finite, no number of the result is.
    """
    made_of = [x.detach().to("cpu", torch.float64) if x.is_floating_point() else x.detach().cpu() for x in held]

    def at(x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            slope, curve = derivatives(x, *made_of)
        return slope.expand(count), curve.expand(count, count)

    ones = torch.ones(count, dtype=torch.float64)
    x = ones / count if over == "simplex" else ones
    slope, curve = at(x)
    if not bool(torch.isfinite(slope).all() & torch.isfinite(curve).all()):
        return torch.full_like(ones, float("nan")).to(like.device)
    scale = max(float(slope.abs().max()), float(curve.abs().max()) / count)
    point = Point(x, ones * (scale / count), torch.zeros((), dtype=torch.float64), slope, curve)
    found = _solved(point, at, over == "simplex", scale) if scale > 0 else x
    return found.to(like.device)


def _solved(point: Point, at: Derivatives, simplex: bool, scale: float) -> Tensor:
    residual = 1.0
    for _ in range(STEPS):
        gap = float(point.x @ point.price) / len(point.x)
        residual = max(float(_off(point, simplex).abs().max()), gap) / scale
        if residual <= RESIDUAL:
            return point.x
        point = _step(point, at, simplex, 0.1 * gap)
    raise NoMinimumError(f"after {STEPS} steps the conditions of a minimum are off by {residual:.2g}")


def _step(point: Point, at: Derivatives, simplex: bool, aim: float) -> Point:
    """A Newton step towards the point where every number times its price is ``aim``, shortened until it helps."""
    x, price, count = point.x, point.price, len(point.x)
    system = torch.zeros(count + 1, count + 1, dtype=torch.float64)
    system[:count, :count] = point.curve + torch.diag(price / x)
    system[:count, count] = system[count, :count] = float(simplex)
    system[count, count] = float(not simplex)
    wanted = torch.cat([aim / x - price - _off(point, simplex), (1 - x.sum()).reshape(1) * simplex])
    solved, singular = cast("tuple[Tensor, Tensor]", torch.linalg.solve_ex(system, wanted))
    if bool(singular):
        raise NoMinimumError("the matrix of second derivatives is singular")
    move, rise = solved[:count], solved[count]
    change = (aim - x * price - price * move) / x
    length = min(1.0, 0.99 * _room(x, move), 0.99 * _room(price, change))
    before = _distance(point, simplex, aim)
    while True:
        moved = x + length * move
        new = Point(moved, price + length * change, point.level + length * rise, *at(moved))
        if length < 1e-10 or _distance(new, simplex, aim) < before:
            return new
        length /= 2


def _off(point: Point, simplex: bool) -> Tensor:
    """What is left of the slope when the prices are paid: 0 at a minimum."""
    return point.slope - point.price + point.level * simplex


def _distance(point: Point, simplex: bool, aim: float) -> float:
    """How far the conditions are from holding; infinity or NaN where the function has no value."""
    short = (point.x.sum() - 1).reshape(1) * simplex
    return float(torch.cat([_off(point, simplex), point.x * point.price - aim, short]).square().sum().sqrt())


def _room(x: Tensor, change: Tensor) -> float:
    """How far positive numbers may go along a change and stay so."""
    limits = (-x / change)[change < 0]
    return float(limits.min()) if len(limits) else float("inf")
