"""In: terms that each compute what they need. Out: terms that compute common parts once.

Equal nodes are one already; this brings what is equal in other clothes to one form, so that hash-consing
sees it: a function of a re-indexed value becomes the re-indexed function, and a reduction of a transposed
matrix the other reduction of the same matrix. Keyed on the IR, never on values. Non-goals: a cheaper form
of what only one term needs.
"""

from __future__ import annotations

from losslang.ir import nodes as ir
from losslang.ir import ops
from losslang.ir.nodes import Node, Objective
from losslang.ir.ops import apply, index, iota, reduce
from losslang.ir.rewrite import fixpoint
from losslang.types import Axis


def share(objective: Objective) -> Objective:
    """Bring equal things to one form."""
    return fixpoint(objective, rule)


def rule(node: Node) -> Node | None:
    """One step, or None where nothing applies."""
    match node:
        case ir.Reduce(args=(ir.Index() as inner, *mask)) if not mask:
            return _reduce_transposed(node, inner)
        case ir.Op():
            return _hoist_renaming(node)
        case _:
            return None


def _renaming(node: Node) -> dict[Axis, Axis] | None:
    """The variables that an index only renames."""
    if not isinstance(node, ir.Index):
        return None
    positions = dict(zip(node.along, node.args[1:], strict=True))
    if not ops.is_renaming(node.args[0], positions):
        return None
    return {axis: position.axes[0] for axis, position in positions.items()}


def _reduce_transposed(node: ir.Reduce, inner: ir.Index) -> Node | None:
    """``logsumexp[j](s[i=j, j=i])`` is ``logsumexp[i](s)[j=i]``: no transposed copy."""
    renamed = _renaming(inner)
    if renamed is None:
        return None
    back = {new: old for old, new in renamed.items()}
    over = [back.get(axis, axis) for axis in node.over]
    result = reduce(node.monoid, inner.args[0], over)
    return index(result, {old: iota(new) for old, new in renamed.items() if old not in over})


def _hoist_renaming(node: ir.Op) -> Node | None:
    """``f(x[j], y[j], a)`` is ``f(x, y, a)[j]``: computed once, seen twice; ``a`` has none of these axes."""
    renamings = [_renaming(arg) for arg in node.args]
    found = [renamed for renamed in renamings if renamed]
    if not found or any(renamed != found[0] for renamed in found):
        return None
    concerned = {*found[0], *found[0].values()}
    if any(concerned & set(arg.axes) for arg, renamed in zip(node.args, renamings, strict=True) if not renamed):
        return None
    args = [arg.args[0] if renamed else arg for arg, renamed in zip(node.args, renamings, strict=True)]
    return index(apply(node.name, *args), {old: iota(new) for old, new in found[0].items()})
