"""Builds `Minimum` nodes: the function of a binder's body, closed over what does not depend on the variable.

A function whose second derivative is constant is quadratic: then the problem is that matrix and the slope at 0, both
computed outside of it, however large the tensors are that they are made of.
"""

from __future__ import annotations

from collections.abc import Sequence

from losslang.ir import nodes as ir
from losslang.ir import ops
from losslang.ir.grad import gradients, jacobian
from losslang.ir.nodes import Node, intern, topological
from losslang.ir.ops import apply, iota, reduce
from losslang.ir.rewrite import rebuild, substitute
from losslang.types import Axis


def minimum(over: str, variable: Node, function: Node) -> Node:
    """Where a function of a variable over one axis is least on a set (``simplex`` or ``positive``)."""
    function = substitute([function], lambda node: node.args[0] if ops.is_op(node, "mark") else None)[function]
    (axis,) = variable.axes
    (gradient,) = gradients(function, [variable])
    row = _free_copy(axis, gradient)
    hessian = jacobian(ops.index(gradient, {axis: iota(row)}), variable)
    if not _depends(hessian, variable):
        at_zero = substitute([gradient], lambda node: ops.const(0.0) if node is variable else None)[gradient]
        turned = apply("mul", hessian, ops.index(variable, {axis: iota(row)}))
        gradient = apply("add", at_zero, reduce("sum", turned, [row]))
    closed, args = _closed([function, gradient, hessian], variable)
    return intern(ir.Minimum, args, (axis,), "real", over, *closed)


def _free_copy(axis: Axis, node: Node) -> Axis:
    taken = {known for part in topological([node]) for known in part.axes}
    return next(copy for n in range(1, 99) if (copy := axis.copy(n)) not in taken)


def _depends(root: Node, leaf: Node) -> bool:
    return leaf in topological([root])


def _closed(roots: Sequence[Node], variable: Node) -> tuple[list[Node], tuple[Node, ...]]:
    """The roots over leaves in place of the variable and of the largest parts without it, and these parts."""
    (axis,) = variable.axes
    order = ir.depending(roots, {variable})
    changing = {variable, *order}
    new: dict[Node, Node] = {variable: leaf(variable, 0)}
    parts: list[Node] = []

    def hold(node: Node) -> None:
        if node not in changing and node not in new:
            held = isinstance(node, ir.Const) or (isinstance(node, ir.Iota) and node.axes[0].root == axis.root)
            if not held:
                parts.append(node)
            new[node] = node if held else leaf(node, len(parts))

    for node in order:
        for arg in node.args:
            hold(arg)
        new[node] = rebuild(node, tuple(new[arg] for arg in node.args))
    for root in roots:
        hold(root)
    return [new[root] for root in roots], tuple(parts)


def leaf(node: Node, place: int) -> Node:
    """What stands for a node inside the function of a minimum."""
    return intern(ir.Variable, (), node.axes, node.dtype, place)


def applied(part: Node, vector: Node, args: Sequence[Node]) -> Node:
    """The function of a minimum (or a derivative of it) at a vector, over operands."""
    values = (vector, *args)

    def fill(node: Node) -> Node | None:
        return values[node.place] if isinstance(node, ir.Variable) and node.place >= 0 else None

    return substitute([part], fill)[part]
