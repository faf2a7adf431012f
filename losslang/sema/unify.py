"""Unification of axes: variables for single ones and for any number of them, and rows of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from losslang.syntax import ast
from losslang.types import Kind


@dataclass(eq=False)
class Var:
    """An axis to be determined."""

    name: str
    size: int | None = None
    same: Var | None = None
    declared: bool = False
    """One of the header's: no two of them are one axis."""


@dataclass(eq=False)
class Rest:
    """Any number of axes, to be determined."""

    row: Row | None = None
    name: str = "rest"


Row: TypeAlias = "list[Var | Rest]"


class MismatchError(Exception):
    """Two rows cannot be one."""


def row_of(axes: tuple[ast.Axis, ...], variables: dict[str, Var], rests: dict[str, Rest]) -> Row:
    """The row of declared axes; names that are known are the same elements."""
    row: Row = []
    for axis in axes:
        if axis.name is not None and axis.is_rest:
            row.append(rests.setdefault(axis.name, Rest(name=axis.name[3:] or "rest")))
            continue
        name = axis.name or f"n{axis.size}"
        variable = variables.setdefault(name, Var(name, axis.size)) if axis.name else Var(name, axis.size)
        if axis.size is not None:
            variable.size = axis.size
        row.append(variable)
    return row


def find(variable: Var) -> Var:
    """What a variable is by now."""
    root = variable
    while root.same is not None:
        root = root.same
    while variable.same is not None:  # paths are kept short: a tensor of ten thousand terms is unified as often
        variable.same, variable = root, variable.same
    root.same = None
    return root


def expanded(row: Row) -> Row:
    """The row with determined rests replaced."""
    result: Row = []
    for element in row:
        if isinstance(element, Rest):
            element = _last(element)
            if isinstance(element, Rest) and element.row is not None:
                result += expanded(element.row)
                continue
        result.append(find(element) if isinstance(element, Var) else element)
    return result


def _last(rest: Rest) -> Var | Rest:
    """What a rest stands for, where that is one element, through other rests; the way there is kept short."""
    passed: list[Rest] = []
    element: Var | Rest = rest
    while isinstance(element, Rest) and element.row is not None and len(element.row) == 1:
        passed.append(element)
        element = element.row[0]
    for one in passed:
        one.row = [element]
    return element


def unify_vars(a: Var, b: Var) -> None:
    """Make two axes one."""
    a, b = find(a), find(b)
    if a is b:
        return
    if a.declared and b.declared or (a.size is not None and b.size is not None and a.size != b.size):
        raise MismatchError
    if b.declared:
        a, b = b, a
    a.size = a.size if a.size is not None else b.size
    b.same = a


def unify(first: Row, second: Row) -> None:
    """Make two rows one.

    Raises:
        MismatchError: where they differ in rank or in a declared extent.
    """
    a, b = expanded(first), expanded(second)
    for end in (0, -1):
        while a and b and isinstance(x := a[end], Var) and isinstance(y := b[end], Var):
            unify_vars(x, y)
            a.pop(end)
            b.pop(end)
    if not a and not b:
        return
    if len(a) == 1 and isinstance(a[0], Rest):
        if a != b:
            a[0].row = b
    elif len(b) == 1 and isinstance(b[0], Rest):
        b[0].row = a
    elif a and b and isinstance(a[0], Rest) and isinstance(b[-1], Rest):
        _overlap(a, b)
    elif a and b and isinstance(a[-1], Rest) and isinstance(b[0], Rest):
        _overlap(b, a)
    else:
        raise MismatchError


def unshared(first: Row, second: Row) -> tuple[Row, Row]:
    """Two rows without the axes that are in both already: at a call, axes that are known match by identity."""
    a, b = expanded(first), expanded(second)
    shared = [element for element in a if isinstance(element, Var) and element in b]
    return [e for e in a if e not in shared], [e for e in b if e not in shared]


def _overlap(a: Row, b: Row) -> None:
    """``[..., x]`` against ``[y, ...]``: both are ``[y, ..., x]``, unless x begins with an axis of y's own name."""
    middle = Rest()
    first, last = a[0], b[-1]
    assert isinstance(first, Rest) and isinstance(last, Rest)
    if len(a) >= len(b) and name_of(a[1]) == name_of(b[0]):
        first.row = []
        unify(a[1:], b)
    else:
        first.row = [*b[:-1], middle]
        last.row = [middle, *a[1:]]


def name_of(element: Var | Rest) -> str:
    """An element in a type, for messages."""
    if isinstance(element, Rest):
        return "..."
    if element.size is None or element.name == f"n{element.size}":
        return element.name.removeprefix("n") if element.size is not None else element.name
    return f"{element.name}={element.size}"


def text_of(kind: Kind, row: Row | None) -> str:
    """A kind and a row as a type, for messages."""
    axes = "" if not row else f"[{', '.join(map(name_of, expanded(row)))}]"
    return f"{kind.name}{axes}{kind.suffix}"
