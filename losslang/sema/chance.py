"""Random defaults: ``noise: real[b] = normal()``. The type gives the shape, and an argument takes the draw's place."""

from __future__ import annotations

from losslang.diagnostics import LosslangError, error
from losslang.ir import nodes as ir
from losslang.ir import ops
from losslang.ir.nodes import Node, Noise, intern
from losslang.sema import memory
from losslang.sema.elementwise import tensor
from losslang.sema.scope import Scope
from losslang.sema.values import Static, Tensor, Value
from losslang.source import Span
from losslang.syntax import ast
from losslang.types import BOOL, INT, REAL, Axes, ordered

WORDS = ("normal", "uniform", "bernoulli", "permutation")

LIMITS: dict[str, tuple[float, float]] = {"normal": (0.0, 1.0), "uniform": (0.0, 1.0)}
"""Mean and deviation, and the two ends, where nothing is said."""


def is_random(expression: ast.Expression | None, scope: Scope) -> bool:
    """Whether a default is a call of one of the words; a loss of that name, such as ``uniform``, is no default."""
    match expression:
        case ast.Call(callee=ast.Name(name=name)):
            return name in WORDS and name not in scope.values
        case _:
            return False


def default(name: str, expression: ast.Expression, dims: Axes, kind: str, scope: Scope) -> Tensor:
    """The draw that a parameter stands for where the call does not give it: of its axes and kind."""
    assert isinstance(expression, ast.Call) and isinstance(expression.callee, ast.Name)
    word, key = expression.callee.name, scope.session.key(scope.key(name))
    scope.session.places[key] = expression.span
    _check_kind(word, kind, name, expression.span)
    match word:
        case "permutation":
            _check_permutation(expression, dims, name)
            return Tensor(_draw("permutation", key, dims), dims, kind=INT)
        case "bernoulli":
            p = _probability(expression, scope)
            hit = ops.apply("lt", _draw("uniform", key, dims), p.node)
            return Tensor(hit, dims, p.domain, BOOL)
        case _:
            first, second = _numbers(expression, scope)
            spread = second if word == "normal" else second - first
            scaled = ops.apply("mul", ops.const(spread), _draw(word, key, dims))
            return Tensor(ops.apply("add", ops.const(first), scaled), dims, kind=REAL)


DRAWN = ("normal", "uniform", "permutation")
"""What the runtime draws: true with a probability is a uniform number below it."""


def _draw(word: str, key: str, dims: Axes) -> Node:
    dtype = "int" if word == "permutation" else "real"
    return intern(ir.Draw, (), ordered(set(dims)), dtype, word, key, dims)


KINDS = {"normal": "real", "uniform": "real", "bernoulli": "bool", "permutation": "int"}
"""What each word draws; a bool is 0 or 1 where a real is wanted."""


def _check_kind(word: str, kind: str, name: str, span: Span) -> None:
    fits = KINDS[word] == kind or (kind == "real" and word == "bernoulli")
    if not fits:
        raise error(
            "LL0307",
            f"'{name}' is {kind}, and {word}() draws {KINDS[word]}",
            span,
            expected=f"{name}: {KINDS[word]}",
            found=kind,
            hint=f"change the type, or draw with {next(w for w, k in KINDS.items() if k == kind)}()",
        )


def _check_permutation(call: ast.Call, dims: Axes, name: str) -> None:
    if call.arguments or not dims:
        raise error(
            "LL0307",
            "a permutation is one of the places along the last axis of its type",
            call.span,
            expected=f"{name}: int[i] = permutation()",
            found=call.span.text,
            hint=f"the type gives the axis: {name}: int[i]",
        )


def _probability(call: ast.Call, scope: Scope) -> Tensor:
    match call.arguments:
        case (ast.Argument(value=value, name="p" | None),):
            p = tensor(scope.session.evaluate(value, scope), value.span)
            if p.node.dtype != "bool":
                return p
        case _:
            pass
    raise error(
        "LL0207",
        "bernoulli takes the probability of true",
        call.span,
        expected="bernoulli(0.5)",
        found=call.span.text,
        hint="a number, a parameter, or a schedule of step",
    )


def _numbers(call: ast.Call, scope: Scope) -> tuple[float, float]:
    """Mean and deviation, or both ends: ``normal()``, ``normal(0.1)``, ``normal(0, 0.1)``, ``uniform(-1, 1)``."""
    assert isinstance(call.callee, ast.Name)
    word = call.callee.name
    values = [_number(argument.value, scope) for argument in call.arguments if argument.name is None]
    known = [value for value in values if value is not None]
    if len(known) == len(call.arguments):
        match word, known:
            case _, []:
                return LIMITS[word]
            case "normal", [deviation]:
                return 0.0, deviation
            case _, [first, second]:
                return first, second
            case _:
                pass
    raise error(
        "LL0307",
        f"{word} takes {'its mean and deviation' if word == 'normal' else 'its two ends'}, as numbers",
        call.span,
        expected="normal(), normal(0.1) or normal(0, 0.1)" if word == "normal" else "uniform() or uniform(-1, 1)",
        found=call.span.text,
        hint="what depends on the batch is arithmetic: scale*noise",
    )


def _number(expression: ast.Expression, scope: Scope) -> float | None:
    value: Value = scope.session.evaluate(expression, scope)
    known = value.value if isinstance(value, Static) else None
    return float(known) if isinstance(known, (int, float)) and not isinstance(known, bool) else None


def noise(expression: ast.Expression, scope: Scope) -> Noise | None:
    """Where a learned tensor starts, if at random numbers: ``auto(normal(0.1))``."""
    match expression:
        case ast.Call(callee=ast.Name(name="normal" | "uniform" as word)) if is_random(expression, scope):
            return Noise(word, *_numbers(expression, scope))
        case _:
            return None


def draw(node: ast.Call, scope: Scope) -> Tensor:
    """The IR's own text: ``draw("normal", key="vat.noise", axes=[b, ...])``."""
    given = {argument.name: argument for argument in node.arguments}
    match given.get(None), given.get("key"):
        case ast.Argument(value=ast.String(value=word)), ast.Argument(value=ast.String(value=key)) if word in DRAWN:
            dims = memory.dims_of(given.get("axes"), scope)
            return Tensor(_draw(word, key, dims), dims, kind=INT if word == "permutation" else REAL)
        case _:
            raise error("LL0207", "draw takes a word and a key", node.span, expected='draw("normal", key="name")')


def elsewhere(node: ast.Call, scope: Scope) -> Tensor:
    """Randomness in a formula."""
    raise no_place(node)


def no_place(node: ast.Call) -> LosslangError:
    """The error for a draw in a formula."""
    assert isinstance(node.callee, ast.Name)
    kind = KINDS[node.callee.name]
    return error(
        "LL0312",
        f"{node.callee.name}() stands in a formula",
        node.span,
        expected="randomness as the default of a parameter, whose type gives the shape",
        found=node.span.text,
        hint=f"make it a parameter: noise: {kind}[b] = {node.span.text}; a call may then give the numbers",
    )
