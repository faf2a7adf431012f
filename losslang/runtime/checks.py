"""Checks of a call, in the caller's own names: what is there, shapes that must agree, labels, ranges, finiteness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor

from losslang.diagnostics import Label, LosslangError, did_you_mean, error
from losslang.runtime.minimum import NoMinimumError
from losslang.runtime.models import ModelError
from losslang.source import Span


@dataclass(frozen=True)
class Dim:
    """One axis of an input: its name, its extent where it is fixed; ``rest`` stands for any number of dimensions."""

    name: str
    size: int | None = None
    rest: bool = False
    least: int = 0
    """How many elements the text speaks of, as in ``x[7]``."""

    @property
    def shown(self) -> str:
        """As the text writes it."""
        return "..." if self.rest else self.name


@dataclass(frozen=True)
class InputSpec:
    """An input: its type as text, its axes, what its numbers are."""

    name: str
    type: str
    dims: tuple[Dim, ...]
    kind: str
    dtype: str
    range: tuple[float, float] | None = None
    bound: str | None = None
    """For labels: the axis whose extent they are below."""
    classes: int | None = None
    """For labels: that extent, where it is known before the first call."""
    ignore: tuple[int, ...] = ()
    """Label values that mean "no label"."""
    indexed: tuple[str, ...] = ()
    """For whole numbers: the axes along which they say places."""
    place: Span | None = None
    """Where the text uses it first."""
    terms: tuple[str, ...] = ()
    """The terms that use it."""
    softmaxed: tuple[str, ...] = ()
    """Its axes over which its terms normalise: classes that exclude each other, or a batch."""
    decides: bool = False
    """Whether it says which elements count: a mask, labels of which one is ignored."""
    of: str = ""
    """For an element of a list: the name of the list."""
    at: tuple[int, ...] = ()
    """And its place there."""

    @property
    def argument(self) -> str:
        """What the caller passes: the input itself, or the list that it is in."""
        return self.of or self.name

    def key(self, bind: Mapping[str, str]) -> str:
        """The name in a batch: ``logits``, ``fake[0]``."""
        name = bind.get(self.argument, self.argument)
        return name + "".join(f"[{number}]" for number in self.at)


Counts: TypeAlias = tuple[int, ...]
"""How many elements a list has, then how many each of its lists has."""


def spread(key: str, value: object, counts: Counts) -> dict[str, Any]:
    """The elements of a list by their names, ``fake[0]``.

    Raises:
        LosslangError: LL0504 for what is no list, LL0503 for one of another length.
    """
    if not counts:
        return {key: value}
    if not isinstance(value, list | tuple):
        raise error(
            "LL0504",
            f"'{key}' is no list",
            expected=f"a list of {counts[0]} {'lists' if len(counts) > 1 else 'tensors'}",
            found=type(value).__name__,
            hint=f"pass {key}=[...], one element for each",
        )
    items = cast("Sequence[object]", value)
    if len(items) != counts[0]:
        raise error(
            "LL0503",
            f"the list '{key}' has {len(items)} elements",
            expected=f"{counts[0]}, as the objective says",
            found=str(len(items)),
            hint="the objective is compiled for so many: say another number there",
        )
    found: dict[str, Any] = {}
    for number, item in enumerate(items):
        found |= spread(f"{key}[{number}]", item, counts[1:])
    return found


def _error(
    code: str,
    message: str,
    about: Sequence[tuple[str, InputSpec | ModelSpec]],
    *,
    expected: str,
    found: str,
    hint: str | None,
) -> LosslangError:
    """An error about inputs of a call, at the places where the text uses them."""
    places = [(key, spec.place) for key, spec in about if spec.place is not None]
    labels = [Label(place, f"'{key}' is used here") for key, place in places[1:] if place != places[0][1]]
    return error(
        code,
        message,
        places[0][1] if places else None,
        expected=expected,
        found=found,
        hint=hint,
        labels=labels,
        notes=users(about),
    )


SHOWN = 5
"""Terms that a message names."""


def users(about: Sequence[tuple[str, InputSpec | ModelSpec]]) -> list[str]:
    """Which terms use inputs, in a sentence for each set of terms."""
    together: dict[tuple[str, ...], list[str]] = {}
    for key, spec in about:
        together.setdefault(spec.terms, []).append(f"'{key}'")
    return [f"{' and '.join(keys)} {_used_by(terms, len(keys))}" for terms, keys in together.items() if terms]


def _used_by(terms: Sequence[str], count: int) -> str:
    more = f" and {len(terms) - SHOWN} more" if len(terms) > SHOWN else ""
    return f"{'are' if count > 1 else 'is'} used by the term{'s' * (len(terms) > 1)} {', '.join(terms[:SHOWN])}{more}"


@dataclass(frozen=True)
class ModelSpec:
    """A model that the caller passes: its type as text."""

    name: str
    type: str
    place: Span | None = None
    """Where the text uses it first."""
    terms: tuple[str, ...] = ()
    """The terms that use it."""

    @property
    def argument(self) -> str:
        """What the caller passes."""
        return self.name

    def key(self, bind: Mapping[str, str]) -> str:
        """The name in a batch."""
        return bind.get(self.name, self.name)


def check_model(spec: ModelSpec, key: str, model: object) -> None:
    """What is passed for a model can be called."""
    if isinstance(model, Tensor) or not callable(model):
        raise _error(
            "LL0504",
            f"'{key}' is no model",
            [(key, spec)],
            expected=f"a module or function: {spec.type}",
            found=f"a tensor {tuple(model.shape)}" if isinstance(model, Tensor) else type(model).__name__,
            hint=f"pass the network itself: objective({key}=net, ...)",
        )


def wrong_model(problem: ModelError, models: Sequence[ModelSpec]) -> LosslangError:
    """The error for a model that does not do what its type says."""
    about = [(spec.name, spec) for spec in models if spec.name == problem.name]
    return _error("LL0513", problem.message, about, expected=problem.expected, found=problem.found, hint=problem.hint)


def check_bind(bind: Mapping[str, str], inputs: Sequence[InputSpec | ModelSpec]) -> None:
    """Every renamed input must be one."""
    names = list(dict.fromkeys(spec.argument for spec in inputs))
    for name in bind:
        if name not in names:
            raise error(
                "LL0502",
                f"bind renames '{name}', which is no input",
                expected="one of " + ", ".join(names),
                found=name,
                hint=did_you_mean(name, names)
                or f"bind= goes from the input to your batch: {{'{names[0]}': '{name}'}}",
            )


def no_mapping(batch: object, count: int, keys: Sequence[str]) -> LosslangError:
    """The error for tensors that are given by their place."""
    return error(
        "LL0501",
        "a call names its tensors",
        expected="keywords, or one mapping from names to tensors",
        found=f"{count} argument{'s' if count > 1 else ''} without a name, the first a {type(batch).__name__}",
        hint=f"objective({', '.join(f'{key}=...' for key in keys)}), or bind= for the names of your batch",
    )


def missing(keys: Sequence[str], inputs: Sequence[InputSpec | ModelSpec], given: Mapping[str, Any]) -> LosslangError:
    """The error for inputs that a call lacks."""
    lacking = [(key, spec) for key, spec in zip(keys, inputs, strict=True) if key not in given]
    key, spec = lacking[0]
    key = key.partition("[")[0]
    spare = [name for name in given if name not in keys]
    near = did_you_mean(key, spare)
    if spec.argument in spare:
        near = f"'{spec.argument}' is bound to '{key}': pass {key}=..., or compile without this bind"
    return _error(
        "LL0501",
        "missing: " + ", ".join(dict.fromkeys(name.partition("[")[0] for name, _ in lacking)),
        lacking,
        expected=", ".join(f"{name}: {s.type}" for name, s in lacking),
        found=", ".join(given) or "nothing",
        hint=near
        or (f"rename it where you compile: bind={{'{spec.argument}': '{spare[0]}'}}" if spare else f"pass {key}=..."),
    )


class GraphError(Exception):
    """An operation of a graph failed: which one, on what, in which term, and what it raises by itself."""

    def __init__(self, term: str, operation: str, operands: str, problem: Exception) -> None:
        super().__init__(term, operation, operands)
        self.term, self.operation, self.operands, self.problem = term, operation, operands, problem


def failed(
    problem: GraphError, inputs: Sequence[InputSpec], keys: Sequence[str], shapes: Sequence[object], place: Span | None
) -> LosslangError:
    """The error for an operation that torch refuses: in the words of the text, and not of the graph."""
    if isinstance(problem.problem, NoMinimumError):
        return _no_minimum(problem.problem, place)
    taken = [
        f"{key} {shape}" for spec, key, shape in zip(inputs, keys, shapes, strict=True) if problem.term in spec.terms
    ]
    said = str(problem.problem).strip().split("\n")[0]
    return error(
        "LL0512",
        f"{problem.operation} failed in the term '{problem.term}': {said}",
        place,
        expected=f"operands that {problem.operation} takes",
        found=problem.operands,
        hint="is an axis shorter than a window or a network needs?",
        notes=[f"the term got {', '.join(taken)}"] if taken else (),
    )


def _no_minimum(problem: Exception, place: Span | None) -> LosslangError:
    """The error for an argmin that finds nothing."""
    return error(
        "LL0510",
        "an argmin or argmax over a set found no end",
        place,
        expected="a convex function that is least somewhere on the set (for argmax: concave, greatest)",
        found=str(problem),
        hint="two gradients that point in exactly opposite directions, for one, leave nothing to bargain for",
    )


def unexpected(name: str, keys: Sequence[str]) -> LosslangError:
    """The error for a keyword that no term takes."""
    return error(
        "LL0502",
        f"no term takes '{name}'",
        expected=", ".join(keys),
        found=name,
        hint=did_you_mean(name, keys) or "leave it out, or pass a whole batch as a mapping",
    )


# ------------------------------------------------------------------------------------------ shapes
def check_shapes(inputs: Sequence[InputSpec], keys: Sequence[str], tensors: Sequence[Tensor]) -> None:
    """Rank, extents and dtypes: an axis that two inputs share has one extent."""
    extents: dict[str, tuple[tuple[int, ...], str]] = {}
    for spec, key, tensor in zip(inputs, keys, tensors, strict=True):
        _check_tensor(spec, key, tensor)
        for dim, lengths in lengths_of(spec, key, tensor):
            known = extents.setdefault(dim.name, (lengths, key))
            if known[0] != lengths:
                raise _disagree(dim, known, key, lengths, spec, inputs, keys, tensors)
    devices = {tensor.device for tensor in tensors if tensor.dim()}
    if len(devices) > 1:
        first = next(place for place, tensor in enumerate(tensors) if tensor.dim())
        other = next(n for n, tensor in enumerate(tensors) if tensor.dim() and tensor.device != tensors[first].device)
        raise _error(
            "LL0507",
            "the inputs are on different devices",
            [(keys[place], inputs[place]) for place in (first, other)],
            expected="one device for all of them",
            hint=f".to('{next(t.device for t in tensors if t.dim())}') where the batch is made",
            found=", ".join(f"{key}: {tensor.device}" for key, tensor in zip(keys, tensors, strict=True)),
        )


_WANTED = {"real": "a floating-point tensor", "int": "an integer tensor", "bool": "a bool tensor"}


def _check_tensor(spec: InputSpec, key: str, tensor: object) -> None:
    if not isinstance(tensor, Tensor):
        raise _error(
            "LL0504",
            f"'{key}' is no tensor",
            [(key, spec)],
            expected=spec.type,
            found=type(tensor).__name__,
            hint="keep it out of the batch's mapping, or leave the parameter to its default"
            if tensor is None
            else f"declare the model: objective main({key}: real[b, ...] -> real[b, ...]): ..."
            if isinstance(tensor, torch.nn.Module)
            else f"torch.as_tensor({key})",
        )
    fits = {
        "real": tensor.is_floating_point(),
        "int": not tensor.is_floating_point() and not tensor.is_complex() and tensor.dtype != torch.bool,
        "bool": tensor.dtype == torch.bool,
    }
    if not fits[spec.dtype]:
        raise _error(
            "LL0504",
            f"'{key}' is {str(tensor.dtype).removeprefix('torch.')}",
            [(key, spec)],
            expected=f"{_WANTED[spec.dtype]}, for {spec.type}",
            found=str(tensor.dtype).removeprefix("torch."),
            hint=_dtype_hint(spec, key, tensor),
        )


def _dtype_hint(spec: InputSpec, key: str, tensor: Tensor) -> str:
    if spec.dtype == "int" and tensor.is_floating_point():
        return f"class numbers are integers: {key}.long(); for soft targets use cross_entropy"
    if spec.dtype == "real":
        return f"{key}.float()" + ("/255, if these are bytes" if spec.kind == "image" else "")
    return f"{key}.bool()" if spec.dtype == "bool" else f"{key}.long()"


def lengths_of(spec: InputSpec, key: str, tensor: Tensor) -> list[tuple[Dim, tuple[int, ...]]]:
    """The extents of each axis of a tensor."""
    fixed = sum(not dim.rest for dim in spec.dims)
    has_rest = fixed < len(spec.dims)
    if tensor.dim() < fixed or (tensor.dim() > fixed and not has_rest):
        raise _error(
            "LL0503",
            f"'{key}' has {tensor.dim()} dimensions",
            [(key, spec)],
            expected=f"{fixed}{' or more' if has_rest else ''}, for {spec.type}",
            found=str(tuple(tensor.shape)),
            hint=_rank_hint(spec, key, tensor, fixed),
        )
    found: list[tuple[Dim, tuple[int, ...]]] = []
    place = 0
    for dim in spec.dims:
        width = tensor.dim() - fixed if dim.rest else 1
        lengths = tuple(tensor.shape[place : place + width])
        place += width
        if not dim.rest and lengths[0] < dim.least:
            raise _error(
                "LL0503",
                f"there is no place {dim.least - 1} on axis '{dim.name}' of '{key}'",
                [(key, spec)],
                expected=f"{dim.least} or more elements",
                found=str(lengths[0]),
                hint="places are counted from 0",
            )
        if dim.size is not None and lengths != (dim.size,):
            raise _error(
                "LL0503",
                f"axis '{dim.name}' of '{key}' has {lengths[0]} elements",
                [(key, spec)],
                expected=f"{dim.size}, for {spec.type}",
                found=str(tuple(tensor.shape)),
                hint=f"{key}.expand(-1, 3, -1, -1) makes a grey image one of three channels"
                if dim.size == 3 and lengths == (1,)
                else f"the dimensions of {key} are {', '.join('...' if d.rest else d.name for d in spec.dims)},"
                " in this order",
            )
        found.append((dim, lengths))
    return found


def _rank_hint(spec: InputSpec, key: str, tensor: Tensor, fixed: int) -> str | None:
    if tensor.dim() == fixed + 1 and tensor.shape[-1] == 1:
        return f"{key}.squeeze(-1)"
    if tensor.dim() == fixed - 1:
        return f"{key}.unsqueeze(0), if it is a single element of '{spec.dims[0].name}'"
    return "a tensor of another shape goes under another name: bind= where the objective is compiled"


def _disagree(
    dim: Dim,
    known: tuple[tuple[int, ...], str],
    key: str,
    lengths: tuple[int, ...],
    spec: InputSpec,
    inputs: Sequence[InputSpec],
    keys: Sequence[str],
    tensors: Sequence[Tensor],
) -> LosslangError:
    first = known[1]
    types = {k: s.type for k, s in zip(keys, inputs, strict=True)}
    shapes = {k: tuple(t.shape) for k, t in zip(keys, tensors, strict=True)}
    hint = f"both say '{'...' if dim.rest else dim.name}': one may be of another batch, or transposed"
    for longer, more, fewer in ((first, known[0], lengths), (key, lengths, known[0])):
        if dim.rest and more == (*fewer, 1):
            hint = f"{longer}.squeeze(-1), if its last dimension is not meant"
    for longer, shorter in ((first, key), (key, first)):
        if len(shapes[longer]) == len(shapes[shorter]) + 1 and shapes[longer][-1] == 1:
            hint = f"{longer}.squeeze(-1), if its last dimension is not meant"
    name = "the dimensions '...'" if dim.rest else f"axis '{dim.name}'"
    specs = dict(zip(keys, inputs, strict=True))
    return _error(
        "LL0503",
        f"{name} of '{first}' and '{key}' differ: {_text(known[0])} and {_text(lengths)}",
        [(first, specs[first]), (key, spec)],
        expected=f"{first}: {types[first]} and {key}: {spec.type} to agree",
        found=f"{first} {shapes[first]}, {key} {shapes[key]}",
        hint=hint,
    )


def _text(lengths: tuple[int, ...]) -> str:
    return str(lengths[0]) if len(lengths) == 1 else str(lengths)


# ------------------------------------------------------------------------------------------ values
def check_values(inputs: Sequence[InputSpec], keys: Sequence[str], tensors: Sequence[Tensor]) -> None:
    """Labels in range, probabilities in 0..1, unit rows of length 1, images not in another range altogether."""
    extents = extents_of(inputs, keys, tensors)
    for spec, key, tensor in zip(inputs, keys, tensors, strict=True):
        if tensor.numel() == 0 or tensor.is_meta:
            continue
        for axis in spec.indexed:
            if axis in extents:
                _check_places(spec, key, tensor, axis, extents[axis])
        classes = extents.get(spec.bound or "", spec.classes)
        if classes is not None:
            _check_labels(spec, key, tensor, classes)
        elif spec.kind == "prob":
            hint = "apply softmax[c](...) or sigmoid(...) if these are logits"
            _check_between(key, tensor, 0.0, 1.0, 1e-3, spec, hint)
        elif spec.range is not None:
            _check_range(spec, key, tensor)
        elif spec.kind == "unit":
            _check_unit(spec, key, tensor)


def extents_of(inputs: Sequence[InputSpec], keys: Sequence[str], tensors: Sequence[Tensor]) -> dict[str, int]:
    """The extent of every axis of a call that is one dimension."""
    given = zip(inputs, keys, tensors, strict=True)
    dims = [pair for spec, key, tensor in given for pair in lengths_of(spec, key, tensor)]
    return {dim.name: lengths[0] for dim, lengths in dims if not dim.rest}


def _outside(tensor: Tensor, count: int, ignored: Sequence[int] = ()) -> int | None:
    """The first number that is none of 0 to count - 1, nor ignored."""
    wrong = (tensor < 0) | (tensor >= count)
    for value in ignored:
        wrong &= tensor != value
    return int(tensor[wrong].flatten()[0]) if bool(wrong.any()) else None


def _check_labels(spec: InputSpec, key: str, tensor: Tensor, classes: int) -> None:
    bad = _outside(tensor, classes, spec.ignore)
    if bad is not None:
        raise _error(
            "LL0505",
            f"'{key}' holds the label {bad}",
            [(key, spec)],
            expected=f"0 to {classes - 1}: axis '{spec.bound}' has {classes} elements",
            found=str(bad),
            hint=f"leave such rows out: ignore={bad}" if bad < 0 or bad == 255 else "do the labels start at 1?",
        )


def _check_places(spec: InputSpec, key: str, tensor: Tensor, axis: str, count: int) -> None:
    bad = _outside(tensor, count)
    if bad is not None:
        raise _error(
            "LL0505",
            f"'{key}' points at place {bad} of axis '{axis}'",
            [(key, spec)],
            expected=f"0 to {count - 1}: axis '{axis}' has {count} elements",
            found=str(bad),
            hint="places are counted from 0" if bad == count else "an index says a row of the tensor that it indexes",
        )


def _check_between(key: str, tensor: Tensor, low: float, high: float, slack: float, spec: InputSpec, hint: str) -> None:
    smallest, largest = (float(x) for x in torch.aminmax(tensor.detach()))
    if smallest < low - slack or largest > high + slack:
        raise _error(
            "LL0508",
            f"'{key}' reaches from {smallest:.4g} to {largest:.4g}",
            [(key, spec)],
            expected=f"values in {low:g}..{high:g}, for {spec.type}",
            found=f"{smallest:.4g}..{largest:.4g}",
            hint=hint,
        )


def _check_range(spec: InputSpec, key: str, tensor: Tensor) -> None:
    """A prediction may overshoot its range; ten times its width is another range (bytes, say)."""
    assert spec.range is not None
    low, high = spec.range
    _check_between(key, tensor, low, high, 10 * (high - low), spec, "scale the image, or declare the range it has")


def _check_unit(spec: InputSpec, key: str, tensor: Tensor) -> None:
    lengths = tensor.detach().double().square().sum(-1).sqrt()
    off = (lengths - 1).abs().max()
    if float(off) > 0.01:
        raise _error(
            "LL0508",
            f"rows of '{key}' are not normalised",
            [(key, spec)],
            expected=f"length 1, for {spec.type}",
            found=f"length up to {float(off):.3g} away from 1",
            hint=f"torch.nn.functional.normalize({key}, dim=-1)",
        )


def check_finite(
    inputs: Sequence[InputSpec],
    keys: Sequence[str],
    tensors: Sequence[Tensor],
    total: Tensor,
    terms: Mapping[str, Any],
    places: Mapping[str, Span],
) -> None:
    """Name the first input that is not finite, else the first term."""
    if bool(torch.isfinite(total).all()):
        return
    for spec, name, tensor in zip(inputs, keys, tensors, strict=True):
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            count = int((~torch.isfinite(tensor)).sum())
            raise _error(
                "LL0506",
                f"the input '{name}' is not finite",
                [(name, spec)],
                expected="no nan and no inf",
                found=f"{count} of {tensor.numel()} elements",
                hint="look at what made it: the learning rate, a division, a log of 0",
            )
    for name, term in terms.items():
        if not bool(torch.isfinite(term.value).all()):
            raise error(
                "LL0506",
                f"the term '{name}' is not finite, though all inputs are",
                places.get(name),
                expected="a finite value",
                found=str(term.value.sum().item()),
                hint="are its inputs extreme, or a filter empty?",
            )
    raise error(
        "LL0506",
        "the total is not finite, though every term is",
        expected="a finite value",
        found=str(total.sum().item()),
        hint="a weight or a balancer is: look at `weight` of each term",
    )
