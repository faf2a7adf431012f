"""What the first batch shows to be hardly meant: warnings, where `checks` finds errors."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from losslang.diagnostics import Diagnostic, is_meant, warning
from losslang.runtime.checks import Dim, InputSpec, lengths_of, users

ENOUGH = 32
"""So many numbers that all lie in 0..1 do so by nature, not by chance."""
ROWS = 4
"""So many rows that all sum to 1 do so by nature."""


@dataclass(frozen=True)
class Given:
    """One input of the first call."""

    spec: InputSpec
    key: str
    tensor: Tensor

    def normalised(self) -> Iterator[tuple[Dim, tuple[int, ...]]]:
        """The axes over which its terms normalise, and the dimensions that each of them is here."""
        place = 0
        for dim, lengths in lengths_of(self.spec, self.key, self.tensor):
            if dim.name in self.spec.softmaxed and lengths:
                yield dim, tuple(range(place, place + len(lengths)))
            place += len(lengths)

    def sums(self) -> Iterator[tuple[str, Tensor]]:
        """What its rows sum to, over each axis that is normalised."""
        for dim, dims in self.normalised():
            yield dim.shown, self.tensor.sum(dims)

    def ends(self) -> tuple[float, float]:
        """The smallest and the largest number."""
        low, high = torch.aminmax(self.tensor)
        return float(low), float(high)

    def warning(self, code: str, message: str, expected: str, found: str, hint: str) -> Diagnostic:
        """A warning about it, at the place where the text uses it."""
        notes = users([(self.key, self.spec)])
        return warning(code, message, self.spec.place, expected=expected, found=found, hint=hint, notes=notes)


def doubts(
    inputs: Sequence[InputSpec], keys: Sequence[str], tensors: Sequence[Tensor], allow: Collection[str]
) -> Iterator[Diagnostic]:
    """Warnings about a batch, each rule once for each input, but for those that are meant."""
    for spec, key, tensor in zip(inputs, keys, tensors, strict=True):
        if tensor.numel() and not tensor.is_meta:
            given = Given(spec, key, tensor.detach())
            yield from (one for rule in RULES for one in rule(given) if not is_meant(one, allow, spec.terms))


def _one_class(given: Given) -> Iterator[Diagnostic]:
    for dim, dims in given.normalised():
        known = dim.size is not None  # of an extent of 1 the text was warned
        if not known and all(given.tensor.shape[place] == 1 for place in dims) and given.spec.dtype == "real":
            yield given.warning(
                "LL0806",
                f"axis '{dim.shown}' of '{given.key}' has one element, and a softmax is taken over it",
                expected="two elements or more",
                found=str(tuple(given.tensor.shape)),
                hint="one logit for two classes is for bce and sigmoid_focal; a batch of one has no negatives",
            )


def _probabilities(given: Given) -> Iterator[Diagnostic]:
    if given.spec.kind != "logit":
        return
    low, high = given.ends()
    if low < 0 or high > 1 or low == high:
        return
    rows = any(total.numel() >= ROWS and bool(((total - 1).abs() < 1e-3).all()) for _, total in given.sums())
    if rows or given.tensor.numel() >= ENOUGH:
        yield given.warning(
            "LL0805",
            f"'{given.key}' looks like probabilities, and the loss takes logits",
            expected="scores before any softmax or sigmoid",
            found=f"values in {low:.3g}..{high:.3g}" + (", of sum 1" if rows else ""),
            hint="pass the model's output before its last softmax or sigmoid: the loss applies it",
        )


def _no_distribution(given: Given) -> Iterator[Diagnostic]:
    if given.spec.kind != "prob":
        return
    for axis, total in given.sums():
        off = total[(total - 1).abs() > 0.01]
        if off.numel():
            yield given.warning(
                "LL0810",
                f"rows of '{given.key}' do not sum to 1 over '{axis}'",
                expected="one distribution over the classes in each row",
                found=f"a sum of {off.flatten()[0].item():.3g}",
                hint="for classes that do not exclude each other take bce; else divide by the sum",
            )


def _another_range(given: Given) -> Iterator[Diagnostic]:
    if given.spec.kind != "image" or given.spec.range is None or given.tensor.numel() < ENOUGH:
        return
    low, high = given.spec.range
    smallest, largest = given.ends()
    likely = _likely_range(smallest, largest)
    if likely is not None and likely != (low, high):
        yield given.warning(
            "LL0807",
            f"'{given.key}' reaches from {smallest:.3g} to {largest:.3g}, and {low:g}..{high:g} is taken for its range",
            expected=f"values that fill {low:g}..{high:g}, or a declared range: it is converted then",
            found=f"{smallest:.3g}..{largest:.3g}",
            hint=f"declare it: objective main({given.spec.name}: image[b, c=3, h, w] in "
            f"{likely[0]:g}..{likely[1]:g}): ...",
        )


def _likely_range(smallest: float, largest: float) -> tuple[float, float] | None:
    """The range that data of these ends is in; None where a prediction that overshoots may have them too."""
    if 0 <= smallest < largest <= 1:
        return 0.0, 1.0
    return (-1.0, 1.0) if -1.05 <= smallest < -0.9 and largest <= 1.05 else None


def _nothing_left(given: Given) -> Iterator[Diagnostic]:
    if not given.spec.decides:
        return
    if given.spec.dtype == "bool" and not bool(given.tensor.any()):
        yield given.warning(
            "LL0813",
            f"'{given.key}' is false everywhere",
            expected="an element that counts",
            found=f"none of {given.tensor.numel()}",
            hint="a mask is true where an element exists; is it inverted?",
        )
    ignored = [given.tensor == value for value in given.spec.ignore] if given.spec.dtype == "int" else []
    if ignored and bool(torch.stack(ignored).any(0).all()):
        yield given.warning(
            "LL0813",
            f"every label of '{given.key}' is left out",
            expected="a label that counts",
            found=f"{given.tensor.flatten()[0].item()} everywhere",
            hint="is the ignored label the right one?",
        )


RULES: tuple[Callable[[Given], Iterator[Diagnostic]], ...] = (
    _one_class,
    _probabilities,
    _no_distribution,
    _another_range,
    _nothing_left,
)
