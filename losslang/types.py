"""Axes and kinds: what a tensor's dimensions are called and what its numbers mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

DType: TypeAlias = Literal["real", "int", "bool"]
Key: TypeAlias = tuple[tuple[int, int, str], ...]


@dataclass(frozen=True, slots=True)
class Axis:
    """One named axis of an objective.

    An input's axis has an ``index`` (its place in the signature). A re-indexing of another axis (``j`` over ``i``)
    has a ``parent`` and an ``ordinal`` and the parent's extent; a derived axis (what a valid convolution leaves of
    ``h``) has a ``parent`` and an extent of its own. A network's feature maps have axes of their own, ``made``
    numbering their place. ``rest`` axes (``...``) stand for any number of dimensions. ``key`` orders the dimensions
    of every value alike, so that no operation has to permute its operands.
    """

    name: str
    size: int | None = None
    rest: bool = False
    index: int | None = None
    parent: Axis | None = None
    ordinal: int = 0
    made: int = 0
    key: Key = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.parent is not None:
            key = (*self.parent.key, (self.ordinal, 0, self.name))
        elif self.index is not None:
            key = ((1, self.index, ""),)
        else:
            key = ((2 if self.made else 0, self.made, self.name),)
        object.__setattr__(self, "key", key)

    def __hash__(self) -> int:
        """Axes of one name are few, and a string knows its hash: axes are looked up more than anything else."""
        return hash(self.name)

    @property
    def root(self) -> Axis:
        """The axis whose extent this one has."""
        return self.parent.root if self.parent is not None and self.ordinal > 0 else self

    def copy(self, ordinal: int) -> Axis:
        """The ``ordinal``-th re-indexing of this axis's root: same extent, another variable."""
        root = self.root
        return Axis(f"{root.name}{ordinal + 1}", root.size, root.rest, parent=root, ordinal=ordinal)

    def ordinal_of(self, name: str) -> int | None:
        """Which re-indexing has a name: ``i2`` is the first of ``i``; None where it is none's."""
        number = name.removeprefix(self.root.name)
        plain = name != number and number.isascii() and number.isdigit() and number[0] != "0"
        return int(number) - 1 if plain and len(number) < 4 and int(number) > 1 else None

    def derive(self, suffix: str) -> Axis:
        """An axis with an extent of its own, in this one's place."""
        return Axis(f"{self.name}_{suffix}", parent=self)

    def __str__(self) -> str:
        return "..." if self.rest else self.name


Axes: TypeAlias = tuple[Axis, ...]


def ordered(axes: set[Axis] | frozenset[Axis]) -> Axes:
    """Axes in the one order that all values use."""
    return tuple(sorted(axes, key=lambda axis: axis.key))


def places(over: Sequence[Axis], axes: Axes, rank: Callable[[Axis], int]) -> list[int]:
    """Which dimensions of a value with ``axes`` belong to those of ``over``; ``rank`` counts an axis's dimensions."""
    found: list[int] = []
    place = 0
    for axis in axes:
        width = rank(axis)
        if axis in over:
            found += range(place, place + width)
        place += width
    return found


# -------------------------------------------------------------------------------------------- kinds
@dataclass(frozen=True, slots=True)
class Kind:
    """What a tensor's numbers mean: a name of `KINDS`, an image's declared range, the format of boxes."""

    name: str
    range: tuple[float, float] | None = None
    format: str | None = None

    def __str__(self) -> str:
        return self.name + self.suffix

    @property
    def suffix(self) -> str:
        """What stands behind the axes in a type: `` in 0..1`` or `` in cxcywh``."""
        if self.range is not None:
            return f" in {self.range[0]:g}..{self.range[1]:g}"
        return "" if self.format is None else f" in {self.format}"

    @property
    def dtype(self) -> DType:
        """What the numbers are stored as."""
        return "int" if self.name in ("int", "label") else "bool" if self.name == "bool" else "real"


# kind -> the kind that it refines (every logit is a real); no line leads from one sibling to another
KINDS: dict[str, str | None] = {
    "real": None,
    "int": None,
    "bool": None,
    "logit": "real",
    "prob": "real",
    "logprob": "real",
    "embed": "real",
    "unit": "embed",
    "image": "real",
    "wave": "real",
    "score": "real",
    "box": "real",
    "label": "int",
}

FORMATS = ("xyxy", "cxcywh", "xywh")
"""What the coordinates of a box are: two corners, centre and extent, first corner and extent."""

REAL, INT, BOOL = Kind("real"), Kind("int"), Kind("bool")


def refines(kind: str, wanted: str) -> bool:
    """Whether every value of ``kind`` is one of ``wanted``."""
    step: str | None = kind
    while step is not None:
        if step == wanted:
            return True
        step = KINDS[step]
    return False


def meet(a: Kind, b: Kind) -> Kind | None:
    """The kind that satisfies both, or None where no value can (a logit is no prob)."""
    if refines(a.name, b.name):
        finer, coarser = a, b
    elif refines(b.name, a.name):
        finer, coarser = b, a
    else:
        return None
    return Kind(finer.name, finer.range if finer.range is not None else coarser.range, finer.format or coarser.format)


# how a wrong kind is mended: (found, wanted) -> what to write
CONVERSIONS: dict[tuple[str, str], str] = {
    ("prob", "logit"): "pass the logits themselves: the loss applies the softmax (a second one flattens them)",
    ("logprob", "logit"): "pass the logits themselves, without log_softmax",
    ("logit", "prob"): "apply softmax[c](...) for exclusive classes or sigmoid(...) for independent ones",
    ("logprob", "prob"): "take exp(...) of it",
    ("prob", "logprob"): "take the log of it, or better: log_softmax[c](logits)",
    ("logit", "logprob"): "apply log_softmax[c](...)",
    ("embed", "unit"): "normalise it: unit(...)",
    ("real", "unit"): "normalise it: unit(...)",
    ("label", "logit"): "labels are class numbers; this wants one score for each class",
    ("label", "real"): "labels are class numbers, not values",
    ("prob", "label"): "labels are integers; for soft targets use a loss that takes prob, such as cross_entropy",
    ("real", "label"): "labels are integers 0..c-1",
    ("logit", "label"): "labels are integers 0..c-1; swap the two arguments?",
}
