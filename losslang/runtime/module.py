"""The objective as an `nn.Module`: takes a batch, gives the total and what each term contributed.

It needs torch only; how a graph is made for the ranks and precision of a batch is its factory's business.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor, nn

from losslang.diagnostics import LosslangError, LosslangWarning
from losslang.runtime import checks, doubts
from losslang.runtime.checks import Counts, GraphError, InputSpec, ModelSpec
from losslang.runtime.models import Callee, ModelError
from losslang.runtime.state import Clock, Extents, Needs, Stored, current, drawn, generator
from losslang.source import Span

Program: TypeAlias = Callable[..., "tuple[Tensor, ...]"]
"""Inputs, models, learned slots and what else is needed, to total, values, weights, shares and what is to be stored."""


NOTHING = Needs()


class Factory(Protocol):
    """Makes programs; how is none of the module's business."""

    def program(self, dims: Mapping[str, int], dtype: torch.dtype, device: torch.device) -> Program:
        """The function for given ranks (by input), working precision and device."""
        ...


class TermLog(NamedTuple):
    """What a term contributed to one call: tensors without dimensions, detached, on the inputs' device."""

    value: Tensor
    """The raw value of the loss, before any weight."""
    weight: Tensor
    """The derivative of the total by the value: nominal weight and balancer together."""
    share: Tensor
    """``weight*value``, as a part of the sum of all terms' sizes."""


class Terms(Mapping[str, TermLog]):
    """The terms of one call by name; reading one copies nothing and waits for nothing."""

    def __init__(self, names: tuple[str, ...], raw: Tensor, weights: Tensor, shares: Tensor) -> None:
        self.names, self.raw, self.weights, self.shares = names, raw, weights, shares

    def __getitem__(self, name: str) -> TermLog:
        if name not in self.names:
            raise KeyError(name)
        place = self.names.index(name)
        return TermLog(self.raw[place], self.weights[place], self.shares[place])

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Output:
    """What a call gives."""

    total: Tensor
    """The number to differentiate: ``out.total.backward()``."""
    terms: Mapping[str, TermLog]

    def backward(self) -> None:
        """``total.backward()``."""
        self.total.backward()

    def __str__(self) -> str:
        """One line for each term (this reads the numbers, so it waits for the device)."""
        lines = [f"total {self.total.mean().item():.6g}"]
        width = max(map(len, self.terms), default=0)
        for name, term in self.terms.items():
            lines.append(
                f"  {name:<{width}}  value {term.value.mean().item():<11.5g}  "
                f"weight {term.weight.item():<11.5g}  share {term.share.item():.1%}"
            )
        return "\n".join(lines)


def _as_it_is(raw: Tensor) -> Tensor:
    return raw


@dataclass(frozen=True)
class SlotSpec:
    """A learned value: its key (``term.parameter``), where it starts, how to read it in the user's terms.

    ``init`` is a number, or ``normal`` or ``uniform`` with mean and deviation or with both ends.
    """

    key: str
    init: float | tuple[str, float, float]
    shape: tuple[int, ...] = ()
    read: Callable[[Tensor], Tensor] = field(default=_as_it_is, repr=False)

    def start(self, seed: int | None = None) -> Tensor:
        """The value of the parameter before any training."""
        if not isinstance(self.init, tuple):
            return torch.full(self.shape, self.init)
        name, first, second = self.init
        value = torch.empty(self.shape)
        fill = value.normal_ if name == "normal" else value.uniform_
        return fill(first, second, generator=generator(seed, self.key, 0, value.device))


@dataclass(frozen=True)
class Signature:
    """The inputs of an objective, in order: tensors, then models."""

    inputs: tuple[InputSpec, ...]
    models: tuple[ModelSpec, ...] = ()
    lists: tuple[tuple[str, Counts], ...] = ()
    """The inputs that are lists, and how many elements they have."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the inputs: a list is one."""
        return tuple(dict.fromkeys(spec.argument for spec in self.inputs))

    def __iter__(self) -> Iterator[InputSpec]:
        return iter(self.inputs)

    def __str__(self) -> str:
        return f"({', '.join(f'{spec.key({})}: {spec.type}' for spec in (*self.inputs, *self.models))})"

    __repr__ = __str__


class Slots(nn.Module):
    """The learned numbers, each a parameter without dimensions, held under the names in its key.

    A key is ``term.parameter``; any name is allowed in it, also ``train``.
    """

    def put(self, key: str, value: Tensor) -> None:
        """A new parameter under a key."""
        *path, name = key.split(".")
        holder = self
        for step in path:
            holder._modules.setdefault(step, Slots())
            holder = holder._holder(step)
        holder._parameters[name] = nn.Parameter(value)

    def __getitem__(self, key: str) -> nn.Parameter:
        """The parameter under a key."""
        *path, name = key.split(".")
        holder = self
        for step in path:
            holder = holder._holder(step)
        parameter = holder._parameters[name]
        assert parameter is not None
        return parameter

    def _holder(self, name: str) -> Slots:
        held = self._modules[name]
        assert isinstance(held, Slots)
        return held


def _full_precision(device: str) -> AbstractContextManager[object]:
    """The graph casts what it takes; an autocast around it would cast again."""
    if torch.amp.is_autocast_available(device):
        return torch.autocast(device_type=device, enabled=False)
    return nullcontext()


def _ambient(device: str) -> tuple[str, torch.dtype, bool] | None:
    """The autocast that a caller has set, for the models: the graph around them has none."""
    if not torch.amp.is_autocast_available(device):
        return None
    return device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device)


class Objective(nn.Module):
    """A compiled objective.

    Call it with the inputs by keyword, or with a batch (a mapping that may hold more than is needed)::

        out = objective(logits=logits, labels=labels)
        out = objective(batch)
        out.total.backward()

    Args:
        text: the source, for `repr`.
        signature: the inputs.
        terms: names of the terms.
        slots: the learned values.
        needs: what is stored from call to call, which clocks are read, what is drawn.
        factory: makes the function for given ranks, working precision and device.
        places: term -> where it stands in the text.
        bind: input name -> the name it has in a batch.
        validate: check values (labels, ranges) at the first call, shapes at the first of every new shape.
        check_finite: at every call, report the first input or term that is not finite (waits for the device).
        allow: warnings of the first call that are meant.
        seed: of random defaults and random starts; without it torch's own generators draw.

    Raises:
        LosslangError: LL05xx for a call that does not fit, in the caller's own names.
    """

    def __init__(
        self,
        text: str,
        signature: Signature,
        terms: Sequence[str],
        slots: Sequence[SlotSpec],
        factory: Factory,
        *,
        needs: Needs = NOTHING,
        places: Mapping[str, Span] | None = None,
        bind: Mapping[str, str] | None = None,
        validate: bool = True,
        check_finite: bool = False,
        seed: int | None = None,
        allow: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.text = text
        self.signature = signature
        self.term_names = tuple(terms)
        self.places = dict(places or {})
        self.allow = frozenset(allow)
        self.bind = dict(bind or {})
        self.validate = validate
        self.check_finite = check_finite
        self._keys = tuple(spec.key(self.bind) for spec in signature)
        self._model_keys = tuple(spec.key(self.bind) for spec in signature.models)
        self._lists = tuple((self.bind.get(name, name), counts) for name, counts in signature.lists)
        self._slot_specs = tuple(slots)
        self.factory = factory
        self._programs: dict[Any, Program] = {}
        self._seen: set[Any] = set()
        self._values_checked = False
        self.needs = needs
        self.seed = seed
        self._extents = Extents(signature.inputs)
        self.terms = Slots()
        for spec in self._slot_specs:
            self.terms.put(spec.key, spec.start(seed))
        self.state = Stored()
        for spec in needs.states:
            self.state.declare(spec.key)
        counts = needs.states or needs.clocks or (needs.draws and seed is not None)
        self.clock = Clock() if counts else None
        checks.check_bind(self.bind, [*signature.inputs, *signature.models])

    def forward(self, batch: Mapping[str, Any] | None = None, /, *others: object, **named: Any) -> Output:
        """Total and terms of a batch."""
        if others or not (batch is None or hasattr(batch, "keys")):
            raise checks.no_mapping(batch, len(others) + 1, (*self._keys, *self._model_keys))
        inputs, models = self._gather(batch, named)
        if not torch.compiler.is_compiling():
            self._check(inputs)
        dtype = torch.float64 if any(x.dtype == torch.float64 for x in inputs) else torch.float32
        program = self._program(inputs, dtype)
        device = inputs[0].device.type
        callees = [
            Callee(spec.name, spec.type, model, _ambient(device))
            for spec, model in zip(self.signature.models, models, strict=True)
        ]
        with _full_precision(device):
            given = (*inputs, *callees, *self._slot_values(inputs[0]), *self._needed(inputs, dtype))
            try:
                total, values, weights, shares, *stored = program(*given)
            except GraphError as problem:
                raise self._failure(problem, inputs) from problem.__cause__
            except ModelError as problem:
                raise checks.wrong_model(problem, self.signature.models) from None
        if self.training:
            self._commit(stored)
        if values.dim() > 1 or len(self.term_names) != values.shape[0]:
            out = Output(total, {self.term_names[0]: TermLog(values, weights, shares)})
        else:
            out = Output(total, Terms(self.term_names, values, weights, shares))
        if self.check_finite:
            checks.check_finite(self.signature.inputs, self._keys, inputs, out.total, out.terms, self.places)
        return out

    def _failure(self, problem: GraphError, inputs: Sequence[Tensor]) -> LosslangError:
        shapes = [tuple(x.shape) for x in inputs]
        return checks.failed(problem, self.signature.inputs, self._keys, shapes, self.places.get(problem.term))

    def _gather(
        self, batch: Mapping[str, Any] | None, named: dict[str, Any]
    ) -> tuple[list[Tensor], list[Callable[..., Any]]]:
        """The tensors and the models of a call."""
        given = named if batch is None else {**batch, **named} if named else batch
        for key, counts in self._lists:
            given = {**given, **checks.spread(key, given[key], counts)} if key in given else given
        keys = (*self._keys, *self._model_keys)
        try:
            inputs, models = [given[key] for key in self._keys], [given[key] for key in self._model_keys]
        except KeyError:
            specs = (*self.signature.inputs, *self.signature.models)
            raise checks.missing(keys, specs, dict(given)) from None
        if named and len(given) > len(keys):
            lists = [key for key, _ in self._lists]
            unexpected = [name for name in named if name not in keys and name not in lists]
            if unexpected:
                raise checks.unexpected(unexpected[0], keys)
        for spec, key, model in zip(self.signature.models, self._model_keys, models, strict=True):
            checks.check_model(spec, key, model)
        return inputs, models

    def _check(self, inputs: list[Tensor]) -> None:
        """Shapes once for every new combination of them, values once."""
        if not self.validate and self._seen:
            return
        given: list[object] = [*inputs]
        key = tuple((x.shape, x.dtype, x.device) if isinstance(x, Tensor) else type(x) for x in given)
        if key in self._seen:
            return
        checks.check_shapes(self.signature.inputs, self._keys, inputs)
        if self.validate and not self._values_checked:
            checks.check_values(self.signature.inputs, self._keys, inputs)
            for one in doubts.doubts(self.signature.inputs, self._keys, inputs, self.allow):
                warnings.warn(LosslangWarning(one), stacklevel=5)
            self._values_checked = True
        if len(self._seen) < 4096:
            self._seen.add(key)

    def _needed(self, inputs: list[Tensor], dtype: torch.dtype) -> list[Tensor]:
        """What is stored, each value with whether there is one, then the clocks, then the draws of this call."""
        found: list[Tensor] = []
        like = inputs[0]
        for spec in self.needs.states:
            found += current(spec, self.state[spec.key], self._extents.shape(spec.dims, inputs), like, dtype)
        if self.clock is not None:
            self.clock.follow(like.device)
            found += [self.clock.get_buffer(name) for name in self.needs.clocks]
        for spec in self.needs.draws:
            step = self.clock.number() if self.clock is not None and self.seed is not None else 0
            source = generator(self.seed, spec.key, step, like.device)
            found.append(drawn(spec, self._extents.shape(spec.dims, inputs), like, dtype, source))
        return found

    def _commit(self, stored: Sequence[Tensor]) -> None:
        """Keep what this training call stores; the graph of the call still holds what was there before."""
        for spec, value in zip(self.needs.states, stored, strict=True):
            self.state[spec.key] = value
        if self.clock is not None:
            self.clock.advance()

    @property
    def step(self) -> int:
        """How many training calls there were (this reads the number, so it waits for the device)."""
        return self.clock.number() if self.clock is not None else 0

    @property
    def epoch(self) -> int:
        """The epoch, as the trainer has set it: ``objective.epoch = 3``."""
        return int(self.clock.epoch) if self.clock is not None else 0

    @epoch.setter
    def epoch(self, number: int) -> None:
        if self.clock is not None:
            self.clock.epoch = torch.full_like(self.clock.epoch, number)

    def _program(self, inputs: list[Tensor], dtype: torch.dtype) -> Program:
        key = (tuple(x.dim() for x in inputs), dtype, inputs[0].device)
        if torch.compiler.is_compiling():
            self._prepare(*key)
        elif key not in self._programs:
            self._make(*key)
        return self._programs[key]

    def _make(self, dims: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> None:
        named = {spec.name: count for spec, count in zip(self.signature, dims, strict=True)}
        self._programs[dims, dtype, device] = self.factory.program(named, dtype, device)

    @torch.compiler.assume_constant_result
    def _prepare(self, dims: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> bool:
        """Make a program while a caller's own `torch.compile` traces: it runs then, and is no part of the trace."""
        if (dims, dtype, device) not in self._programs:
            self._make(dims, dtype, device)
        return True

    def _slot_values(self, like: Tensor) -> list[Tensor]:
        return [self.terms[spec.key].to(like.device) for spec in self._slot_specs]

    def __getstate__(self) -> dict[str, Any]:
        """A copy makes its programs anew; what it learned and what was checked goes along."""
        return {**self.__dict__, "_programs": {}}

    def learned(self) -> dict[str, float | Tensor]:
        """The learned values in the user's terms (a temperature, not its logarithm), by key."""
        values = {spec.key: spec.read(self.terms[spec.key].detach()) for spec in self._slot_specs}
        return {key: value if value.dim() else value.item() for key, value in values.items()}

    def extra_repr(self) -> str:
        """Source, inputs, terms and what is learned."""
        renamed = "".join(f"\nbind: {name} = {key}" for name, key in self.bind.items())
        learned = ", ".join(spec.key for spec in self._slot_specs) or "nothing"
        terms = ", ".join(self.term_names)
        stored = ", ".join(spec.key for spec in self.needs.states)
        kept = f"\nstored: {stored}" if stored else ""
        return f"{self.text}\ninputs: {self.signature}{renamed}\nterms: {terms}\nlearned: {learned}{kept}"

    def __repr__(self) -> str:
        body = self.extra_repr().replace("\n", "\n  ")
        return f"Objective(\n  {body}\n)"
