"""An fx graph as Python that a person would write: statements term by term, short values inlined.

`torch.fx` prints one operation for each line and frees every value by hand; here a value gets a name if it is
used twice, is long, or is a term. Equal computations are merged, and what nothing needs is left out.
"""

from __future__ import annotations

import builtins
import keyword
import math
import operator
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple, cast

import torch
from torch import fx
from torch.nn import functional as F

WIDTH = 100
"""Columns of a statement."""

INLINE = 56
"""Longest text that is written inside another expression."""

COMPARE, OR, AND, SUM, PRODUCT, UNARY, ATOM = range(7)


class Piece(NamedTuple):
    """An expression and how tightly it holds together."""

    text: str
    level: int

    def at(self, level: int) -> str:
        """The text for a place that takes ``level``."""
        return self.text if self.level >= level else f"({self.text})"


@dataclass(frozen=True)
class Names:
    """What the graph's inputs are called in the text.

    Args:
        inputs: placeholder -> local name, for real tensors, which are brought to the working precision first.
        others: placeholder -> expression: integer and bool inputs by name, learned numbers by their holder.
        learned: placeholder -> local name of a learned number.
        device: the device on which everything is computed.
        reserved: names that no value may take.
        terms: names of the terms, in the order in which the graph gives their values.
        endings: place of a result -> what is written behind it.
    """

    inputs: Mapping[str, str]
    others: Mapping[str, str]
    learned: Mapping[str, str]
    device: str
    reserved: frozenset[str]
    terms: tuple[str, ...]
    endings: Mapping[int, str] = field(default_factory=dict[int, str])


@dataclass
class Text:
    """Statements, the constants that were too long for them, and the helper functions that they call."""

    lines: list[str]
    constants: dict[str, str]
    helpers: set[str]
    modules: set[str]
    """The files of the runtime whose text is needed as a whole."""


def write(graph: fx.Graph, names: Names, dtype: torch.dtype) -> Text:
    """The body of a function that computes a graph; ``dtype`` is written as the variable of that name."""
    return _Writer(graph, names, dtype).write()


def write_function(graph: fx.Graph, name: str, reserved: frozenset[str]) -> Text:
    """A method that computes a graph of its own, whose inputs are tensors."""
    inputs = [node.name for node in graph.nodes if node.op == "placeholder"]
    held = {node: identifier(node, reserved) for node in inputs}
    names = Names({}, held, {}, f"{held[inputs[0]]}.device", reserved, ())
    text = _Writer(graph, names, None).write()
    listed = ", ".join(["self", *(f"{local}: Tensor" for local in held.values())])
    parameters = f"\n    {_wrapped_list(listed)},\n" if len(listed) > 50 else listed
    lines = [f"    {line}" for line in text.lines if line and not line.startswith("#")]
    text.lines = [
        f"def {name}({parameters}) -> tuple[Tensor, Tensor]:",
        '    """Slope and second derivatives of what is minimised."""',
        *lines,
    ]
    return text


# ------------------------------------------------------------------------------------------ merging
Key = tuple[Any, ...]


def _merged(graph: fx.Graph) -> dict[fx.Node, fx.Node]:
    """Each node, and the first one that computes the same."""
    first: dict[Key, fx.Node] = {}
    same: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        key = (node.op, node.target, _key(node.args, same), _key(node.kwargs, same))
        same[node] = first.setdefault(key, node)
    return same


def _key(value: Any, same: Mapping[fx.Node, fx.Node]) -> Any:
    """A hashable form of arguments; 1, 1.0 and True stay apart."""
    if isinstance(value, fx.Node):
        return same[value]
    kind = type(value).__name__
    if isinstance(value, Mapping):
        named = cast("Mapping[str, Any]", value)
        return kind, *((name, _key(item, same)) for name, item in named.items())
    if isinstance(value, tuple | list):
        return kind, *(_key(item, same) for item in cast("Sequence[Any]", value))
    return kind, str(value)


def _safe_roots(same: Mapping[fx.Node, fx.Node]) -> dict[fx.Node, fx.Node]:
    """Where ``where(x != 0, sqrt(where(x == 0, 1, x)), 0)`` stands, and x: its gradient at 0 is 0."""
    found: dict[fx.Node, fx.Node] = {}
    for node in dict.fromkeys(same.values()):
        match _called(node, torch.where, same):
            case [fx.Node() as nonzero, fx.Node() as taken, 0.0]:
                inner = _called(taken, torch.sqrt, same)
                kept = _called(inner[0], torch.where, same) if inner else []
                tests = [_called(nonzero, operator.ne, same), _called(kept[0], operator.eq, same)] if kept else []
                if kept[1:2] == [1.0] and all(test == [0.0, kept[2]] for test in tests):
                    found[node] = kept[2]
            case _:
                pass
    return found


def _called(node: Any, target: Any, same: Mapping[fx.Node, fx.Node]) -> list[Any]:
    """The merged operands of a call, or nothing where it calls something else."""
    if not isinstance(node, fx.Node) or node.target is not target:
        return []
    return [same[arg] if isinstance(arg, fx.Node) else arg for arg in node.args]


def _is_free(node: fx.Node) -> bool:
    """Whether writing it twice costs nothing: an extent, a view of a value, one of several values."""
    if node.op == "call_method":
        return node.target in ("size", "unsqueeze")
    return node.op in ("placeholder", "get_attr") or (node.target is operator.getitem and isinstance(node.args[1], int))


def _is_number(node: Any) -> bool:
    """Whether a value is a Python number: an extent, or arithmetic on extents."""
    if not isinstance(node, fx.Node):
        return isinstance(node, int | float)
    if node.op == "call_method":
        return node.target == "size"
    return node.target in _ARITHMETIC and all(map(_is_number, node.args))


_ARITHMETIC = cast("tuple[Any, ...]", (operator.add, operator.sub, operator.mul, operator.truediv, operator.neg))


class _Writer:
    """Writes one graph."""

    def __init__(self, graph: fx.Graph, names: Names, dtype: torch.dtype | None) -> None:
        self.names, self.dtype = names, dtype
        self.same = _merged(graph)
        self.roots = _safe_roots(self.same)
        self.outputs = _outputs(graph, self.same)
        self.known: dict[fx.Node, Piece] = {}
        self.taken: set[str] = {
            *names.reserved,
            *names.inputs.values(),
            *names.others.values(),
            "dtype",
            "self",
        }
        self.text = Text([], {}, set(), set())
        self.wanted = self._wanted_names()
        self.uses = self._uses()
        self.bases = self._bases()
        self.header = ""

    def write(self) -> Text:
        """All statements, then the return."""
        for section, node in self.outputs.sections:
            for inner in self._needed(node):
                self._place(inner, section)
        self._begin("# results")
        parts = [self.piece(node) for node in self.outputs.results]
        ends = self.names.endings
        texts = [p.at(ATOM) + ends[place] if place in ends else p.text for place, p in enumerate(parts)]
        self._line(f"return {', '.join(texts)}")
        return self.text

    # -------------------------------------------------------------------------------- order
    def args(self, node: fx.Node) -> list[fx.Node]:
        """The merged operands of a node."""
        return [self.roots[node]] if node in self.roots else [self.same[arg] for arg in node.all_input_nodes]

    def _needed(self, root: fx.Node) -> Iterator[fx.Node]:
        """What a value needs and is not written yet, operands first."""
        done: set[fx.Node] = set()
        stack = [(root, False)]
        while stack:
            node, expanded = stack.pop()
            if node in self.known or node in done:
                continue
            if expanded:
                done.add(node)
                yield node
                continue
            stack.append((node, True))
            stack += [(arg, False) for arg in reversed(self.args(node))]

    def _uses(self) -> dict[fx.Node, int]:
        """How often each value would be written, if what is free never got a name."""
        nodes = [node for node in dict.fromkeys(self.same.values()) if node.op != "output"]
        counts = dict.fromkeys(nodes, 0)
        for root in self.outputs.results:
            counts[root] += 1
        for node in reversed(nodes):
            times = counts[node] if _is_free(node) else min(counts[node], 1)
            for arg in self.args(node) if node in self.roots else _each_argument(node):
                counts[self.same[arg]] += times
        return counts

    def _bases(self) -> dict[fx.Node, str]:
        """The one input that a value comes from, where there is one: part of its name."""
        sources: dict[fx.Node, frozenset[str]] = {}
        for node in dict.fromkeys(self.same.values()):
            if node.op == "placeholder":
                name = self.names.inputs.get(node.name) or self.names.learned.get(node.name)
                sources[node] = frozenset({name} if name else {self.names.others[node.name]})
            elif node.op != "output" and str(node.target) != "new_full":
                sources[node] = frozenset[str]().union(*(sources.get(arg, ()) for arg in self.args(node)))
        return {node: next(iter(names)) for node, names in sources.items() if len(names) == 1}

    # -------------------------------------------------------------------------------- statements
    def _place(self, node: fx.Node, section: str) -> None:
        """Inline a value, or give it a name."""
        piece = self._piece(node)
        if not self._needs_name(node, piece):
            self.known[node] = piece
            return
        name = self._name(node)
        term = node.meta.get("term", "")
        if section != "terms" or term:
            self._begin(f"# term: {term}" if section == "terms" else f"# {section}")
        self._line(f"{name} = {piece.text}")
        self.known[node] = Piece(name, ATOM)

    def _needs_name(self, node: fx.Node, piece: Piece) -> bool:
        if node in self.wanted:
            return True
        if _is_free(node) or node.target is torch.stack or (_is_number(node) and len(piece.text) <= INLINE):
            return False
        return self.uses[node] > 1 or len(piece.text) > INLINE or node.op == "call_module"

    def _begin(self, header: str) -> None:
        if header != self.header:
            self.text.lines += ["", header] if self.text.lines else [header]
            self.header = header

    def _line(self, line: str) -> None:
        if len(line) <= WIDTH:
            self.text.lines.append(line)
            return
        left, separator, right = line.partition("return " if line.startswith("return ") else " = ")
        first, *parts = _wrapped(right)
        if parts and parts[-1].count(")") > parts[-1].count("("):
            self.text.lines += [f"{left}{separator}{first}", *(f"    {part}" for part in parts)]
        elif parts:
            self.text.lines += [f"{left}{separator}(", *(f"    {part}" for part in (first, *parts)), ")"]
        else:
            self.text.lines.append(line)

    # -------------------------------------------------------------------------------- names
    def _wanted_names(self) -> dict[fx.Node, str]:
        """Names that mean something: of terms, weights, the total, inputs, what is learned."""
        wanted: dict[fx.Node, str] = {}
        for node in dict.fromkeys(self.same.values()):
            if node.op == "call_method" and node.target == "to" and isinstance(node.args[0], fx.Node):
                source = self.same[node.args[0]].name
                name = self.names.inputs.get(source) or self.names.learned.get(source)
                if name is not None:
                    wanted[node] = name
        for node, name in zip(self.outputs.values, self.names.terms, strict=False):
            wanted.setdefault(node, identifier(name, self.names.reserved))
        for node, name in zip(self.outputs.weights, self.names.terms, strict=False):
            if node.target not in ("new_full", "to"):
                wanted.setdefault(node, identifier(f"{name}_weight", self.names.reserved))
        for node, name in zip(self.outputs.results, ("total", "values", "weights"), strict=False):
            wanted.setdefault(node, name)
        return wanted

    def _name(self, node: fx.Node) -> str:
        name = self.wanted.get(node)
        if name is not None and (name in self.names.inputs.values() or name not in self.taken):
            self.taken.add(name)
            return name
        base = self.bases.get(node)
        hint = _hint(node, node in self.roots)
        stem = name or (f"{hint}_{base}" if base else hint)
        unique, number = stem, 2
        while unique in self.taken:
            unique, number = f"{stem}_{number}", number + 1
        self.taken.add(unique)
        return unique

    # -------------------------------------------------------------------------------- expressions
    def piece(self, value: Any) -> Piece:
        """An argument as text."""
        match value:
            case fx.Node():
                return self.known[self.same[value]]
            case torch.dtype():
                return Piece("dtype" if value == self.dtype else str(value), ATOM)
            case torch.memory_format():
                return Piece(str(value), ATOM)
            case float():
                return _number(value)
            case str():
                return Piece(f'"{value}"', ATOM)
            case int() | None:
                return Piece(repr(value), UNARY if isinstance(value, int) and value < 0 else ATOM)
            case list() | tuple():
                return self._sequence(cast("list[Any] | tuple[Any, ...]", value))
            case slice():
                return Piece(":", ATOM)
            case _:
                raise NotImplementedError(f"an argument of type {type(value).__name__}")

    def _sequence(self, items: list[Any] | tuple[Any, ...]) -> Piece:
        inside = ", ".join(self.piece(item).text for item in items)
        if len(items) > 4 and not any(isinstance(item, fx.Node) for item in items):
            for name, known in self.text.constants.items():
                if known == inside:
                    return Piece(name, ATOM)
            name = f"TABLE_{len(self.text.constants) + 1}"
            self.text.constants[name] = inside
            return Piece(name, ATOM)
        if isinstance(items, list):
            return Piece(f"[{inside}]", ATOM)
        return Piece(f"({inside}{',' if len(items) == 1 else ''})", ATOM)

    def _piece(self, node: fx.Node) -> Piece:
        if node in self.roots:
            self.text.helpers.add("root")
            return Piece(f"root({self.piece(self.roots[node]).text})", ATOM)
        args = [self.same[arg] if isinstance(arg, fx.Node) else arg for arg in node.args]
        match node.op:
            case "placeholder":
                name = self.names.inputs.get(node.name) or self.names.others[node.name]
                return Piece(name, ATOM)
            case "get_attr":
                return Piece(f"self.{node.target}", ATOM)
            case "call_module":
                return Piece(f"self.{node.target}({self.piece(args[0]).text})", ATOM)
            case "call_method":
                return self._method(str(node.target), args, node.kwargs)
            case _:
                return self._function(node.target, args, node.kwargs)

    def _method(self, name: str, args: list[Any], options: Mapping[str, Any]) -> Piece:
        x = self.piece(args[0])
        match name:
            case "size":
                return Piece(f"{x.at(ATOM)}.shape[{args[1]}]", ATOM)
            case "unsqueeze":
                return Piece(_widened(x.at(ATOM), args[1]), ATOM)
            case "select":
                colons = ":, " * args[1]
                return Piece(f"{x.at(ATOM)}[{colons}{args[2]}]", ATOM)
            case "to" if isinstance(args[0], fx.Node) and args[0].name in self.names.learned:
                return Piece(f"{x.text}.to({self.names.device}, {self._arguments(args[1:], options)})", ATOM)
            case "sum":
                return Piece(f"{x.at(ATOM)}.sum({_dims(args[1])})", ATOM)
            case "permute":
                return Piece(f"{x.at(ATOM)}.permute({', '.join(map(str, args[1]))})", ATOM)
            case _:
                return Piece(f"{x.at(ATOM)}.{name}({self._arguments(args[1:], options)})", ATOM)

    def _function(self, target: Any, args: list[Any], options: Mapping[str, Any]) -> Piece:
        if target in _UNARY:
            sign = _UNARY[target]
            return Piece(f"{sign}{self.piece(args[0]).at(UNARY)}", UNARY)
        if _is_product(target):
            return self._binary("*", PRODUCT, args)
        if target is operator.pow:
            return Piece(f"{self.piece(args[0]).at(ATOM)} ** {self.piece(args[1]).at(UNARY)}", UNARY)
        if target in _BINARY:
            return self._binary(*_BINARY[target], args)
        if target in (torch.amax, torch.amin, torch.logsumexp, torch.any, torch.all):
            return Piece(f"torch.{target.__name__}({self.piece(args[0]).text}, {_dims(args[1])})", ATOM)
        if target is operator.getitem:
            return self._getitem(args)
        return Piece(f"{self._callee(target)}({self._arguments(args, options)})", ATOM)

    def _binary(self, sign: str, level: int, args: list[Any]) -> Piece:
        left, right = args
        if sign == "*" and _is_number(right) and left == 1:
            return self.piece(right)
        if sign == "*" and left is right and isinstance(left, fx.Node):
            return Piece(f"{self.piece(left).at(ATOM)} ** 2", UNARY)
        if not isinstance(left, fx.Node) and sign in _FLIPPED:
            left, right, sign = right, left, _FLIPPED[sign]
        first = self.piece(left).at(level + 1 if level == COMPARE else level)
        return Piece(f"{first} {sign} {self.piece(right).at(level + 1)}", level)

    def _getitem(self, args: list[Any]) -> Piece:
        places = cast("tuple[Any, ...]", args[1] if isinstance(args[1], tuple) else (args[1],))
        inside = ", ".join(self.piece(place).text for place in places)
        return Piece(f"{self.piece(args[0]).at(ATOM)}[{inside}]", ATOM)

    def _arguments(self, args: Sequence[Any], options: Mapping[str, Any]) -> str:
        given = [self.piece(arg).text for arg in args]
        return ", ".join([*given, *(f"{name}={self.piece(value).text}" for name, value in options.items())])

    def _callee(self, target: Any) -> str:
        name = target.__name__
        if target is torch.sym_max:
            return "max"
        if getattr(torch, name, None) is target:
            return f"torch.{name}"
        if getattr(F, name, None) is target:
            return f"F.{name}"
        if target.__module__ == "losslang.runtime.functional":
            self.text.helpers.add(name)
            return name
        home, _, file = target.__module__.rpartition(".")
        if home == "losslang.runtime":
            self.text.modules.add(file)
            return name
        raise NotImplementedError(f"a call of {target}")


# ------------------------------------------------------------------------------------------ outputs
@dataclass(frozen=True)
class Outputs:
    """What the graph returns: the results as they are, and the values and weights of the terms in them."""

    results: list[fx.Node]
    values: list[fx.Node] = field(default_factory=list[fx.Node])
    weights: list[fx.Node] = field(default_factory=list[fx.Node])

    @property
    def sections(self) -> list[tuple[str, fx.Node]]:
        """Term by term, then weights, total and what is left, each under its heading."""
        terms = [("terms", node) for node in self.values or self.results[1:2]]
        weights = [("weights", node) for node in self.weights or self.results[2:3]]
        rest = [("results", node) for node in self.results[1:]]
        return [*terms, *weights, ("total", self.results[0]), *rest]


def _outputs(graph: fx.Graph, same: Mapping[fx.Node, fx.Node]) -> Outputs:
    (results,) = next(node for node in graph.nodes if node.op == "output").args
    merged = [same[node] for node in results]
    if len(merged) < 3:
        return Outputs(merged)
    return Outputs(merged, _stacked(merged[1], same), _stacked(merged[2], same))


def _stacked(node: fx.Node, same: Mapping[fx.Node, fx.Node]) -> list[fx.Node]:
    """The parts of ``stack([a, b]).detach()``."""
    inner = node.args[0] if node.target == "detach" else None
    if not isinstance(inner, fx.Node) or inner.target is not torch.stack:
        return []
    parts: Any = inner.args[0]
    return [same[part] for part in parts]


def _each_argument(node: fx.Node) -> list[fx.Node]:
    """The operands of a node, as often as they stand there."""
    found: list[fx.Node] = []
    fx.map_arg((node.args, node.kwargs), lambda arg: found.append(arg) or arg)
    return found[: 1 if node.target is operator.mul and len(set(found)) < len(found) else None]


# ------------------------------------------------------------------------------------------ words
_UNARY: dict[Any, str] = {operator.neg: "-", torch.logical_not: "~"}
_BINARY: dict[Any, tuple[str, int]] = {
    operator.add: ("+", SUM),
    operator.sub: ("-", SUM),
    operator.truediv: ("/", PRODUCT),
    operator.eq: ("==", COMPARE),
    operator.ne: ("!=", COMPARE),
    operator.lt: ("<", COMPARE),
    operator.le: ("<=", COMPARE),
    torch.logical_and: ("&", AND),
    torch.logical_or: ("|", OR),
}
_FLIPPED = {"+": "+", "==": "==", "!=": "!=", "<": ">", "<=": ">="}

_HINTS: dict[Any, str] = {
    operator.add: "plus",
    operator.sub: "difference",
    operator.mul: "product",
    operator.truediv: "ratio",
    operator.neg: "negative",
    operator.pow: "power",
    operator.getitem: "picked",
    torch.where: "chosen",
    torch.einsum: "products",
    torch.maximum: "larger",
    torch.minimum: "smaller",
    torch.logical_and: "both",
    torch.logical_or: "either",
    torch.logsumexp: "logsumexp",
    torch.stack: "stacked",
    torch.sqrt: "root",
    "sum": "summed",
    "to": "real",
    "detach": "constant",
    "largest": "peak",
    "permute": "turned",
    "select": "picked",
    "new_full": "number",
    "indices": "index",
    "vector": "window",
    "convolve": "smooth",
}


def _hint(node: fx.Node, root: bool) -> str:
    if root:
        return "root"
    if node.op == "call_module":
        return "features"
    inner = node.args[0] if node.target == "detach" else None
    if isinstance(inner, fx.Node) and getattr(inner.target, "__name__", "") == "largest":
        return "peak"
    if node.target in (operator.eq, operator.ne, operator.lt, operator.le):
        return "mask"
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "value")
    hint = _HINTS.get(node.target) or _HINTS.get(name, name).strip("_")
    return f"{hint}_" if keyword.iskeyword(hint) or hasattr(builtins, hint) else hint


def identifier(name: str, reserved: frozenset[str] = frozenset()) -> str:
    """A name as a Python identifier that means nothing else."""
    text = "".join(char if char.isalnum() else "_" for char in name)
    text = text if text.isidentifier() else f"_{text}"
    return f"{text}_" if keyword.iskeyword(text) or text in reserved else text


def _is_product(target: Callable[..., Any] | str) -> bool:
    """``operator.mul``, or the emitter's product of extents."""
    return target is operator.mul or getattr(target, "__name__", "") == "_mul"


def _number(value: float) -> Piece:
    if math.isinf(value) or math.isnan(value):
        return Piece(f'float("{value}")', ATOM)
    return Piece(repr(value), UNARY if value < 0 else ATOM)


def _wrapped(text: str) -> list[str]:
    """Lines that break before a sign of a sum, else behind a comma, within as few brackets as possible."""
    depth, breaks = 0, list[tuple[int, int]]()
    for place, char in enumerate(text):
        depth += (char in "([") - (char in ")]")
        if text[place : place + 3] in (" + ", " - ") or (char == " " and text[place - 1] == ","):
            breaks.append((depth, place))
    outermost = min(breaks, default=(0, 0))[0]
    places = [0, *(place for depth, place in breaks if depth == outermost), len(text)]
    lines = [""]
    for start, end in pairwise(places):
        chunk = text[start:end]
        fits = len(lines[-1] + chunk) < WIDTH - 4
        lines = [*lines[:-1], lines[-1] + chunk] if fits else [*lines, chunk.strip()]
    return [line for line in lines if line]


def _wrapped_list(items: str) -> str:
    return "\n    ".join(textwrap.wrap(items, WIDTH - 10, break_long_words=False))


def _dims(dims: Any) -> str:
    many = cast("Sequence[int]", dims if isinstance(dims, list | tuple) else [dims])
    return str(many[0]) if len(many) == 1 else f"({', '.join(map(str, many))})"


def _widened(text: str, dim: int) -> str:
    """``x[:, None]`` for a new dimension; one behind another stands in the same brackets."""
    base, bracket, inside = text[:-1].rpartition("[")
    items = inside.split(", ") if text.endswith("]") and bracket else []
    if items and set(items) <= {":", "None"} and len(items) <= dim:
        return f"{base}[{', '.join([*items, *[':'] * (dim - len(items)), 'None'])}]"
    return f"{text}[{', '.join([*[':'] * dim, 'None'])}]"
