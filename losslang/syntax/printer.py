"""Syntax trees to text, in the one layout that ``losslang fmt`` gives: ``parse(print(tree)) == tree``."""

from __future__ import annotations

from collections.abc import Sequence

from losslang.source import Source
from losslang.syntax import ast
from losslang.syntax.comments import Comment, Unit, layout
from losslang.syntax.fill import AND as AND_BREAK
from losslang.syntax.fill import (
    BAR,
    COMMA,
    COMPARED,
    IF,
    MINUS,
    PLUS,
    TIMES,
    WIDTH,
    fill,
    flat,
    wants_brackets,
)
from losslang.syntax.fill import OR as OR_BREAK
from losslang.syntax.lexical import lexemes
from losslang.syntax.parser import parse_expression, parse_module

ONE_LINE = 88
"""A definition without bindings stands on one line if it is no longer than this."""

PIPELINE, CONDITION, OR, AND, NOT, COMPARISON, SUM, TERM, PRODUCT, UNARY, POWER, POSTFIX = range(12)
"""How tightly an expression holds together; each place in the grammar takes one level and those after it."""


def print_expression(node: ast.Expression, width: int | None = None) -> str:
    """An expression on one line, or on lines of at most ``width`` columns."""
    pieces = _expression(node)
    return flat(pieces) if width is None else fill(pieces, 0, 0, width)


def print_type(node: ast.Type) -> str:
    """A type on one line."""
    match node:
        case ast.ChoiceType(options):
            return " | ".join(options)
        case ast.FunctionType(parameter, result):
            return f"{print_type(parameter)} -> {print_type(result)}"
        case ast.TensorType(kind, groups, optional, bounds):
            axes = "".join(f"[{', '.join(map(_axis, group))}]" for group in groups)
            tail = "".join(f" {bound.op} {flat(_expression(bound.value, SUM, bare_range=True))}" for bound in bounds)
            return kind + axes + ("?" if optional else "") + tail


def print_module(node: ast.Module) -> str:
    """A whole file, with an empty line between definitions."""
    blocks = [_comment(node.doc)] if node.doc else []
    uses: list[str] = []
    for item in node.items:
        if isinstance(item, ast.Use):
            uses.append(print_definition(item))
            continue
        if uses:
            blocks.append("".join(uses))
            uses = []
        blocks.append(print_definition(item))
    if uses:
        blocks.append("".join(uses))
    return "\n".join(blocks)


def print_definition(node: ast.Definition | ast.Alias | ast.Use) -> str:
    """A top-level item with its documentation and decorators, ending in a line break."""
    if isinstance(node, ast.Use):
        return use_line(node) + "\n"
    above = (_comment(node.doc) if node.doc else "") + "".join(f"{line}\n" for line in decorator_lines(node.decorators))
    if isinstance(node, ast.Alias):
        return above + alias_lines(node) + "\n"
    line = one_line(node)
    if line is not None:
        return above + line + "\n"
    body = [*map(binding_lines, node.bindings), result_lines(node.value)]
    return above + "\n".join([header_lines(node), *body]) + "\n"


def format_source(source: Source) -> str:
    """A file in the canonical layout, with its comments; formatting the result again changes nothing."""
    module = parse_module(source)
    items, tail = layout(source, module)
    text, previous = "", ""
    for item, units in zip(module.items, items, strict=True):
        first = units[0]
        block = _block(item, units)
        gap = first.above[0].gap if first.above else first.gap
        if text and (gap or _tall(previous) or _tall(block)):
            text += "\n"
        text += block + "\n"
        previous = block
    if tail and text and tail[0].gap:
        text += "\n"
    return text + "".join(f"{line}\n" for line in _comment_lines(tail, 0))


def format_expression(source: Source) -> str:
    """An expression on one line; its comments stand above, but for one that is behind its end."""
    node = parse_expression(source)
    comments = [lexeme for lexeme in lexemes(source.text) if lexeme.kind == "comment"]
    above = [comment.text.rstrip() for comment in comments if comment.start < node.span.end]
    behind = [comment.text.rstrip() for comment in comments if comment.start >= node.span.end]
    line = "  ".join([print_expression(node), *behind[:1]])
    return "\n".join([*above, line, *behind[1:]]) + "\n"


def _tall(block: str) -> bool:
    """Whether a block has more than one line of code."""
    return sum(not line.startswith("#") for line in block.split("\n")) > 1


def _block(item: ast.Use | ast.Definition | ast.Alias, units: list[Unit]) -> str:
    """An item of a file with the comments that belong to it."""
    waiting = list(units)
    lines: list[str] = []
    if not isinstance(item, ast.Use) and item.decorators:
        lines += _with_comments(waiting.pop(0), "\n".join(decorator_lines(item.decorators)), 0, bool(lines))
    head, *body = waiting
    if not isinstance(item, ast.Definition):
        text = use_line(item) if isinstance(item, ast.Use) else alias_lines(item)
        return "\n".join(lines + _with_comments(head, text, 0, bool(lines)))
    short = one_line(item)
    if short is not None and not head.trailing and body[0].bare_above and not body[0].below:
        head.trailing = body[0].trailing
        return "\n".join(lines + _with_comments(head, short, 0, bool(lines)))
    lines += _with_comments(head, header_lines(item), 0, bool(lines))
    statements = [*map(binding_lines, item.bindings), result_lines(item.value)]
    for i, (unit, text) in enumerate(zip(body, statements, strict=True)):
        lines += _with_comments(unit, text, 4, i > 0)
    return "\n".join(lines)


def _with_comments(unit: Unit, text: str, indent: int, spaced: bool) -> list[str]:
    """The lines of a unit; empty lines before it are kept where ``spaced`` or where comments stand above."""
    lines = _comment_lines(unit.above, indent)
    gap = unit.above[0].gap if unit.above else unit.gap
    if spaced and indent and gap:
        lines.insert(0, "")
    if unit.above and unit.gap:
        lines.append("")
    lines += _comment_lines(unit.hoisted, indent)
    lines.append(text + (f"  {unit.trailing}" if unit.trailing else ""))
    return lines + _comment_lines(unit.below, indent)


def _comment_lines(comments: Sequence[Comment], indent: int) -> list[str]:
    lines: list[str] = []
    for i, comment in enumerate(comments):
        lines += ["", " " * indent + comment.text] if i and comment.gap else [" " * indent + comment.text]
    return lines


def _comment(doc: str) -> str:
    return "".join(f"## {line}".rstrip() + "\n" for line in doc.split("\n"))


# ------------------------------------------------------------------------------------------ lines
def use_line(node: ast.Use) -> str:
    """``use a.b as c``."""
    return f"use {node.target}" + (f" as {node.alias}" if node.alias else "")


def alias_lines(node: ast.Alias) -> str:
    """``name = expression``."""
    return _statement([f"{node.name} = "], _expression(node.value), 0, 4)


def binding_lines(node: ast.Binding) -> str:
    """``name[axes] = expression``, indented as in a body."""
    axes = [] if node.axes is None else _axes(node.axes)
    left = flat([node.name, *axes, " = "])  # kept whole: what a statement defines is read at one glance
    return _statement([left] if len(left) < 80 else [node.name, *axes, " = "], _expression(node.value), 4, 8)


def result_lines(node: ast.Expression) -> str:
    """The last line of a body."""
    return _statement([], _expression(node), 4, 4)


def one_line(node: ast.Definition) -> str | None:
    """Header and body on one line, for a short definition without bindings."""
    if node.bindings:
        return None
    line = flat([*_header(node), " ", *_expression(node.value)])
    return line if len(line) <= ONE_LINE else None


def header_lines(node: ast.Definition) -> str:
    """``loss name(parameters) -> [axes] / normaliser:``."""
    return fill(_header(node), 0, 8)


def decorator_lines(decorators: Sequence[ast.Decorator]) -> list[str]:
    """Papers and examples stand on lines of their own, the others together where they fit."""
    lines: list[str] = []
    joinable = False
    for decorator in decorators:
        pieces = ["@" + decorator.name, *(_arguments(decorator.arguments) if decorator.arguments else [])]
        text, alone = flat(pieces), decorator.name in ("paper", "example")
        if joinable and not alone and len(lines[-1]) + 2 + len(text) <= WIDTH:
            lines[-1] += "  " + text
        else:
            lines.append(fill(pieces, 0, 4))
        joinable = not alone and "\n" not in lines[-1]
    return lines


def _statement(target: list[str], value: list[str], indent: int, hanging: int) -> str:
    if wants_brackets([*target, *value], indent):
        # Line breaks before `-`, `and` or `if` need brackets; they leave the tree as it is.
        value = ["(", *value, ")"]
    return fill([*target, *value], indent, hanging)


def _header(node: ast.Definition) -> list[str]:
    pieces = [f"{node.keyword} {node.name}"]
    if node.axes:
        pieces += _list([[_axis(axis)] for axis in node.axes], "[", "]")
    pieces += _list(_parameters(node.parameters), "(", ")")
    if node.result is not None:
        pieces += [" -> ", *_axes(node.result)]
    if node.normaliser is not None:
        pieces += [TIMES, "/ ", *_expression(node.normaliser, SUM)]
    return [*pieces, ":"]


def _parameters(parameters: tuple[ast.Parameter, ...]) -> list[list[str]]:
    """Each parameter; a type stands only behind the last of the bare names that share it."""
    printed: list[list[str]] = []
    for parameter, follower in zip(parameters, (*parameters[1:], None), strict=False):
        pieces = [parameter.name]
        shared = (
            follower is not None
            and parameter.default is None
            and follower.default is None
            and parameter.type is not None
            and follower.type == parameter.type
        )
        if parameter.type is not None and not shared:
            pieces.append(f": {print_type(parameter.type)}")
        if parameter.default is not None:
            pieces += [" = ", *_expression(parameter.default, CONDITION)]
        printed.append(pieces)
    return printed


def _axes(axes: ast.Axes) -> list[str]:
    return _list([[_axis(axis)] for axis in axes.axes], "[", "]", axes.filter)


def _axis(axis: ast.Axis) -> str:
    if axis.name is None:
        return str(axis.size)
    if axis.size is not None:
        return f"{axis.name}={axis.size}"
    return axis.name if axis.bound is None else f"{axis.name} < {flat(_expression(axis.bound, SUM))}"


# ------------------------------------------------------------------------------------------ expressions
def _expression(node: ast.Node, level: int = PIPELINE, tight: bool = False, bare_range: bool = False) -> list[str]:
    """The pieces of an expression for a place that takes ``level``; ``tight``: products without blanks."""
    pieces, own = _with_level(node, tight)
    if own >= level or (bare_range and isinstance(node, ast.Range)):
        return pieces
    return ["(", *_with_level(node, False)[0], ")"]


def _with_level(node: ast.Node, tight: bool) -> tuple[list[str], int]:
    match node:
        case ast.Number(value):
            return [number(value)], POSTFIX if value >= 0 else UNARY
        case ast.String(value):
            return [f'"{value}"'], POSTFIX
        case ast.Name(name):
            return [name], POSTFIX
        case ast.Rest(name):
            return [f"...{name}"], POSTFIX
        case ast.Call(callee, arguments):
            return _expression(callee, POSTFIX) + _arguments(arguments), POSTFIX
        case ast.Index(base, items, condition):
            return _expression(base, POSTFIX) + _list(list(map(_item, items)), "[", "]", condition), POSTFIX
        case ast.ListOf(items):
            return _list([_expression(item, CONDITION) for item in items], "[", "]"), POSTFIX
        case _:
            return _operation(node, tight)


def _operation(node: ast.Node, tight: bool) -> tuple[list[str], int]:
    match node:
        case ast.Sum(terms):
            return _sum(terms), SUM
        case ast.Binary(op, left, right):
            return _binary(op, left, right, tight)
        case ast.Unary("-", operand):
            return ["-", *_expression(operand, UNARY)], UNARY
        case ast.Unary(_, operand):
            return ["not ", *_expression(operand, NOT)], NOT
        case ast.Labelled(value, name):
            return [*_expression(value, PRODUCT, tight), f" as {name}"], TERM
        case ast.Range(low, high):
            return [*_expression(low, SUM), "..", *_expression(high, SUM)], COMPARISON
        case ast.Member(item, container):
            return [
                *_expression(item, SUM),
                " in ",
                *_expression(container, SUM, bare_range=True),
            ], COMPARISON
        case ast.Compare(operands, ops):
            pieces = _expression(operands[0], SUM)
            for op, operand in zip(ops, operands[1:], strict=True):
                pieces += [COMPARED, f"{op} ", *_expression(operand, SUM)]
            return pieces, COMPARISON
        case ast.Conditional(then, condition, otherwise):
            branch = [
                IF,
                "if ",
                *_expression(condition, OR),
                IF,
                "else ",
                *_expression(otherwise, CONDITION),
            ]
            return _expression(then, OR) + branch, CONDITION
        case ast.Pipe(value, name, arguments):
            call = _arguments(arguments) if arguments else []
            return [*_expression(value), BAR, f"| {name}", *call], PIPELINE
        case _:
            raise TypeError(f"not an expression: {type(node).__name__}")


def _sum(terms: tuple[tuple[str, ast.Expression], ...]) -> list[str]:
    pieces = _expression(terms[0][1], TERM, tight=True)
    for sign, term in terms[1:]:
        pieces += [PLUS if sign == "+" else MINUS, f"{sign} "]
        pieces += _expression(term, TERM, tight=True)
    return pieces


_BREAKS = {"or": OR_BREAK, "and": AND_BREAK}
_LEVELS = {
    "or": (OR, AND),
    "and": (AND, NOT),
    "*": (PRODUCT, UNARY),
    "/": (PRODUCT, UNARY),
    "^": (POSTFIX, UNARY),
}


def _binary(op: str, left: ast.Expression, right: ast.Expression, tight: bool) -> tuple[list[str], int]:
    left_level, right_level = _LEVELS[op]
    own = POWER if op == "^" else left_level
    tight = tight and op in "*/"
    pieces = _expression(left, left_level, tight)
    if op == "^" or tight:
        pieces.append(op)
    else:
        pieces += [_BREAKS.get(op, TIMES), f"{op} "]
    return pieces + _expression(right, right_level, tight), own


def _arguments(arguments: tuple[ast.Argument, ...]) -> list[str]:
    named = ([] if argument.name is None else [f"{argument.name}="] for argument in arguments)
    values = (_expression(argument.value) for argument in arguments)
    return _list([name + value for name, value in zip(named, values, strict=True)], "(", ")")


def _item(item: ast.Expression | ast.Rest | ast.NamedIndex) -> list[str]:
    if isinstance(item, ast.NamedIndex):
        return [f"{item.name}=", *_expression(item.value, OR)]
    return _expression(item, OR)


def _list(items: list[list[str]], opener: str, closer: str, condition: ast.Expression | None = None) -> list[str]:
    pieces = [opener]
    for i, item in enumerate(items):
        pieces += [",", COMMA, *item] if i else item
    if condition is not None:
        pieces += [IF, "if ", *_expression(condition, OR)]
    return [*pieces, closer]


def number(value: float) -> str:
    """A number as briefly as it can be read back: ``1e-6`` rather than ``1e-06``."""
    text = repr(value)
    if "e" not in text:
        return text
    mantissa, exponent = text.split("e")
    return f"{mantissa}e{int(exponent)}"
