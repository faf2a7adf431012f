"""Spectra: ``fft`` and ``stft``, whose complex values are pairs of real ones until a part of them is taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from losslang.ir import ops
from losslang.ir.maps import STFT_WINDOWS, map_along, spread
from losslang.sema.along import CHOICES, Bracketed
from losslang.sema.values import Complex, Static, Tensor, Value, describe
from losslang.types import Axes, Axis

PARTS = CHOICES["part"]


# ------------------------------------------------------------------------------------------ transforms
def _fft(call: Bracketed) -> Value:
    """``fft[h, w](x)``: the orthonormal discrete Fourier transform; ``part=`` gives one real part of it."""
    given = call.arguments(["x"], ["part"])
    wanted = _parts(call, given)

    def transformed(x: Tensor) -> Value:
        over = call.axes(x.order)
        _check(call, x, over)
        node = spread(ops.apply("real", x.node), over)
        parts = [Tensor(map_along("fft", (node,), over, part=name), x.order, x.domain) for name in wanted]
        return parts[0] if len(parts) == 1 else Complex(*parts)

    return call.one(given["x"], transformed)


def _stft(call: Bracketed) -> Value:
    """``stft[t](x, n=1024, hop=256, win=1024, window=hann)``: spectra of overlapping windows, over new axes f and t.

    Centred frames, the signal reflected at its ends; periodic windows; nothing is normalised.
    """
    given = call.arguments(["x", "n", "hop"], ["win", "window", "pad", "part"])
    n = call.number(given["n"], "n", low=2)
    hop = call.number(given["hop"], "hop")
    win = call.number(given.get("win", Static(n)), "win", high=n)
    window = call.word(given, "window", STFT_WINDOWS)
    pad = call.word(given, "pad", ("reflect", "zero"))
    wanted = _parts(call, given)

    def transformed(x: Tensor) -> Value:
        axis = call.one_axis(x)
        _check(call, x, (axis,))
        node = spread(ops.apply("real", x.node), (axis,))
        parts: list[Tensor] = []
        for name in wanted:
            options = {"n": n, "hop": hop, "win": win, "window": window, "pad": pad, "part": name}
            made = map_along("stft", (node,), (axis,), **options)
            parts.append(Tensor(made, _framed(call, x, axis, made.axes), x.domain))
        return parts[0] if len(parts) == 1 else Complex(*parts)

    return call.one(given["x"], transformed)


def _framed(call: Bracketed, x: Tensor, axis: Axis, made: Axes) -> Axes:
    """The order of a spectrogram's axes: frequencies, then frames, in the place of the samples."""
    frames = next(a for a in made if a.parent == axis)
    bins = next(a for a in made if a not in x.node.axes and a != frames)
    call.scope.local[frames] = call.scope.name_of(axis)
    call.scope.local[bins] = "f"
    return tuple(a for known in x.order for a in ((bins, frames) if known == axis else (known,)))


def _check(call: Bracketed, x: Tensor, over: Axes) -> None:
    call.whole(
        x.domain,
        over,
        expected=f"a value without a filter over {', '.join(map(str, over))}",
        found=describe(x),
        hint="mask the result instead: a spectrum mixes all of its samples",
    )


def _parts(call: Bracketed, given: dict[str, Value]) -> Sequence[str]:
    """The real parts that are wanted: both, unless the IR's own text names one."""
    return [call.word(given, "part", PARTS)] if "part" in given else PARTS


BUILTINS: dict[str, Callable[[Bracketed], Value]] = {"fft": _fft, "stft": _stft}
