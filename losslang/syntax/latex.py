"""Formulas as a paper prints them: an expression or a definition as LaTeX (amsmath, amssymb)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from losslang.syntax import ast
from losslang.syntax.printer import number

CONDITION, LOGIC, RELATION, SUM, BIG, NEGATIVE, PRODUCT, POWER, ATOM = range(9)
"""How tightly a formula holds together; ``BIG`` is a reduction, which reaches as far right as a product."""

# fmt: off
_LETTERS = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "varepsilon", "ζ": "zeta",
    "η": "eta", "θ": "theta", "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu",
    "ν": "nu", "ξ": "xi", "π": "pi", "ρ": "rho", "σ": "sigma", "τ": "tau",
    "υ": "upsilon", "φ": "varphi", "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "Gamma",
    "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma",
    "Υ": "Upsilon", "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega",
}
# fmt: on
_GREEK = frozenset(_LETTERS.values()) | {"phi"}
_WORDS = {"lam": r"\lambda", "eps": r"\varepsilon", "epsilon": r"\varepsilon", "inf": r"\infty"}
_BIG = {
    "sum": r"\sum",
    "prod": r"\prod",
    "max": r"\max",
    "min": r"\min",
    "any": r"\bigvee",
    "all": r"\bigwedge",
    "argmax": r"\operatorname*{arg\,max}",
    "argmin": r"\operatorname*{arg\,min}",
}
_REDUCTIONS = frozenset({*_BIG, "mean", "logsumexp", "logmeanexp", "count", "std", "sample_std"})
_KNOWN = frozenset({"exp", "log", "sin", "cos", "tan", "tanh", "max", "min"})
_AROUND = {
    "abs": (r"\lvert ", r" \rvert"),
    "norm": (r"\lVert ", r" \rVert"),
    "floor": (r"\lfloor ", r" \rfloor"),
    "sqrt": (r"\sqrt{", "}"),
    "dot": (r"\langle ", r" \rangle"),
}
_RELATIONS = {"==": "=", "!=": r"\ne", "<": "<", "<=": r"\le", ">": ">", ">=": r"\ge"}


def latex(node: ast.Expression | ast.Definition) -> str:
    """The formula of an expression, or all lines of a definition in an ``aligned`` environment."""
    return _definition(node) if isinstance(node, ast.Definition) else _Writer({}).write(node)


def _definition(node: ast.Definition) -> str:
    subscripts = {
        binding.name: tuple(axis.name or "" for axis in binding.axes.axes)
        for binding in node.bindings
        if binding.axes is not None
    }
    writer = _Writer(subscripts)
    lines = [writer.binding(binding) for binding in node.bindings]
    lines.append(f"{writer.head(node)} &= {writer.write(node.value)}{writer.where(node.result)}")
    if len(lines) == 1:
        return lines[0].replace(" &= ", " = ", 1)
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


def _symbol(name: str) -> tuple[str, list[str]]:
    """A name as a symbol and the subscripts that it brings along: ``z1`` is z with subscript 1."""
    stem, digits = re.fullmatch(r"(.*?)_?(\d*)", name).groups()  # pyright: ignore[reportOptionalMemberAccess]
    if not stem:
        return rf"\mathrm{{{_escaped(name)}}}", []
    subscript = [digits] if digits else []
    if stem in _WORDS:
        return _WORDS[stem], subscript
    if stem in _GREEK:
        return f"\\{stem}", subscript
    if len(stem) == 1:
        return f"\\{_LETTERS[stem]}" if stem in _LETTERS else stem, subscript
    head, _, tail = stem.partition("_")
    if len(head) == 1 or head in _GREEK or head in _WORDS:
        return _symbol(head)[0], [rf"\mathrm{{{_escaped(tail)}}}", *subscript]
    return rf"\mathrm{{{_escaped(name)}}}", []


def _escaped(text: str) -> str:
    return re.sub(r"([_#$%&{}])", r"\\\1", text).replace("^", r"\^{}").replace("~", r"\~{}")


def _subscripted(symbol: str, parts: Iterable[str]) -> str:
    parts = list(parts)
    if not parts:
        return symbol
    short = all(len(part) == 1 or part in (r"\dots",) for part in parts) and r"\dots" not in parts
    return f"{symbol}_{{{''.join(parts) if short else ', '.join(parts)}}}"


def _operator(name: str) -> str:
    if name in _KNOWN:
        return f"\\{name}"
    if len(name) > 1 and name not in _GREEK:
        return rf"\operatorname{{{_escaped(name)}}}"
    return _symbol(name)[0]


def _fenced(text: str) -> str:
    return rf"\left({text}\right)"


def _reaches_right(node: ast.Node) -> bool:
    """Whether the formula ends in the body of a reduction, which would swallow a factor behind it."""
    while True:
        match node:
            case ast.Binary("*", _, right):
                node = right
            case ast.Unary("-", operand):
                node = operand
            case ast.Call(ast.Index(ast.Name(name))):
                return name in _REDUCTIONS or name == "grad"
            case _:
                return False


class _Writer:
    """Writes formulas; ``subscripts`` are the axes of the names that a definition binds."""

    def __init__(self, subscripts: Mapping[str, tuple[str, ...]]) -> None:
        self.subscripts = subscripts

    # ------------------------------------------------------------------------------------ lines
    def binding(self, node: ast.Binding) -> str:
        """``s_{ij} &= ... \\quad (i \\ne j)``."""
        symbol, own = _symbol(node.name)
        axes = () if node.axes is None else node.axes.axes
        left = _subscripted(symbol, [*own, *(self.axis(axis) for axis in axes)])
        return f"{left} &= {self.write(node.value)}{self.where(node.axes)}"

    def head(self, node: ast.Definition) -> str:
        """The left side of the result: a loss by its name and rows, anything else by name and parameters."""
        name = rf"\mathrm{{{_escaped(node.name)}}}"
        if node.keyword == "loss":
            rows = [] if node.result is None else [self.axis(axis) for axis in node.result.axes]
            raised = f"^{{({', '.join(rows)})}}" if rows else ""
            return rf"\mathcal{{L}}_{{{name}}}{raised}"
        parameters = ", ".join(_subscripted(*_symbol(parameter.name)) for parameter in node.parameters)
        return rf"\operatorname{{{_escaped(node.name)}}}({parameters})"

    def where(self, axes: ast.Axes | None) -> str:
        """The filter of a binding or of the rows."""
        if axes is None or axes.filter is None:
            return ""
        return rf" \qquad ({self.write(axes.filter)})"

    def axis(self, axis: ast.Axis) -> str:
        """An axis in a subscript."""
        if axis.name is None:
            return str(axis.size)
        name = r"\dots" if axis.is_rest else _subscripted(*_symbol(axis.name))
        return name if axis.bound is None else f"{name} < {self.write(axis.bound)}"

    # ------------------------------------------------------------------------------------ expressions
    def write(self, node: ast.Node, level: int = CONDITION) -> str:
        """A formula for a place that takes ``level``, in brackets where it needs them."""
        text, own = self.formula(node)
        return text if own >= level else _fenced(text)

    def arithmetic(self, node: ast.Node, level: int) -> str:
        """The same, where a truth value counts as 0 or 1."""
        match node:
            case ast.Compare() | ast.Member() | ast.Unary("not") | ast.Binary("and" | "or"):
                return rf"\mathbb{{1}}[{self.write(node)}]"
            case _:
                return self.write(node, level)

    def formula(self, node: ast.Node) -> tuple[str, int]:
        """A formula and how tightly it holds together."""
        match node:
            case ast.Number(value):
                mantissa, _, exponent = number(value).partition("e")
                power = f"10^{{{exponent}}}" if exponent else ""
                return (power if mantissa == "1" and power else mantissa + (rf" \cdot {power}" if power else "")), (
                    PRODUCT if power else ATOM
                )
            case ast.String(value):
                return rf"\text{{``{_escaped(value)}''}}", ATOM
            case ast.Name(name):
                symbol, own = _symbol(name)
                axes = [self.axis(ast.Axis(axis)) for axis in self.subscripts.get(name, ())]
                return _subscripted(symbol, [*own, *axes]), ATOM
            case ast.Rest():
                return r"\dots", ATOM
            case ast.Index(base, items, condition):
                return self.index(base, items, condition), ATOM
            case ast.NamedIndex(name, value):
                return f"{_subscripted(*_symbol(name))} = {self.write(value)}", ATOM
            case ast.ListOf(items):
                return rf"\left[{self.several(items)}\right]", ATOM
            case ast.Call():
                return self.call(node)
            case _:
                return self.operation(node)

    def operation(self, node: ast.Node) -> tuple[str, int]:
        """Operators, from the loosest to the tightest."""
        match node:
            case ast.Pipe(value, name, arguments):
                inside = f"({self.arguments(arguments)})" if arguments else ""
                return rf"{self.write(value)} \;\triangleright\; {_operator(name)}{inside}", CONDITION
            case ast.Conditional():
                return self.cases(node), ATOM
            case ast.Binary("and" | "or" as op, left, right):
                sign = r"\wedge" if op == "and" else r"\vee"
                return f"{self.write(left, LOGIC)} {sign} {self.write(right, RELATION)}", LOGIC
            case ast.Unary("not", operand):
                return rf"\neg {self.write(operand, ATOM)}", RELATION
            case ast.Compare(operands, ops):
                parts = [self.arithmetic(operand, SUM) for operand in operands]
                rest = (f" {_RELATIONS[op]} {part}" for op, part in zip(ops, parts[1:], strict=True))
                return parts[0] + "".join(rest), RELATION
            case ast.Member(item, container):
                return rf"{self.write(item, SUM)} \in {self.write(container, SUM)}", RELATION
            case ast.Range(low, high):
                return rf"\left[{self.write(low)}, {self.write(high)}\right]", ATOM
            case ast.Sum(terms):
                first, *rest = terms
                text = self.arithmetic(first[1], BIG)
                return text + "".join(f" {sign} {self.unsigned(term)}" for sign, term in rest), SUM
            case ast.Labelled(value, name):
                return rf"\underbrace{{{self.write(value)}}}_{{\text{{{_escaped(name)}}}}}", ATOM
            case ast.Unary(_, operand):
                return f"-{self.unsigned(operand)}", BIG if _reaches_right(operand) else NEGATIVE
            case ast.Binary(op, left, right):
                return self.product(op, left, right)
            case _:
                raise TypeError(f"not an expression: {type(node).__name__}")

    def product(self, op: str, left: ast.Expression, right: ast.Expression) -> tuple[str, int]:
        """Products by juxtaposition, quotients as fractions, powers raised."""
        if op == "^":
            return f"{self.arithmetic(left, ATOM)}^{{{self.write(right)}}}", POWER
        if op == "/":
            sign, left = ("-", left.operand) if isinstance(left, ast.Unary) and left.op == "-" else ("", left)
            fraction = rf"\frac{{{self.arithmetic(left, CONDITION)}}}{{{self.arithmetic(right, CONDITION)}}}"
            return sign + fraction, NEGATIVE if sign else PRODUCT
        first, second = self.arithmetic(left, NEGATIVE), self.unsigned(right)
        between = r" \cdot " if second[:1].isdigit() else " " if isinstance(left, ast.Number) else r" \, "
        own = BIG if _reaches_right(right) else NEGATIVE if first.startswith("-") else PRODUCT
        return first + between + second, own

    def unsigned(self, node: ast.Node) -> str:
        """A factor or term behind another one: a minus sign needs brackets there."""
        text = self.arithmetic(node, BIG)
        return _fenced(text) if text.startswith("-") else text

    def cases(self, node: ast.Conditional) -> str:
        """A chain of conditionals as one table of cases."""
        rows: list[str] = []
        rest: ast.Expression = node
        while isinstance(rest, ast.Conditional):
            rows.append(rf"{self.write(rest.then)} & \text{{if }} {self.write(rest.condition)}")
            rest = rest.otherwise
        rows.append(rf"{self.write(rest)} & \text{{otherwise}}")
        return r"\begin{cases} " + r" \\ ".join(rows) + r" \end{cases}"

    def index(self, base: ast.Expression, items: tuple[ast.Node, ...], condition: ast.Expression | None) -> str:
        """A name with subscripts; what is no name stands in brackets."""
        parts = [self.write(item) for item in items]
        if condition is not None:
            parts[-1] += f" : {self.write(condition)}"
        if isinstance(base, ast.Name):
            symbol, own = _symbol(base.name)
            return _subscripted(symbol, [*own, *parts])
        text = self.formula(base)[0]
        return _subscripted(text if isinstance(base, ast.Call | ast.ListOf) else _fenced(text), parts)

    # ------------------------------------------------------------------------------------ calls
    def call(self, node: ast.Call) -> tuple[str, int]:
        """Reductions as big operators, known functions by their signs, the others by name."""
        match node.callee:
            case ast.Index(ast.Name(name), items, condition):
                return self.bracketed(name, items, condition, node.arguments)
            case ast.Name(name):
                return self.named(name, node.arguments)
            case callee:
                return f"{self.write(callee, ATOM)}({self.arguments(node.arguments)})", ATOM

    def bracketed(
        self,
        name: str,
        items: tuple[ast.Node, ...],
        condition: ast.Expression | None,
        arguments: tuple[ast.Argument, ...],
    ) -> tuple[str, int]:
        """``sum[j if c](x)`` and everything else of the form ``word[axes](body)``."""
        parts = [self.write(item) for item in items]
        below = parts[0] if len(parts) == 1 else ", ".join(parts)
        if condition is not None:
            below += f" : {self.write(condition)}"
        alone = len(arguments) == 1 and arguments[0].name is None
        if name == "norm" and alone:
            return rf"\lVert {self.write(arguments[0].value)} \rVert_{{{below}}}", ATOM
        if name == "grad" and alone:
            return rf"\nabla_{{{below}}} {self.write(arguments[0].value, BIG)}", BIG
        if name in _REDUCTIONS and arguments and arguments[0].name is None:
            sign = _BIG.get(name, rf"\operatorname*{{{_escaped(name)}}}")
            return rf"{sign}_{{{below}}} {self.arithmetic(arguments[0].value, BIG)}", BIG
        return rf"{_operator(name)}_{{{below}}}({self.arguments(arguments)})", ATOM

    def named(self, name: str, arguments: tuple[ast.Argument, ...]) -> tuple[str, int]:
        """``f(x)``, with the signs that mathematics has for some functions."""
        plain = all(argument.name is None for argument in arguments)
        if name in _AROUND and plain and len(arguments) == (2 if name == "dot" else 1):
            before, after = _AROUND[name]
            return before + self.arguments(arguments) + after, ATOM
        if name == "last" and plain and arguments:
            return f"{self.write(arguments[0].value, ATOM)}^{{(t-1)}}", POWER
        if name == "stop":
            name = "sg"
        inside = self.arguments(arguments)
        tall = r"\frac" in inside or r"\sum" in inside or r"\begin" in inside
        return _operator(name) + (_fenced(inside) if tall else f"({inside})"), ATOM

    def arguments(self, arguments: tuple[ast.Argument, ...]) -> str:
        """Arguments with commas between; named ones keep their names."""
        return ", ".join(
            self.write(argument.value)
            if argument.name is None
            else f"{_subscripted(*_symbol(argument.name))} = {self.write(argument.value)}"
            for argument in arguments
        )

    def several(self, nodes: Iterable[ast.Node]) -> str:
        """Formulas with commas between."""
        return ", ".join(self.write(node) for node in nodes)
