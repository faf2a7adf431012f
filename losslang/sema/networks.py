"""Feature networks in the language: what a name and its weights mean, and their feature maps as lists."""

from __future__ import annotations

from collections.abc import Sequence

from losslang.diagnostics import error
from losslang.ir.netspec import TAPS, NetSpec, canonical
from losslang.ir.nodes import Heads, Net, NetVjp, Node, intern, topological
from losslang.sema import kinds
from losslang.sema.brackets import split_domain
from losslang.sema.elementwise import tensor
from losslang.sema.scope import Scope
from losslang.sema.values import Listed, Network, Tensor, Value, describe
from losslang.source import Span
from losslang.syntax import ast
from losslang.types import Axis, Kind


def checked_derivative(node: Node, span: Span) -> Node:
    """A derivative that the compiled module can carry out: none through a feature network.

    Raises:
        LosslangError: LL0309.
    """
    through = next((part for part in topological([node]) if isinstance(part, NetVjp)), None)
    if through is None:
        return node
    raise error(
        "LL0309",
        f"this is differentiated through the feature network {through.spec.name}",
        span,
        expected="a derivative by formulas and by models of your own",
        found=f"a derivative of its feature maps ({through.spec})",
        hint="leave such a term outside: (l1 + mse | gradfrac(wrt=pred)) + 0.5*lpips; or pass the network as a model",
    )


def network(name: str, arguments: Sequence[ast.Argument], span: Span) -> Network:
    """``squeeze``, ``squeeze(weights=random(seed=0))`` or ``vgg16(weights="file.pth")``."""
    weights: ast.Expression | None = None
    for argument in arguments:
        if argument.name not in ("weights", None):
            raise error(
                "LL0202",
                f"{name} has no parameter '{argument.name}'",
                argument.span,
                expected="weights",
                found=argument.name,
                hint=f"{name}(weights=random(seed=0)), or weights= and the path of a file",
            )
        weights = argument.value
    full = canonical(name)
    match weights:
        case None:
            return Network(NetSpec(full))
        case ast.String(value=path):
            return Network(NetSpec(full, "path", path=path))
        case ast.Name(name="random"):
            return Network(NetSpec(full, "random", seed=0))
        case ast.Call(callee=ast.Name(name="random"), arguments=given):
            return Network(NetSpec(full, "random", seed=_seed(given, span)))
        case _:
            raise error(
                "LL0307",
                "these are no weights",
                weights.span,
                expected='"file.pth" or random(seed=0)',
                found=weights.span.text,
                hint="leave weights= out for the published ones",
            )


def _seed(arguments: Sequence[ast.Argument], span: Span) -> int:
    match arguments:
        case ():
            return 0
        case (ast.Argument(value=ast.Number(value=int() as seed), name="seed" | None),):
            return seed
        case _:
            raise error(
                "LL0307",
                "random takes a seed",
                span,
                expected="random(seed=0)",
                found="random(" + ", ".join(argument.span.text for argument in arguments) + ")",
                hint="a seed is a whole number",
            )


def features(net: Network, value: Value, scope: Scope, span: Span) -> Value:
    """The feature maps of a network on an image, as a list over ``l``; each map has its own axes c, h, w."""
    x = tensor(value, span)
    visible = scope.visible(x.order)
    if len(visible) < 4:
        raise error("LL0302", f"{net.spec.name} wants an image", span, expected="image[b, c, h, w]", found=describe(x))
    _, channels, height, width = visible[-4:]
    if channels.size not in (None, 3):
        raise error("LL0302", f"{net.spec.name} wants 3 channels", span, expected="3", found=str(channels.size))
    x = kinds.convert(x, Kind("image", (-1.0, 1.0)), scope.axes, ast.TensorType("image"), span)
    if split_domain(x.domain, (channels, height, width))[0]:
        raise error(
            "LL0304",
            "a network sees whole images, and this one has a filter or mask over its pixels",
            span,
            expected="a mask over images: bool[b]",
            found=describe(x),
            hint="multiply the image by the mask, or leave the mask out",
        )
    items: list[Value] = []
    for tap, count in enumerate(TAPS[net.spec.name]):
        name = f"{net.spec.name}_{tap}"
        made = (channel_axis(net.spec, tap, count), Axis(f"{height}_{name}", made=2), Axis(f"{width}_{name}", made=3))
        for axis, local in zip(made, ("c", "h", "w"), strict=True):
            scope.local[axis] = local
        kept = tuple(axis for axis in x.node.axes if axis not in (channels, height, width))
        axes = tuple(sorted((*kept, *made), key=lambda axis: axis.key))
        node = intern(Net, (x.node,), axes, "real", net.spec, tap)
        order = (*(axis for axis in x.order if axis not in (channels, height, width)), *made)
        items.append(Tensor(node, order, x.domain))
    return Listed("l", tuple(items))


def channel_axis(spec: NetSpec, tap: int, count: int) -> Axis:
    """The channels of a tap."""
    return Axis(f"c_{spec.name}_{tap}", count, made=1)


def heads(net: Network, scope: Scope) -> Listed:
    """LPIPS's learned weights for each tap of a network."""
    items: list[Value] = []
    for tap, count in enumerate(TAPS[net.spec.name]):
        axis = channel_axis(net.spec, tap, count)
        scope.local[axis] = "c"
        items.append(Tensor(intern(Heads, (), (axis,), "real", net.spec, tap), (axis,)))
    return Listed("l", tuple(items))
