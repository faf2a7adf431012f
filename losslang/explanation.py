"""The text of ``losslang explain``: a definition, an objective or an error code. Nothing here needs torch.

What is printed about a definition comes from the definition: its lines, its decorators, and the gradient that
the compiler derives from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from losslang.codes import EXPLANATIONS
from losslang.diagnostics import CODES, LosslangError, did_you_mean, error
from losslang.ir import nodes as ir
from losslang.ir import ops
from losslang.ir.grad import gradients
from losslang.ir.netspec import ALIASES, TAPS
from losslang.ir.nodes import Node, Objective, Term
from losslang.ir.printer import print_nodes, print_objective
from losslang.passes.simplify import simplify
from losslang.sema.elaborate import value_of
from losslang.sema.modules import LIBRARY_ONLY, Entry, Item, library
from losslang.sema.resolve import sort_of
from losslang.source import Span
from losslang.syntax import ast, printer
from losslang.syntax.latex import latex

CHECKED = frozenset(
    [
        "bounded",
        "convex",
        "equals",
        "finite",
        "invariant",
        "lipschitz",
        "monotone",
        "nonneg",
        "symmetric",
        "zero_if",
    ]
)
"""The properties that ``losslang.testing`` checks; what is not checked is not printed."""

LONGEST = 25
"""A gradient of more lines than this says less than nothing."""


def explain(name: str) -> str:
    """What a name of the library, a network or an error code means.

    Raises:
        LosslangError: LL0201 where there is no such name.
    """
    if re.fullmatch(r"[Ll][Ll]\d{4}", name):
        return _code(name.upper())
    entry = library().entries.get(name)
    if entry is not None:
        return _definition(entry)
    if name in TAPS or name in ALIASES:
        return _network(ALIASES.get(name, name))
    raise _unknown(name, [*library().entries, *TAPS, *ALIASES])


def _unknown(name: str, known: Iterable[str]) -> LosslangError:
    hint = did_you_mean(name, known) or "losslang list shows all of them; -e explains an expression"
    return error("LL0201", f"there is no loss, function, balancer or network '{name}'", hint=hint)


def _code(code: str) -> str:
    if code not in CODES:
        raise error("LL0201", f"there is no error code '{code}'", hint=did_you_mean(code, CODES))
    return f"{code}: {CODES[code]}\n\n{EXPLANATIONS[code]}\n"


def _network(name: str) -> str:
    alias = next(short for short, full in ALIASES.items() if full == name)
    channels = ", ".join(map(str, TAPS[name]))
    lines = [
        f"{name}: a frozen feature network",
        "",
        f"It gives {len(TAPS[name])} feature maps, of {channels} channels. Its short name is {alias}.",
        "",
        _section("Weights", [alias, f'{alias}(weights="file.pth")', f"{alias}(weights=random(seed=0))"]),
    ]
    return "\n".join(lines)


# ------------------------------------------------------------------------------------------ definitions
def _definition(entry: Entry) -> str:
    item = entry.item
    keyword = "loss" if isinstance(item, ast.Alias) else entry.keyword
    parts = [f"{item.name}: a {keyword} of the family {entry.family}\n{item.doc}\n"]
    if isinstance(item, ast.Definition):
        parts += [_section("Signature", [signature(item)]), _section("Formula", _formula(item))]
    else:
        parts.append(_section("Formula", [printer.print_expression(item.value)]))
    parts += [
        _section("LaTeX", latex(item if isinstance(item, ast.Definition) else item.value).split("\n")),
        _section("Parameters", _parameters(item)),
        _section("Paper", _papers(item)),
        _section("Properties", _properties(item)),
        _section("Examples", _examples(item)),
        _section(*_gradient(item)),
    ]
    return "\n".join(part for part in parts if part)


def _section(title: str, lines: Sequence[str]) -> str:
    return "".join([f"{title}\n", *(f"    {line}".rstrip() + "\n" for line in lines)]) if lines else ""


def signature(item: Item) -> str:
    """``focal(logits: logit[b, c, ...], ...) -> [b, ...]``, on one line."""
    if isinstance(item, ast.Alias):
        return f"{item.name} = {printer.print_expression(item.value)}"
    header = " ".join(line.strip() for line in printer.header_lines(item).split("\n"))
    return re.sub(r"([(\[]) ", r"\1", header.removeprefix(f"{item.keyword} ").removesuffix(":"))


def summary(item: Item) -> str:
    """The first sentence of a definition's documentation."""
    first = item.doc.split("\n\n")[0].replace("\n", " ")
    return re.split(r"(?<=[.;])\s", first)[0].rstrip(";")


def _formula(item: ast.Definition) -> list[str]:
    lines = [*map(printer.binding_lines, item.bindings), printer.result_lines(item.value)]
    return [line.removeprefix("    ") for text in lines for line in text.split("\n")]


def _parameters(item: Item) -> list[str]:
    if isinstance(item, ast.Alias):
        return []
    rows = [(p.name, printer.print_type(p.type) if p.type else "real", _role(p)) for p in item.parameters]
    widths = [max((len(row[place]) for row in rows), default=0) for place in (0, 1)]
    return [f"{name:<{widths[0]}}  {kind:<{widths[1]}}  {role}" for name, kind, role in rows]


def _role(parameter: ast.Parameter) -> str:
    if parameter.default is not None:
        return f"default {printer.print_expression(parameter.default)}"
    return "input" if sort_of(parameter) == "tensor" else "to be given"


def _papers(item: Item) -> list[str]:
    return [_paper(decorator) for decorator in item.decorators if decorator.name == "paper"]


def _paper(decorator: ast.Decorator) -> str:
    said = {
        a.name or "title": a.value.value for a in decorator.arguments if isinstance(a.value, ast.String | ast.Number)
    }
    forms: Mapping[str, Callable[[object], str]] = {
        "authors": str,
        "title": str,
        "year": lambda year: f"{year:.0f}" if isinstance(year, float | int) else str(year),
        "arxiv": lambda number: f"arXiv:{number}",
        "eq": lambda number: f"eq. {number:g}" if isinstance(number, float | int) else f"eq. {number}",
    }
    return ", ".join(form(said[key]) for key, form in forms.items() if key in said)


def _properties(item: Item) -> list[str]:
    lines = printer.decorator_lines
    return [text[1:] for d in item.decorators if d.name in CHECKED for text in [" ".join(lines([d])[0].split())]]


def _examples(item: Item) -> list[str]:
    found = [d.arguments for d in item.decorators if d.name == "example" and len(d.arguments) == 2]
    return [" = ".join(printer.print_expression(argument.value) for argument in pair) for pair in found]


def _gradient(item: Item) -> tuple[str, list[str]]:
    """The derivatives of the sum of a definition's rows at its inputs, as the compiler derives them."""
    wanted = isinstance(item, ast.Definition) and item.keyword in ("loss", "fn")
    try:
        alone = value_of(ast.Name(item.name), LIBRARY_ONLY) if wanted else None
    except LosslangError:
        return "", []  # a parameter without default: nothing is known before the call
    if alone is None:
        return "", []
    rows = ops.reduce("sum", alone.value.node, alone.value.node.axes, alone.present)
    inputs = tuple(node for node in alone.inputs.values() if node.dtype == "real")
    whole = _simplified(rows, inputs)
    roots = {
        f"grad_{node.name}": _simplified(g, inputs) for node, g in zip(inputs, gradients(whole, inputs), strict=True)
    }
    if any(isinstance(node, ir.NetVjp) for node in ir.topological(roots.values())):
        return "Gradient", ["through the network, by torch"]
    lines = print_nodes(roots).rstrip("\n").split("\n") if roots else []
    return ("Gradient of the sum of its rows", lines) if len(lines) <= LONGEST else ("", [])


def _simplified(node: Node, inputs: tuple[ir.Input, ...]) -> Node:
    objective = Objective("objective", inputs, (Term("term", ops.const(1.0), node),))
    return simplify(objective).terms[0].value


# ------------------------------------------------------------------------------------------ the library
@dataclass(frozen=True)
class Listed:
    """One line of ``losslang list``."""

    family: str
    keyword: str
    name: str
    signature: str
    summary: str


def catalog(family: str | None = None) -> list[Listed]:
    """What the library holds, and the feature networks.

    Raises:
        LosslangError: LL0209 for an unknown family.
    """
    families = sorted({*library().families(), "networks"})
    if family is not None and family not in families:
        raise error(
            "LL0209",
            f"there is no family '{family}'",
            expected=", ".join(families),
            hint=did_you_mean(family, families),
        )
    entries = [entry for entry in library() if family in (None, entry.family)]
    found = [Listed(e.family, e.keyword, e.name, signature(e.item), summary(e.item)) for e in entries]
    short = {full: alias for alias, full in ALIASES.items()}
    nets = [Listed("networks", "network", name, name, f"Also: {short[name]}.") for name in TAPS]
    return found + (nets if family in (None, "networks") else [])


# ------------------------------------------------------------------------------------------ objectives
def explain_objective(planned: Objective, plain: Objective) -> str:
    """The terms of an objective, its inputs, what it learns, and what the compiler made of it.

    Args:
        planned: after all passes.
        plain: before them, where learned numbers have their bounds.
    """
    inputs = [f"{node.name}: {node.type_text}" for node in planned.inputs]
    return "\n".join(
        part
        for part in (
            _section("Terms", [f"{term.name} (weight {_weight(term)})" for term in plain.terms]),
            _section("Balancers", [f"{b.name} over {', '.join(b.terms)}" for b in plain.balancers]),
            _section("Inputs", inputs),
            _section("Models", [f"{model.name}: {model.type_text}" for model in planned.models]),
            _section("Learned", [_slot(slot) for slot in plain.slots()]),
            _section("After all passes", print_objective(planned).rstrip("\n").split("\n")),
        )
        if part
    )


def _weight(term: Term) -> str:
    return (
        f"{term.weight.value:g}" if isinstance(term.weight, ir.Const) else print_nodes({"w": term.weight}).strip()[4:]
    )


def _slot(slot: ir.Slot) -> str:
    bounds = [f"{sign} {limit:g}" for sign, limit in ((">", slot.lower), ("<", slot.upper)) if limit is not None]
    return f"{slot.key}: starts at {slot.init:g}" + (f", stays {' and '.join(bounds)}" if bounds else "")


# ------------------------------------------------------------------------------------------ syntax trees
def dump(node: ast.Node, indent: str = "") -> str:
    """A syntax tree, one node on each line, with the fields that hold no nodes."""
    plain: list[str] = []
    for name in node.__slots__:
        value = getattr(node, name)
        if not isinstance(value, ast.Node | Span | tuple) and value is not None and name != "doc":
            plain.append(f"{name}={value!r}")
    head = f"{indent}{type(node).__name__}" + (f" {' '.join(plain)}" if plain else "")
    return "\n".join([head, *(dump(child, indent + "  ") for child in ast.children(node))])
