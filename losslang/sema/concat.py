"""``concat``: values one behind the other along an axis of their own."""

from __future__ import annotations

from collections.abc import Callable

from losslang.diagnostics import error
from losslang.ir.maps import map_along, spread
from losslang.sema.along import Bracketed
from losslang.sema.brackets import bracket_axes
from losslang.sema.elementwise import combine, lift, tensor
from losslang.sema.values import Tensor, Value, axes_text, describe, merge_orders


def _concat(call: Bracketed) -> Value:
    """``both[m] = concat[f, g](a, b)``: one behind the other along a new axis, which the left side names."""
    count = len(call.callee.items)
    given = call.arguments([f"x{k + 1}" for k in range(count)])

    def joined(values: list[Value]) -> Tensor:
        parts = [tensor(value, call.span) for value in values]
        axes = [
            bracket_axes([item], part.order, call.scope) for item, part in zip(call.callee.items, parts, strict=True)
        ]
        for part, own in zip(parts, axes, strict=True):
            elsewhere = {axis for other in axes if other != own for axis in other}
            if len(own) != 1 or own[0].rest or own[0] not in part.order or elsewhere & set(part.order):
                raise error(
                    "LL0302",
                    "concat names one axis for each value",
                    call.span,
                    expected="concat[f, g](a, b): a has f, and b has g",
                    found=describe(part),
                    hint="what is joined may differ in extent along these axes, and in no other",
                )
        over = [own[0] for own in axes]
        domain = combine(parts, call.span)
        call.whole(
            domain,
            tuple(over),
            expected="values that are defined everywhere along what is joined",
            found=axes_text(tuple(over)),
            hint="mask the result instead",
        )
        others = merge_orders([tuple(a for a in p.order if a not in over) for p in parts])
        nodes = [spread(p.node, (*others, axis)) for p, axis in zip(parts, over, strict=True)]
        made = map_along("concat", nodes, over)
        (new,) = (axis for axis in made.axes if axis not in others)
        call.name_axis(new, merge_orders([p.order for p in parts]))
        place = min(parts[0].order.index(over[0]), len(others))
        return Tensor(made, (*others[:place], new, *others[place:]), domain, parts[0].kind)

    return lift(list(given.values()), joined, call.span)


BUILTINS: dict[str, Callable[[Bracketed], Value]] = {"concat": _concat}
