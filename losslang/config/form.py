"""The mapping form of an objective: terms with their losses, weights and parameters, and the passes over them.

    terms: {cls: {loss: focal, gamma: 2, weight: 0.5}, rec: "l1(pred, target)"}
    passes: [uncertainty]

It becomes the syntax tree that the text would have, whose nodes stand in the config.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from losslang.config.tree import Entry, Node
from losslang.diagnostics import LosslangError, did_you_mean, error, renamed
from losslang.sema import settings
from losslang.sema.files import Search
from losslang.sema.modules import library
from losslang.sema.settings import Constant
from losslang.sema.unit import Unit
from losslang.source import Source, Span
from losslang.syntax import ast, parser, printer

WHOLE = ("name", "use", "definitions", "axes", "inputs", "bindings", "constants", "terms", "passes", "bind")
"""The keys of an objective in the mapping form."""

T = TypeVar("T")


def unit(root: Node, file: Path | None = None) -> Unit:
    """What a config says: under ``objective``, a text or a mapping; or as a whole, where it has ``terms``.

    Raises:
        LosslangError: LL0707 to LL0710 for what a config cannot say, syntax errors, all in their places.
    """
    if root.kind == "text":
        return _of_text(root, None, file)
    _expect(root, "mapping", "the config", "objective: 0.5*l1 + focal(gamma=2)")
    objective, terms = root.get("objective"), root.get("terms")
    if objective is None and terms is None:
        raise _no_objective(root)
    if objective is None:
        return _of_mapping(root, None, file)
    if terms is not None:
        raise error(
            "LL0707",
            "the objective is given twice: under 'objective' and by 'terms'",
            terms.span,
            expected="one of them",
            found="terms",
            hint="move the terms into the mapping under 'objective'",
        )
    if objective.node.kind == "mapping":
        return _of_mapping(objective.node, root, file)
    _expect(objective.node, "text", "objective", "objective: 0.5*l1 + focal(gamma=2)", "mapping")
    return _of_text(objective.node, root, file)


def _no_objective(root: Node) -> LosslangError:
    known = [entry.key for entry in root]
    near = next((entry.key for entry in root if entry.node.kind == "mapping" and entry.node.get("terms")), None)
    near = near or next((key for key in known if did_you_mean(key, ("objective", "terms"))), None)
    span = root.span if near is None else next(entry.span for entry in root if entry.key == near)
    return error(
        "LL0710",
        f"{root.span.source.name} has no objective",
        Span(span.source, span.start, min(span.end, span.start + 1)) if near is None else span,
        expected="a key 'objective' with a text, or a key 'terms'",
        found=", ".join(known[:8]) or "nothing",
        hint=(did_you_mean(near, ("objective", "terms")) or f"call the key objective instead of {near}")
        if near
        else "objective: 0.5*l1 + focal(gamma=2)",
    )


# ------------------------------------------------------------------------------------------ texts
def _of_text(node: Node, root: Node | None, file: Path | None) -> Unit:
    """An objective as a text, with the modules, constants and names that stand beside it."""
    source = node.text
    made = Unit(source, Search(file), constants=_constants(root), bind=_bind(root))
    uses = _uses(root)
    if not uses:
        return made
    parsed = made.parsed()
    if isinstance(parsed, ast.Module):
        return replace(made, tree=replace(parsed, items=(*uses, *parsed.items)))
    whole = Span(source, 0, len(source.text))
    definition = ast.Definition("objective", "objective", (), (), None, None, (), parsed, span=whole)
    return replace(made, tree=ast.Module((*uses, definition), span=whole))


# ------------------------------------------------------------------------------------------ mappings
def _of_mapping(node: Node, root: Node | None, file: Path | None) -> Unit:
    _known_keys(node, WHOLE, "an objective")
    terms = node.get("terms")
    if terms is None:
        raise error(
            "LL0710",
            "the objective has no terms",
            node.span,
            expected="a key 'terms'",
            found=", ".join(entry.key for entry in node) or "nothing",
            hint="terms: {cls: {loss: focal, gamma: 2, weight: 0.5}}",
        )
    value = _passed(_terms(terms), node.get("passes"))
    name = _name(node)
    definitions = _definitions(node)
    uses = [*_uses(root), *_uses(node)]
    header = (_axes(node), _inputs(node), _bindings(node))
    tree: ast.Module | ast.Expression = value
    if uses or definitions or any(header) or name is not None:
        axes, parameters, bindings = header
        definition = ast.Definition(
            "objective", name or "objective", axes, parameters, None, None, bindings, value, span=node.span
        )
        tree = ast.Module((*uses, *definitions, definition), span=node.span)
    constants = settings.merged(_constants(root), _constants(node))
    bind = tuple({**dict(_bind(root)), **dict(_bind(node))}.items())
    text = printer.print_module(tree) if isinstance(tree, ast.Module) else printer.print_expression(tree)
    return Unit(Source(node.span.source.name, text), Search(file), constants, tree=tree, bind=bind)


def _name(node: Node) -> str | None:
    entry = node.get("name")
    if entry is None:
        return None
    _expect(entry.node, "text", "name", "name: restore")
    return _word(str(entry.node.value), entry.node.span, "an objective")


def _uses(node: Node | None) -> list[ast.Use]:
    """``use: mine``, ``use: [mine, ./other.loss as o]``."""
    entry = node.get("use") if node is not None else None
    found: list[ast.Use] = []
    for one in () if entry is None else entry.node.several:
        _expect(one, "text", "use", "use: mine")
        item = _single(_around(one, "use ", "\n"), one, ast.Use, "the name of a module, as in 'use: mine'")
        found.append(replace(item, span=one.span))
    return found


def _definitions(node: Node) -> list[ast.Definition | ast.Alias | ast.Use]:
    """Losses of the objective's own, as a text."""
    entry = node.get("definitions")
    if entry is None:
        return []
    _expect(entry.node, "text", "definitions", "definitions: |, and the definitions below it")
    items = list(parser.parse_module(entry.node.text).items)
    for item in items:
        if isinstance(item, ast.Definition) and item.keyword == "objective":
            raise _wrong(item.span, "an objective stands among the definitions", "losses, functions and balancers")
    return items


def _axes(node: Node) -> tuple[ast.Axis, ...]:
    """``axes: {c: 10}``."""
    found: list[ast.Axis] = []
    for entry in _section(node, "axes", "axes: {c: 10}"):
        value = entry.node.value
        if not isinstance(value, int) or isinstance(value, bool):
            raise _wrong(entry.node.span, f"the axis '{entry.key}' has no such extent", "a whole number", entry.node)
        found.append(ast.Axis(_word(entry.key, entry.span, "an axis"), value, span=entry.whole))
    return tuple(found)


def _inputs(node: Node) -> tuple[ast.Parameter, ...]:
    """``inputs: {pred: "image[b, c=3, h, w] in 0..1", strength: "real = 0.5"}``."""
    found: list[ast.Parameter] = []
    for entry in _section(node, "inputs", 'inputs: {pred: "real[b, ...]"}'):
        _expect(entry.node, "text", f"inputs.{entry.key}", f'{entry.key}: "real[b, ...]"')
        name = _word(entry.key, entry.span, "an input")
        wanted = "the type of a tensor or a number, as in real[b, ...]"
        item = _single(_around(entry.node, f"fn f({name}: ", "): 0\n"), entry.node, ast.Definition, wanted)
        if len(item.parameters) != 1 or item.parameters[0].type is None:
            raise _wrong(entry.node.span, f"this is no type of '{name}'", wanted, entry.node)
        found.append(replace(item.parameters[0], span=entry.whole))
    return tuple(found)


def _bindings(node: Node) -> tuple[ast.Binding, ...]:
    """``bindings: {valid: target > 0, "s[i, j if i != j]": "cosine(z[i], z[j])"}``."""
    found: list[ast.Binding] = []
    for entry in _section(node, "bindings", "bindings: {valid: target > 0}"):
        key = Node(entry.key, entry.span, "text", tuple(range(entry.span.start, entry.span.start + len(entry.key))))
        wanted = "a name, perhaps with axes: s[i, j if i != j]"
        item = _single(_around(key, "fn f():\n    ", " = 0\n    0\n"), key, ast.Definition, wanted)
        if len(item.bindings) != 1:
            raise _wrong(entry.span, f"'{entry.key}' is no left side of a binding", wanted)
        found.append(replace(item.bindings[0], value=_value(entry.node, entry.key), span=entry.whole))
    return tuple(found)


# ------------------------------------------------------------------------------------------ terms
@dataclass(frozen=True)
class _Element:
    """A part of the sum: the names of its terms, and the tree."""

    names: frozenset[str]
    tree: ast.Expression


def _terms(terms: Entry) -> list[_Element]:
    _expect(terms.node, "mapping", "terms", "terms: {cls: {loss: focal, gamma: 2, weight: 0.5}}")
    if not terms.node.entries:
        raise error(
            "LL0710",
            "the objective has no terms",
            terms.span,
            expected="names and their losses",
            found="an empty mapping",
            hint="terms: {cls: {loss: focal, gamma: 2, weight: 0.5}}",
        )
    return [_Element(frozenset([entry.key]), _term(entry)) for entry in terms.node]


def _term(entry: Entry) -> ast.Expression:
    """``cls: {loss: focal, gamma: 2, weight: 0.5}``, or ``cls: focal(gamma=2)``."""
    name = _word(entry.key, entry.span, "a term")
    if entry.node.kind == "text":
        body = _loss_text(entry.node)
        return _labelled(body, body, name, entry.whole)
    weight = entry.node.get("weight")
    body = whole = _loss(entry, ("weight",))
    if weight is not None and weight.node.value == -1:
        whole = ast.Unary("-", body, span=entry.whole)
    elif weight is not None:
        whole = ast.Binary("*", _value(weight.node, "weight"), body, span=entry.whole)
    return _labelled(whole, body, name, entry.whole)


def _labelled(whole: ast.Expression, body: ast.Expression, name: str, span: Span) -> ast.Expression:
    """A term under its name, where that is not the name which its loss gives it."""
    plain = ast.callee_of(body) == ast.Name(name) and isinstance(library().find(name), ast.Definition)
    return replace(whole, span=span) if plain else ast.Labelled(whole, name, span=span)


def _loss(entry: Entry, apart: Sequence[str]) -> ast.Expression:
    """The loss of a mapping, with its parameters; the keys in ``apart`` are something else."""
    where = f"'{entry.key}'"
    _expect(entry.node, "mapping", where, f"{entry.key}: {{loss: focal, gamma: 2}}", "text")
    loss = entry.node.get("loss")
    if loss is None:
        raise _no_loss(entry)
    _expect(loss.node, "text", f"the loss of {where}", "loss: focal")
    body = _loss_text(loss.node)
    given = [one for one in entry.node if one.key not in ("loss", *apart)]
    arguments = [ast.Argument(_value(one.node, one.key), one.key, span=one.whole) for one in given]
    if not arguments:
        return body
    match body:
        case ast.Call():
            return replace(body, arguments=(*body.arguments, *arguments))
        case ast.Name():
            return ast.Call(body, tuple(arguments), span=entry.node.span)
        case _:
            raise error(
                "LL0707",
                f"'{given[0].key}' is given to an expression, and nothing says to which loss in it",
                given[0].span,
                expected="the parameters of one loss, such as loss: focal",
                found=f"loss: {loss.node.value}",
                hint=f"write it into the text, as in loss: 1 - ssim({given[0].key}=...)",
            )


ELSEWHERE = frozenset({"name", "type", "_target_", "criterion", "class", "fn", "function"})
"""What other configs call the key ``loss``."""


def _no_loss(entry: Entry) -> LosslangError:
    keys = [one.key for one in entry.node]
    near = next((one for one in entry.node if one.key in ELSEWHERE or did_you_mean(one.key, ("loss",))), None)
    return error(
        "LL0710",
        f"'{entry.key}' has no loss",
        entry.span if near is None else near.span,
        expected="a key 'loss'",
        found=", ".join(keys) or "nothing",
        hint="did you mean 'loss'?" if near is not None else f"{entry.key}: {{loss: focal, gamma: 2}}",
        fix=renamed(near.span, near.key, ("loss",)) if near is not None else (),
    )


def _parsed(node: Node) -> ast.Expression:
    """The expression in a text; in ``{...}`` a comma ends what has no quotes, also within brackets."""
    try:
        return parser.parse_expression(node.text)
    except LosslangError as problem:
        end = node.span.end
        if not node.span.source.text[end:].lstrip().startswith(",") or node.span.text.count(
            "("
        ) <= node.span.text.count(")"):
            raise
        rest = node.span.source.text[end:].split("\n", 1)[0].split("}", 1)[0].rsplit(")", 1)[0]
        hint = f'the config ends this text at the comma; put it in quotes: "{node.span.text}{rest})"'
        raise LosslangError([replace(one, hint=hint, fix=()) for one in problem.diagnostics]) from None


def _loss_text(node: Node) -> ast.Expression:
    body = _parsed(node)
    if isinstance(body, ast.Pipe | ast.Labelled):
        what = "a pass" if isinstance(body, ast.Pipe) else "a name"
        where = "passes stand under 'passes'" if isinstance(body, ast.Pipe) else "its name is the key of the term"
        raise _wrong(body.span, f"{what} stands within a term", f"one loss; {where}")
    return body


NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)")


def _value(node: Node, key: str) -> ast.Expression:
    """A value of a parameter: a number, truth value, none, a text that is an expression, a list, or a loss."""
    match node.kind:
        case "text":
            text = str(node.value)
            if NUMBER.fullmatch(text) and not node.plain:
                raise error(
                    "LL0709",
                    f"'{key}' is a text, and a number is meant",
                    node.span,
                    expected=text,
                    found=f'"{text}"',
                    hint=f"leave out the quotes: {key}: {text}",
                )
            return _parsed(node)
        case "number" | "bool" | "none":
            text = settings.text_of(node.value)
            if text is None:
                raise _wrong(node.span, f"'{key}' is not a number", "a number", node)
            return _placed(parser.parse_expression(Source("value", text)), node.span)
        case "list":
            return ast.ListOf(tuple(_value(item, key) for item in node.items), span=node.span)
        case "mapping":
            return _loss(Entry(key, node.span, node), ())
        case _:
            raise _wrong(node.span, f"'{key}' has a value that no text says", "a number, a text or a list", node)


def _placed(tree: ast.Expression, span: Span) -> ast.Expression:
    if isinstance(tree, ast.Unary):
        return replace(tree, operand=_placed(tree.operand, span), span=span)
    return replace(tree, span=span)


# ------------------------------------------------------------------------------------------ passes
def _passed(elements: list[_Element], passes: Entry | None) -> ast.Expression:
    """The sum of the terms with the passes applied, each to all terms or to some."""
    for node in () if passes is None else passes.node.several:
        elements = _apply(node, elements)
    return _sum(elements)


def _apply(node: Node, elements: list[_Element]) -> list[_Element]:
    if node.kind == "text":
        call, over = _call(node), None
    else:
        _expect(node, "mapping", "passes", "passes: [uncertainty]", "text")
        chosen = node.get("pass")
        if chosen is None:
            raise error(
                "LL0710",
                "a pass has no name",
                node.span,
                expected="a key 'pass'",
                found=", ".join(entry.key for entry in node) or "nothing",
                hint="passes: [{pass: uncertainty, terms: [cls, rec]}]",
            )
        _expect(chosen.node, "text", "pass", "pass: uncertainty")
        call, over = _call(chosen.node), node.get("terms")
        options = [one for one in node if one.key not in ("pass", "terms")]
        more = [ast.Argument(_value(one.node, one.key), one.key, span=one.whole) for one in options]
        call = replace(call, arguments=(*call.arguments, *more))
    wanted = _covered(over, elements) if over is not None else list(elements)
    assert isinstance(call.callee, ast.Name)
    pipe = ast.Pipe(_sum(wanted), call.callee.name, call.arguments, span=node.span)
    made = _Element(frozenset(name for one in wanted for name in one.names), pipe)
    first = next(place for place, one in enumerate(elements) if one.names <= made.names)
    kept = [one for one in elements if not one.names <= made.names]
    return [*kept[:first], made, *kept[first:]]


def _call(node: Node) -> ast.Call:
    """A pass with its options: ``gradfrac(wrt=pred)``."""
    tree = _parsed(node)
    if isinstance(tree, ast.Name):
        return ast.Call(tree, (), span=tree.span)
    if isinstance(tree, ast.Call) and isinstance(tree.callee, ast.Name):
        return tree
    raise _wrong(node.span, "this is no pass", "the name of a balancer, perhaps with options", node)


def _covered(over: Entry, elements: list[_Element]) -> list[_Element]:
    """The elements that a pass is over; one that is balanced already is over all of them or none."""
    names: dict[str, Span] = {}
    for one in over.node.several:
        _expect(one, "text", "terms", "terms: [cls, rec]")
        names[str(one.value)] = one.span
    known = [name for element in elements for name in element.names]
    for name, span in names.items():
        if name not in known:
            raise error(
                "LL0707",
                f"there is no term '{name}'",
                span,
                expected="one of " + ", ".join(sorted(known)),
                found=name,
                hint=did_you_mean(name, known) or "a pass is over terms of this objective, by their names",
            )
    found = [element for element in elements if element.names & names.keys()]
    for element in found:
        if element.names - names.keys():
            missing = ", ".join(sorted(element.names - names.keys()))
            raise _wrong(over.span, f"a pass before this one is also over {missing}", "passes that nest")
    if not found:
        raise _wrong(over.span, "the pass is over no term", "names of terms")
    return found


def _sum(elements: Iterable[_Element]) -> ast.Expression:
    trees = [element.tree for element in elements]
    if len(trees) == 1:
        return trees[0]
    return ast.Sum(tuple(("+", tree) for tree in trees), span=trees[0].span)


# ------------------------------------------------------------------------------------------ settings
def _constants(node: Node | None) -> tuple[Constant, ...]:
    """``constants: {beta: 0.3}``."""
    if node is None:
        return ()
    entries = _section(node, "constants", "constants: {beta: 0.3}")
    return tuple(settings.constant(one.key, _scalar(one), one.whole) for one in entries)


def _scalar(entry: Entry) -> object:
    if entry.node.kind in ("list", "mapping"):
        raise _wrong(entry.node.span, f"the constant '{entry.key}' is a {entry.node.kind}", "a number, true or a word")
    return entry.node.value


def _bind(node: Node | None) -> tuple[tuple[str, str], ...]:
    """``bind: {pred: recon}``: the names of inputs in batches."""
    if node is None:
        return ()
    found: list[tuple[str, str]] = []
    for entry in _section(node, "bind", "bind: {pred: recon}"):
        _expect(entry.node, "text", f"bind.{entry.key}", f"{entry.key}: recon")
        found.append((entry.key, str(entry.node.value)))
    return tuple(found)


# ------------------------------------------------------------------------------------------ checks
def _section(node: Node, key: str, example: str) -> tuple[Entry, ...]:
    """The entries of a mapping within a mapping."""
    entry = node.get(key)
    if entry is None or entry.node.kind == "none":
        return ()
    _expect(entry.node, "mapping", key, example)
    return entry.node.entries


def _expect(node: Node, kind: str, what: str, example: str, other: str | None = None) -> None:
    """``other`` is what may stand there as well."""
    if node.kind != kind:
        shown = f" ({node.value})" if isinstance(node.value, str | int | float) else ""
        raise error(
            "LL0709",
            f"{what} is no {kind}" + (f" and no {other}" if other else ""),
            node.span,
            expected=f"a {kind}" + (f" or a {other}" if other else ""),
            found=f"{node.kind}{shown}",
            hint=f"as in {example}",
        )


def _wrong(span: Span, message: str, expected: str, node: Node | None = None) -> LosslangError:
    found = span.text.split("\n")[0] if node is None else f"{node.kind}: {node.value}"
    return error("LL0709", message, span, expected=expected, found=found[:60], hint="see docs/language.md, Configs")


def _known_keys(node: Node, known: Sequence[str], what: str) -> None:
    for entry in node:
        if entry.key not in known:
            raise error(
                "LL0707",
                f"{what} has no key '{entry.key}'",
                entry.span,
                expected="one of " + ", ".join(known),
                found=entry.key,
                hint=did_you_mean(entry.key, known) or "what is no part of the objective stands beside it",
                fix=renamed(entry.span, entry.key, known),
            )


_WORD = re.compile(r"[^\W\d]\w*")
_RESERVED = ("as", "if", "else", "and", "or", "not", "in")


def _word(name: str, span: Span, what: str) -> str:
    if not _WORD.fullmatch(name) or name in _RESERVED:
        raise error(
            "LL0709",
            f"'{name}' cannot name {what}",
            span,
            expected="a name: letters, digits and underscores, no word of the language",
            found=name,
            hint=f"call it {_spelt(name)}",
        )
    return name


def _spelt(name: str) -> str:
    """A name that is like one that cannot be."""
    spelt = re.sub(r"\W+", "_", name).strip("_")
    return f"{spelt}_" if spelt in _RESERVED else spelt if _WORD.fullmatch(spelt) else f"term_{spelt or 1}"


# ------------------------------------------------------------------------------------------ parts of definitions
def _around(node: Node, before: str, after: str) -> Source:
    """A text of a config within a definition, so that the grammar reads it; places are those of the config."""
    inner = node.text
    places = inner.offsets
    start, end = (places[0], places[-1]) if places else (node.span.start, node.span.start)
    text = inner.text.strip()
    skipped = len(inner.text) - len(inner.text.lstrip())
    offsets = (*(start,) * len(before), *places[skipped : skipped + len(text)], *(end,) * len(after))
    return Source(inner.name, before + text + after, host=inner.host, offsets=offsets)


def _single(source: Source, node: Node, kind: type[T], wanted: str) -> T:
    """The one item that a text within a definition makes; anything else that it could mean is refused."""
    items = parser.parse_module(source).items if "\n" not in str(node.value).strip() else ()
    if len(items) != 1 or not isinstance(items[0], kind):
        raise _wrong(node.span, "this cannot stand here", wanted, node)
    return items[0]
