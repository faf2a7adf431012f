"""Complex values, which spectra give: pairs of real ones, until a part of them is taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from losslang.diagnostics import LosslangError, error
from losslang.sema.values import Complex, Static, Value, describe
from losslang.source import Span

Operate: TypeAlias = Callable[[str, Sequence[Value], Span], Value]
"""`elementwise.operate`, which calls this module."""

READERS = ("re", "im", "abs2", "angle")
"""Functions of complex values besides ``abs``."""


def part(name: str, z: Value, span: Span, operate: Operate) -> Value:
    """``re``, ``im``, ``abs``, ``abs2`` or ``angle`` of a complex value; a real one has ``re`` and ``abs2`` too.

    Raises:
        LosslangError: LL0307 where there is no such part.
    """
    if not isinstance(z, Complex):
        if name in ("re", "abs2"):
            return z if name == "re" else operate("mul", [z, z], span)
        raise error(
            "LL0307",
            f"{name} takes a complex value",
            span,
            expected="what fft or stft gives",
            found=describe(z),
            hint="abs2 and re take real values too",
        )
    match name:
        case "re":
            return z.re
        case "im":
            return z.im
        case "abs2":
            return operate("add", [operate("mul", [side, side], span) for side in (z.re, z.im)], span)
        case "abs":
            return operate("sqrt", [part("abs2", z, span, operate)], span)
        case _:
            return operate("atan2", [z.im, z.re], span)


def arithmetic(name: str, values: Sequence[Value], span: Span, operate: Operate) -> Value:
    """``+ - * /``, a choice, and ``-z``, where a value is complex.

    Raises:
        LosslangError: LL0307 for any other operation.
    """

    def both(*pairs: tuple[Value, ...]) -> Complex:
        return Complex(*(operate(name, pair, span) for pair in pairs))

    match name, values:
        case (("neg" | "stop"), [Complex() as z]):
            return both((z.re,), (z.im,))
        case "abs", [Complex() as z]:
            return part("abs", z, span, operate)
        case (("add" | "sub"), [x, y]):
            return both((real(x), real(y)), (imaginary(x), imaginary(y)))
        case "mul", [Complex() as a, Complex() as b]:
            re = operate("sub", [operate("mul", [a.re, b.re], span), operate("mul", [a.im, b.im], span)], span)
            im = operate("add", [operate("mul", [a.re, b.im], span), operate("mul", [a.im, b.re], span)], span)
            return Complex(re, im)
        case (("mul" | "div"), [Complex() as z, x]) if not isinstance(x, Complex):
            return both((z.re, x), (z.im, x))
        case "mul", [x, Complex() as z]:
            return both((x, z.re), (x, z.im))
        case "where", [condition, x, y] if not isinstance(condition, Complex):
            return both((condition, real(x), real(y)), (condition, imaginary(x), imaginary(y)))
        case _:
            raise no_complex(name, span)


def real(value: Value) -> Value:
    """The real part."""
    return value.re if isinstance(value, Complex) else value


def imaginary(value: Value) -> Value:
    """The imaginary part: 0 of what is real."""
    return value.im if isinstance(value, Complex) else Static(0.0)


def no_complex(name: str, span: Span) -> LosslangError:
    """The error for what no complex value can do."""
    return error(
        "LL0307",
        "a complex value is added, subtracted and multiplied; anything else takes a part of it",
        span,
        expected="abs(z), abs2(z), re(z), im(z) or angle(z)",
        found=f"{name} of a complex value",
        hint="its size is abs(z), without the square root abs2(z)",
    )
