"""An objective as a Python file that needs torch and nothing else: `Artifact.python` is its text.

The file holds the graph as statements, a class with the call convention and state-dict keys of the module in
this process, and the text of what it calls. Dimensions that ``...`` stands for are merged into one at entry:
the file works for any number of them. Where the caller fixes the number, they stay as they are.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import fx

from losslang.backends import python
from losslang.backends.python import identifier
from losslang.runtime import functional, minimum, models, nets, state
from losslang.runtime.checks import Dim, InputSpec, ModelSpec
from losslang.runtime.module import SlotSpec
from losslang.runtime.state import Needs, StateSpec


@dataclass(frozen=True)
class Artifact:
    """What an exported objective consists of."""

    name: str
    source: str
    """The text it was compiled from."""
    digest: str
    """A hash of the canonical IR: equal for equal objectives, however they are written."""
    version: str
    inputs: tuple[InputSpec, ...]
    models: tuple[ModelSpec, ...]
    lists: tuple[tuple[str, tuple[int, ...]], ...]
    """Inputs that are lists, and how many elements they have at each level."""
    bind: dict[str, str]
    ranks: dict[str, int]
    """Fixed numbers of dimensions, by input; for any other input every number will do."""
    terms: tuple[str, ...]
    slots: tuple[SlotSpec, ...]
    """Learned values: where each free parameter starts."""
    learned: dict[str, float]
    """The learned numbers as they are now."""
    needs: Needs
    """What is stored from call to call, which clocks are read, what is drawn."""
    networks: dict[str, tuple[nets.NetSpec, bool]]
    """By the name that the graph gives it: a network, and whether its LPIPS heads are used."""
    rows: tuple[str, ...]
    """Axes of the total, where it is not reduced."""
    graph: fx.Graph
    problems: dict[str, fx.Graph]
    """The functions that the graph minimises, by the name that it gives them."""
    dtype: torch.dtype

    def python(self) -> str:
        """The text of ``objective.py``."""
        return _File(self).text()

    def json(self) -> str:
        """The text of ``objective.json``."""
        return json.dumps(self.description(), indent=2, ensure_ascii=False) + "\n"

    def description(self) -> dict[str, Any]:
        """Everything but the graph, as data."""
        return {
            "name": self.name,
            "source": self.source,
            "hash": self.digest,
            "inputs": [
                {
                    "name": spec.key(self.bind),
                    "input": spec.name,
                    "type": spec.type,
                    "dims": self.ranks.get(spec.name),
                }
                for spec in self.inputs
            ],
            "models": [
                {"name": self.bind.get(spec.name, spec.name), "input": spec.name, "type": spec.type}
                for spec in self.models
            ],
            "terms": list(self.terms),
            "parameters": {f"terms.{spec.key}": self._parameter(spec) for spec in self.slots},
            "state": {f"state.{s.key}": {"axes": [d.name for d in s.dims], "dtype": s.dtype} for s in self.needs.states}
            | ({f"clock.{name}": {"axes": [], "dtype": "int"} for name in ("step", "epoch")} if self.counts else {}),
            "draws": {s.key: {"axes": [d.name for d in s.dims], "draws": s.name} for s in self.needs.draws},
            "networks": {name: str(spec) for name, (spec, _) in self.networks.items()},
            "dtype": "float64 where an input is, else float32",
            "versions": {"losslang": self.version, "torch": str(torch.__version__)},
        }

    @property
    def counts(self) -> bool:
        """Whether training calls are counted."""
        return bool(self.needs.states or self.needs.clocks)

    def _parameter(self, spec: SlotSpec) -> dict[str, Any]:
        init = list(spec.init) if isinstance(spec.init, tuple) else spec.init
        known = {"value": self.learned[spec.key]} if spec.key in self.learned else {}
        return {"init": init, **known, **({"shape": list(spec.shape)} if spec.shape else {})}


def _helper(name: str) -> Any:
    """A function that graphs may call; an operation of the host by the function that carries it out."""
    value = getattr(functional, name, None)
    value = getattr(value, "_init_fn", value)
    return value if inspect.isfunction(value) else None


_RESERVED = frozenset(
    [
        "self",
        "dtype",
        "torch",
        "F",
        "nn",
        "math",
        "Tensor",
        "Term",
        "Output",
        "Slots",
        "Objective",
        "gathered",
        "check",
        "merged",
        "callees",
        "move",
        "root",
        "Stored",
        "Clock",
        "kept",
        "Any",
        "spread",
    ]
) | {name for module in (functional, minimum, models) for name in vars(module) if not name.startswith("__")}


class _File:
    """Puts the file together."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        given = (*artifact.inputs, *artifact.models)
        self.keys = {spec.name: spec.key(artifact.bind) for spec in given}
        self.locals = self._locals()
        self.kept = self._kept()
        self.models = {spec.name: self.locals[spec.name] for spec in artifact.models}
        self.body = python.write(artifact.graph, self._names(), artifact.dtype)
        self.problems = [python.write_function(graph, name, _RESERVED) for name, graph in artifact.problems.items()]
        for problem in self.problems:
            self.body.helpers |= problem.helpers
            self.body.modules |= problem.modules

    def _locals(self) -> dict[str, str]:
        """A Python name for each input and model: that of the batch, where it is one."""
        taken: set[str] = set()
        found: dict[str, str] = {}
        for name, key in self.keys.items():
            local = identifier(key if key.isidentifier() else name, _RESERVED | {"total"})
            while local in taken:
                local += "_"
            taken.add(local)
            found[name] = local
        return found

    def _names(self) -> python.Names:
        real = {spec.name for spec in self.artifact.inputs if spec.dtype == "real"}
        first = next(iter(self.locals.values()))
        placeholders = [node.name for node in self.artifact.graph.nodes if node.op == "placeholder"]
        by_input = dict(zip(placeholders, self.locals, strict=False))
        others = placeholders[len(self.locals) :]
        slots = dict(zip(others, (spec.key for spec in self.artifact.slots), strict=False))
        held = {node: f'self.terms["{key}"]' for node, key in slots.items()}
        held |= dict(zip(others[len(slots) :], self.kept.names, strict=True))
        return python.Names(
            inputs={node: self.locals[name] for node, name in by_input.items() if name in real},
            others={node: self.locals[name] for node, name in by_input.items() if name not in real} | held,
            learned={node: identifier(key.replace(".", "_"), _RESERVED) for node, key in slots.items()},
            device=f"{first}.device",
            reserved=_RESERVED,
            terms=self.artifact.terms,
            endings={4 + place: f".reshape({shape})" for place, shape in self.kept.shapes.items()},
        )

    # -------------------------------------------------------------------------------- parts
    def text(self) -> str:
        """The whole file."""
        helpers = [inspect.getsource(_helper(name)) for name in sorted(self._helpers())]
        networks = _without_imports(inspect.getsource(nets)) if self.artifact.networks else ""
        held = [sys.modules[f"losslang.runtime.{name}"] for name in sorted(self.body.modules)]
        helpers += [_without_imports(inspect.getsource(module)) for module in held]
        fixed = _RUNTIME + (_MERGING if self._merges() else "") + (_MOVING if networks else "")
        fixed += _CALLEES if self.models else ""
        fixed += _ROOT if "root" in self.body.helpers else ""
        fixed += _SPREADING if self.artifact.lists else ""
        fixed += _KEPT if self.artifact.needs.states else ""
        classes = [state.Stored] if self.artifact.needs.states else []
        classes += [state.Clock] if self.artifact.counts else []
        sources = [inspect.getsource(part) for part in classes]
        code = "\n\n".join(part.strip("\n") + "\n" for part in [self._class(), *_parts(fixed), *sources, *helpers])
        if networks:
            code += f"\n\n# {'-' * 106}\n# The feature networks: losslang/runtime/nets.py as it is\n{networks}"
        constants = "".join(_constant(name, items) for name, items in self.body.constants.items())
        imports = _imports(code, [*held, *([nets] if networks else [])])
        return f"{self._docstring()}\n{imports}\n{constants}\n\n{code}".replace("\n\n\n\n", "\n\n\n")

    def _helpers(self) -> set[str]:
        """The functions that the graph calls, and those that they call."""
        found: set[str] = set()
        waiting = self.body.helpers - {"root"}
        while waiting:
            name = waiting.pop()
            found.add(name)
            names = _names(inspect.getsource(_helper(name)))
            if not inspect.isfunction(getattr(functional, name)):
                names.add(f"{name}_like")  # what a compiler has to know of it
            waiting |= {other for other in names if _helper(other) is not None} - found
        return found

    def _docstring(self) -> str:
        artifact = self.artifact
        learned = [f"    {spec.key} (starts at {_start_text(spec)})" for spec in artifact.slots]
        stored = [f"    {spec.key}{_axes_text(spec)}" for spec in artifact.needs.states]
        inputs = [f"    {self.keys[spec.name]}: {spec.type}{self._rank_note(spec)}" for spec in artifact.inputs]
        any_number = "; ... stands for any number of dimensions" if self._merges() else ""
        lines = [
            f"The objective '{artifact.name}', compiled by losslang {artifact.version}; it needs torch only.",
            "",
            *textwrap.indent(artifact.source.strip(), "    ").splitlines(),
            "",
            f"Inputs, by keyword or in a mapping{any_number}:",
            *inputs,
            "Terms:",
            f"    {', '.join(artifact.terms)}",
            *(["Learned, as free parameters (a temperature by its logarithm):", *learned] if learned else []),
            *(["Stored by each training call for the next:", *stored] if stored else []),
            f"Hash: {artifact.digest}",
        ]
        body = "\n".join(line.rstrip() for line in lines).replace("\\", "\\\\").replace('"""', r"\"\"\"")
        return f'"""{body}\n"""\n'

    def _rank_note(self, spec: InputSpec) -> str:
        fixed = self.artifact.ranks.get(spec.name)
        return "" if fixed is None else f"  ({fixed} dimensions)"

    def _axes(self, spec: InputSpec) -> str:
        """``("b", 3, "*rest")``."""
        items: list[str] = []
        rest = self.artifact.ranks.get(spec.name, 0) - sum(not dim.rest for dim in spec.dims)
        for dim in spec.dims:
            if dim.rest and spec.name in self.artifact.ranks:
                items += [f'"{dim.name}_{place}"' for place in range(1, rest + 1)]
            else:
                items.append(str(dim.size) if dim.size is not None else f'"{"*" * dim.rest}{dim.name}"')
        return f"({', '.join(items)}{',' if len(items) == 1 else ''})"

    def _merges(self) -> dict[str, tuple[int, int]]:
        """Which dimensions of an input become one: how many stand before and behind them."""
        found: dict[str, tuple[int, int]] = {}
        for spec in self.artifact.inputs:
            places = [place for place, dim in enumerate(spec.dims) if dim.rest]
            if places and spec.name not in self.artifact.ranks:
                found[spec.name] = places[0], len(spec.dims) - places[0] - 1
        return found

    # -------------------------------------------------------------------------------- the class
    def _class(self) -> str:
        table = "".join(f"        {self.keys[s.name]!r}: {self._axes(s)},\n" for s in self.artifact.inputs)
        slots = "".join(f'        self.terms.put("{s.key}", {_start_code(s)})\n' for s in self.artifact.slots)
        networks = "".join(_network(name, *held) for name, held in self.artifact.networks.items())
        return _CLASS.format(
            doc=_class_doc(self.artifact.name, self.locals, self.keys),
            table=table.replace("'", '"'),
            lists=self._lists(),
            spreading="        batch, tensors = (spread(given, self.LISTS) for given in (batch or {}, tensors))\n"
            if self.artifact.lists
            else "",
            terms=_tuple(self.artifact.terms),
            slots=slots,
            networks=networks,
            kept=self._declared(),
            commit=self._commit(),
            stored=", *stored" if self.artifact.needs.states else "",
            results=self._results(),
            models=self._model_table(),
            callees="        models, tensors = callees(self.MODELS, batch, tensors)\n" if self.models else "",
            passed=", *models" if self.models else "",
            parameters=_parameters((self.locals[s.name] for s in self.artifact.inputs), self.models.values()),
            body=textwrap.indent(
                "\n".join([*self._entry(), *self.body.lines]), " " * 8, lambda line: bool(line.strip())
            ),
            problems="".join("\n" + textwrap.indent("\n".join(p.lines), " " * 4) + "\n" for p in self.problems),
        )

    def _model_table(self) -> str:
        rows = "".join(
            f'        "{self.keys[spec.name]}": ("{spec.name}", "{spec.type}"),\n' for spec in self.artifact.models
        )
        return f"    MODELS = {{\n{rows}    }}\n" if rows else ""

    def _lists(self) -> str:
        names = {name: self.artifact.bind.get(name, name) for name, _ in self.artifact.lists}
        items = ", ".join(f'"{names[name]}": {counts!r}' for name, counts in self.artifact.lists)
        return f"    LISTS = {{{items}}}\n" if items else ""

    def _entry(self) -> list[str]:
        """What comes before the statements of the graph."""
        first = next(iter(self.locals.values()))
        lines = [f"move(self.{name}, {first}.device, dtype)" for name in self.artifact.networks]
        lines += self.kept.lines
        for name, (before, behind) in self._merges().items():
            local = self.locals[name]
            lines.append(f"{local} = merged({local}, {before}, {behind})")
        return [*lines, ""] if lines else []

    def _kept(self) -> _Kept:
        """The lines that read what is stored, the clocks and the draws, and the names that they give them."""
        found = _Kept([], [], {})
        first, taken = next(iter(self.locals.values())), {*self.locals.values()}
        open_ = [spec for spec in self.artifact.inputs if spec.name not in self.artifact.ranks]
        rests = {dim.name for spec in open_ for dim in spec.dims if dim.rest}

        def local(key: str) -> str:
            name = identifier(key.replace(".", "_"), _RESERVED | taken)
            taken.add(name)
            return name

        for place, spec in enumerate(self.artifact.needs.states):
            name = local(spec.key)
            shape, merged = self._shape(spec.dims), _merged_line(name, spec.dims, rests)
            if merged:
                found.lines.append(f"{name}_shape = {shape}")
                found.shapes[place], shape = f"{name}_shape", f"{name}_shape"
            dtype = {"int": "torch.int64", "bool": "torch.bool"}.get(spec.dtype, "dtype")
            found.lines += [f'{name}, has_{name} = kept(self.state["{spec.key}"], {shape}, {dtype}, {first})', *merged]
            found.names += [name, f"has_{name}"]
        if self.artifact.counts:
            found.lines.append(f"self.clock.follow({first}.device)")
        for clock in self.artifact.needs.clocks:
            name = local(clock)
            found.lines.append(f"{name} = self.clock.{clock}")
            found.names.append(name)
        for spec in self.artifact.needs.draws:
            name, word = local(spec.key), "randn" if spec.name == "normal" else "rand"
            ending = ".argsort(-1)" if spec.name == "permutation" else ""
            shape = self._shape(spec.dims)
            found.lines.append(f"{name} = torch.{word}({shape}, dtype=dtype, device={first}.device){ending}")
            found.lines += _merged_line(name, spec.dims, rests)
            found.names.append(name)
        return found

    def _shape(self, dims: Sequence[Dim]) -> str:
        """The shape of what is stored or drawn, as the inputs give it before any of their dimensions are merged."""
        items = [str(dim.size) if dim.size is not None else self._length(dim) for dim in dims]
        return f"({', '.join(items)}{',' if len(items) == 1 else ''})"

    def _length(self, dim: Dim) -> str:
        for spec in self.artifact.inputs:
            names = [other.name for other in spec.dims]
            rest = next((place for place, other in enumerate(spec.dims) if other.rest), len(names))
            if dim.name in names:
                place, local = names.index(dim.name), self.locals[spec.name]
                if dim.rest:
                    return f"*{local}.shape[{place}:{place + 1 - len(names) or ''}]"
                return f"{local}.shape[{place if place < rest else place - len(names)}]"
        raise AssertionError(f"no input has the axis {dim.name}")

    def _declared(self) -> str:
        lines = ["self.state = Stored()"] if self.artifact.needs.states else []
        lines += [f'self.state.declare("{spec.key}")' for spec in self.artifact.needs.states]
        lines += ["self.clock = Clock()"] if self.artifact.counts else []
        return "".join(f"        {line}\n" for line in lines)

    def _commit(self) -> str:
        lines = ["if self.training:"] if self.artifact.counts else []
        if self.artifact.needs.states:
            keys = _tuple([spec.key for spec in self.artifact.needs.states])
            lines += [f"    for key, value in zip({keys}, stored, strict=True):", "        self.state[key] = value"]
        lines += ["    self.clock.advance()"] if lines else []
        return "".join(f"        {line}\n" for line in lines)

    def _results(self) -> str:
        name = self.artifact.terms[0]
        if not self.artifact.rows:
            return (
                "        rows = zip(self.TERMS, values, weights, shares)\n"
                "        return Output(total, {name: Term(*row) for name, *row in rows})\n"
            )
        lines: list[str] = []
        axis = next((axis for axis in self.artifact.rows if axis.startswith("*")), None)
        merges = self._merges()
        for spec in self.artifact.inputs:
            if spec.name not in merges:
                continue
            before, behind = merges[spec.name]
            if axis is not None and any(f"*{dim.name}" == axis for dim in spec.dims):
                place = self.artifact.rows.index(axis)
                shape = f'inputs["{self.keys[spec.name]}"].shape'
                lines.append(f"rest = {shape}[{before}:{-behind or ''}]")
                lines += [
                    f"{x} = {x}.unflatten({place}, rest) if rest else {x}.squeeze({place})" for x in ("total", "values")
                ]
                break
        lines.append(f'return Output(total, {{"{name}": Term(values, weights, shares)}})')
        return textwrap.indent("\n".join(lines), " " * 8) + "\n"


@dataclass
class _Kept:
    """What a file reads besides its inputs: lines, the names of what they read, shapes of what was merged."""

    lines: list[str]
    names: list[str]
    shapes: dict[int, str]


def _merged_line(name: str, dims: Sequence[Dim], rests: set[str]) -> list[str]:
    """The dimensions that ``...`` stands for become one, as those of the inputs do."""
    rest = next((place for place, dim in enumerate(dims) if dim.rest and dim.name in rests), None)
    return [] if rest is None else [f"{name} = merged({name}, {rest}, {len(dims) - rest - 1})"]


def _start_text(spec: SlotSpec) -> str:
    if isinstance(spec.init, tuple):
        return f"{spec.init[0]}({spec.init[1]:g}, {spec.init[2]:g})"
    return f"{spec.init:g}"


def _start_code(spec: SlotSpec) -> str:
    if isinstance(spec.init, tuple):
        return f"torch.empty({spec.shape}).{spec.init[0]}_({spec.init[1]!r}, {spec.init[2]!r})"
    return f"torch.full({spec.shape}, {spec.init!r})" if spec.shape else repr(spec.init)


def _axes_text(spec: StateSpec) -> str:
    return f"[{', '.join('...' if dim.rest else dim.name for dim in spec.dims)}]" if spec.dims else ""


def _class_doc(name: str, locals_: dict[str, str], keys: dict[str, str]) -> str:
    plain = [key for key in keys.values() if key.isidentifier()]
    call = ", ".join(f"{key}={key}" for key in plain) if len(plain) == len(keys) else "batch"
    first = f"The objective '{name}'."
    return f'"""{first}\n\n        out = Objective()({call})\n        out.total.backward()\n    """'


def _network(name: str, spec: nets.NetSpec, heads: bool) -> str:
    options = "".join(
        f", {key}={value!r}" for key, value in (("seed", spec.seed), ("path", spec.path)) if value is not None
    )
    lines = [f'self.{name} = build(NetSpec("{spec.name}", "{spec.weights}"{options}))']
    if heads:
        lines.append(f"_ = self.{name}.heads  # loads them")
    return textwrap.indent("\n".join(lines), " " * 8) + "\n"


def _tuple(names: Sequence[str]) -> str:
    inside = ", ".join(f'"{name}"' for name in names) + ("," if len(names) == 1 else "")
    return f"({inside})" if len(inside) < 90 else _lines(inside, 4)


def _parameters(tensors: Iterable[str], models: Iterable[str] = ()) -> str:
    named = [*(f"{name}: Tensor" for name in tensors), *(f"{name}: Callee" for name in models)]
    inside = ", ".join(["self", "dtype: torch.dtype", *named])
    if len(inside) < 70:
        return inside
    lines = textwrap.wrap(inside, 96, break_long_words=False, initial_indent=" " * 8, subsequent_indent=" " * 8)
    return "\n" + "\n".join(lines) + ",\n    "


def _constant(name: str, items: str) -> str:
    return f"\n{name} = {_lines(items, 0)}\n"


def _lines(items: str, indent: int) -> str:
    wrapped = textwrap.fill(items, 96, initial_indent=" " * (indent + 4), subsequent_indent=" " * (indent + 4))
    return f"(\n{wrapped},\n{' ' * indent})"


def _parts(text: str) -> list[str]:
    return [part for part in text.split("\n\n\n") if part.strip()]


# ------------------------------------------------------------------------------------------ imports
def _without_imports(source: str) -> str:
    """A module's text behind its docstring and imports."""
    body = ast.parse(source).body
    last = max(node.end_lineno or 0 for node in body if isinstance(node, ast.Import | ast.ImportFrom))
    return "\n".join(source.split("\n")[last:]).rstrip("\n") + "\n"


def _names(code: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}


def _imports(code: str, modules: Sequence[ModuleType]) -> str:
    """The import lines that a text needs; those of a module whose text is in it are all kept."""
    names = _names(code)
    plain: set[str] = {"torch", *({"math"} & names)}
    by_module: dict[str, set[str]] = {"__future__": {"annotations"}, "torch": {"Tensor", "nn"}}
    for node in (node for module in modules for node in ast.parse(inspect.getsource(module)).body):
        if isinstance(node, ast.Import):
            plain |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            by_module.setdefault(node.module or "", set()).update(alias.name for alias in node.names)
    for home, name in (
        ("collections.abc", "Mapping"),
        ("collections.abc", "Sequence"),
        ("typing", "NamedTuple"),
        ("typing", "Any"),
    ):
        if name in names:
            by_module.setdefault(home, set()).add(name)
    lines = [f"import {name}" for name in plain]
    lines += [f"from {home} import {', '.join(sorted(found))}" for home, found in by_module.items()]
    if "F" in names:
        lines.append("from torch.nn import functional as F")
    return _sorted_imports(lines)


def _sorted_imports(lines: Iterable[str]) -> str:
    future = [line for line in lines if "__future__" in line]
    own = [line for line in lines if "torch" in line]
    rest = [line for line in lines if line not in own and line not in future]
    groups = [
        future,
        *(sorted(group, key=lambda line: (line.startswith("from"), line)) for group in (rest, own)),
    ]
    return "\n\n".join("\n".join(group) for group in groups if group)


# ------------------------------------------------------------------------------------------ texts
_CLASS = '''\
class Objective(nn.Module):
    {doc}

    INPUTS = {{
{table}    }}
{lists}    TERMS = {terms}
{models}
    def __init__(self) -> None:
        super().__init__()
        self.terms = Slots()
{slots}{kept}{networks}
    def forward(self, batch: Mapping[str, Tensor] | None = None, /, **tensors: Tensor) -> Output:
        """Total and terms of a batch, given as a mapping or by keyword."""
{spreading}{callees}        inputs = gathered(self.INPUTS, batch, tensors)
        check(self.INPUTS, inputs)
        dtype = torch.float64 if any(x.dtype == torch.float64 for x in inputs.values()) else torch.float32
        with torch.autocast(next(iter(inputs.values())).device.type, enabled=False):
            total, values, weights, shares{stored} = self.compute(dtype, *inputs.values(){passed})
{commit}{results}
    def compute({parameters}) -> tuple[Tensor, ...]:
        """The total, then of each term the value, the weight and the share."""
{body}
{problems}'''

_RUNTIME = '''\
class Term(NamedTuple):
    """What a term contributed to one call, detached."""

    value: Tensor
    """The raw value of the loss, before any weight."""
    weight: Tensor
    """The derivative of the total by the value."""
    share: Tensor
    """``weight*value``, as a part of the sum of all terms' sizes."""


class Output(NamedTuple):
    """What a call gives."""

    total: Tensor
    """The number to differentiate."""
    terms: Mapping[str, Term]

    def backward(self) -> None:
        """``total.backward()``."""
        self.total.backward()


class Slots(nn.Module):
    """Learned numbers in a tree of names: ``infonce.tau`` is ``tau`` in the holder ``infonce``."""

    def put(self, path: str, value: float | Tensor) -> None:
        """A new parameter."""
        name, _, rest = path.partition(".")
        if rest:
            holder = self._modules.setdefault(name, Slots())
            holder.put(rest, value)
        else:
            self._parameters[name] = nn.Parameter(torch.as_tensor(value))

    def __getitem__(self, path: str) -> Tensor:
        name, _, rest = path.partition(".")
        return self._modules[name][rest] if rest else self._parameters[name]


def gathered(
    wanted: Mapping[str, tuple[str | int, ...]],
    batch: Mapping[str, Tensor] | None,
    tensors: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """The inputs, in order; a batch may hold more than is needed, keywords may not."""
    given = {**(batch or {}), **tensors}
    missing = [name for name in wanted if name not in given]
    if missing:
        raise ValueError(f"missing: {', '.join(missing)}; given: {', '.join(given) or 'nothing'}")
    unexpected = [name for name in tensors if name not in wanted]
    if unexpected:
        raise ValueError(f"no term takes {', '.join(unexpected)}; expected: {', '.join(wanted)}")
    return {name: given[name] for name in wanted}


def check(wanted: Mapping[str, tuple[str | int, ...]], inputs: Mapping[str, Tensor]) -> None:
    """Every input has the dimensions of its axes, and an axis that two inputs share has one extent."""
    known: dict[str | int, tuple[tuple[int, ...], str]] = {}
    for name, tensor in inputs.items():
        axes, shape = wanted[name], tuple(tensor.shape)
        rest = [axis for axis in axes if str(axis).startswith("*")]
        spare = len(shape) - len(axes) + len(rest)
        if spare < 0 or (spare and not rest):
            expected = f"{len(axes) - len(rest)}{' or more' if rest else ''}"
            raise ValueError(f"'{name}' has {len(shape)} dimensions, expected {expected}: {axes}")
        place = 0
        for axis in axes:
            width = spare if axis in rest else 1
            extent, place = shape[place : place + width], place + width
            seen = ((axis,), name) if isinstance(axis, int) else (extent, name)
            first, other = known.setdefault(axis, seen)
            if first != extent:
                raise ValueError(f"axis {axis} of '{name}' {axes} is {extent}, of '{other}' it is {first}")
'''

_MERGING = '''

def merged(x: Tensor, before: int, behind: int) -> Tensor:
    """All dimensions but some of the first and last as one."""
    last = x.dim() - behind
    return x.reshape(*x.shape[:before], math.prod(x.shape[before:last]), *x.shape[last:])
'''

_KEPT = '''

def kept(value: Tensor | None, shape: tuple[int, ...], dtype: torch.dtype, like: Tensor) -> tuple[Tensor, Tensor]:
    """What is stored, and whether anything is."""
    known = torch.full((), value is not None, device=like.device)
    if value is None:
        return torch.zeros(shape, dtype=dtype, device=like.device), known
    if tuple(value.shape) != tuple(shape):
        raise ValueError(f"stored with shape {tuple(value.shape)}, and this batch asks for {tuple(shape)}")
    return value.to(like.device), known
'''

_SPREADING = '''

def spread(given: Mapping[str, object], lists: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """A batch with the elements of its lists by their names: ``fake[0]``."""

    def parts(name: str, value: object, counts: tuple[int, ...]) -> dict[str, Tensor]:
        if not counts:
            return {name: value}
        if not isinstance(value, (list, tuple)) or len(value) != counts[0]:
            raise ValueError(f"'{name}' is no list of {counts[0]}")
        found = {}
        for place, item in enumerate(value):
            found |= parts(f"{name}[{place}]", item, counts[1:])
        return found

    found = {}
    for name, value in given.items():
        found |= parts(name, value, lists.get(name, ()))
    return found
'''

_ROOT = '''

def root(x: Tensor) -> Tensor:
    """The square root; its gradient at 0 is 0."""
    return torch.where(x != 0.0, torch.sqrt(torch.where(x == 0.0, 1.0, x)), 0.0)
'''

_CALLEES = '''

def callees(
    wanted: Mapping[str, tuple[str, str]], batch: Mapping[str, Any] | None, given: Mapping[str, Any]
) -> tuple[list[Callee], dict[str, Any]]:
    """The models of a call, and what else is given by keyword."""
    found = {**(batch or {}), **given}
    missing = [f"{name}: {held[1]}" for name, held in wanted.items() if not callable(found.get(name))]
    if missing:
        raise ValueError(f"models are missing: {', '.join(missing)}")
    device = next(x.device.type for x in found.values() if isinstance(x, Tensor))
    around = device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device)
    models = [Callee(name, text, found[key], around) for key, (name, text) in wanted.items()]
    return models, {name: x for name, x in given.items() if name not in wanted}
'''

_MOVING = '''

def move(net: FeatureNet, device: torch.device, dtype: torch.dtype) -> None:
    """Bring a network to where the inputs are."""
    held = net.scaling.shift
    if held.device != device or held.dtype != dtype:
        net.to(device, dtype)
'''
