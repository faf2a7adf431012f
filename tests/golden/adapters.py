"""Turns a case of the golden corpus into losslang: an objective's text and the tensors it is called with.

An adapter renames and reshapes (one-hot rows, dtype); arithmetic stands in the text. The tensors carry the
case's own input names, so that the gradient with respect to an input of the case is the gradient of the one
of that name. What a text needs besides (one-hot targets, masks) has a name of its own and is never
differentiated. What earlier calls have stored is given under the keys of the module's buffers (``state.moco.queue``).
A case that losslang does not express raises `NotCovered`.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.golden import corpus
from tests.golden.corpus import Arrays, Case

Inputs = dict[str, Tensor]


class NotCovered(Exception):  # noqa: N818  (it is no error)
    """losslang does not express this case (yet); the message says why."""


class Params(Mapping[str, Any]):
    """The parameters of a case; what an adapter never looked at must be without meaning for the value."""

    REMARKS = frozenset({"backbone", "returns", "window", "directions", "head_dim", "schedule", "T"})

    def __init__(self, values: Mapping[str, Any], loss: str = "") -> None:
        self.values_, self.loss = dict(values), loss
        self.seen: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.seen.add(name)
        return self.values_[name]

    def __iter__(self) -> Any:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)

    def note(self, *names: str) -> None:
        """Parameters that say nothing about the value beyond what the inputs say."""
        self.seen.update(names)

    def check(self) -> None:
        """Refuse a case with parameters that nothing has read."""
        unread = set(self.values_) - self.seen - self.REMARKS
        if unread:
            raise NotCovered(f"parameters {sorted(unread)}")


Rule = Callable[[Params, Inputs], str]
RULES: dict[tuple[str, str], Rule] = {}


def rule(domain: str, *losses: str) -> Callable[[Rule], Rule]:
    """Register the adapter of some losses of a domain."""

    def register(function: Rule) -> Rule:
        RULES.update({(domain, loss): function for loss in losses})
        return function

    return register


# Where a source returns NaN or infinity for a legal input, losslang returns the finite limit.
FINITE_LIMITS: dict[tuple[str, str], str] = {
    (
        "classification",
        "cross_entropy",
    ): "every label is ignored: the source divides 0 by 0, losslang loses nothing",
    ("classification", "logistic"): "the source's exp overflows; log(1 + exp(x)) is x there",
    ("classification", "focal_loss"): "gamma < 1 at probability 1: the source multiplies infinity by 0",
    ("image", "lpips"): "a position without any feature: the source divides by a norm of 0 in the gradient",
    ("image", "content"): "a position without any feature: the source divides by a norm of 0 in the gradient",
    (
        "image",
        "style_gram",
    ): "a position without any feature: the source divides by a norm of 0 in the gradient",
    ("image", "total_variation"): "a constant image: the square root has no slope at 0, losslang takes 0",
}

# What no implementation can match: how much of the tolerance the source itself uses up, and why.
SOURCE_ROUNDING: dict[tuple[str, str], tuple[float, str]] = {
    ("image", "ssim/0"): (2, "the source's window is rounded to float32"),
    ("contrastive", "max_entropy_m_spacing/4"): (
        4,
        "large logits: what is left of differences of sigmoids near 1, of which eps is the only other part",
    ),
    ("contrastive", "inf_cl/2"): (5, "a float32 kernel; cross entropy in float64 is as far from it"),
    ("generative", "mmd_gaussian/2"): (
        3e4,
        "gradients of 1e-99: the source expands the squared distance, and loses five digits of it",
    ),
    ("generative", "mart/0"): (100, "1e-7 is added to a weight, and 1e-12 to a probability"),
    ("generative", "mart/2"): (100, "as for mart/0"),
    ("generative", "trades/2"): (1000, "1e-7 is added to the length that a perturbation is divided by"),
    ("generative", "vat/0"): (10000, "1e-8 is added to the length of a gradient that is divided by it"),
    ("generative", "entropy/2"): (
        16,
        "values of 1e-8 are what is left of logarithms near 1: one unit in their last place",
    ),
}

# Cases in which entries are equal and the source's maximum takes the first: losslang shares its gradient among them.
TIES: dict[tuple[str, str], str] = {}

# Losses of which a source gives a surrogate: it has the gradient, but the number says nothing.
SURROGATES: dict[tuple[str, str], str] = {
    ("generative", "alpha_divergence_adaptive"): "as for alpha_divergence",
    ("generative", "alpha_divergence"): "cross entropy with the weights that make its gradient the divergence's",
}

# Cases in which a source deviates from its paper's formula in a way that nobody depends on.
DIFFERS: dict[tuple[str, str], str] = {
    ("generative", "vat/2"): "1e-8 is added to the length of a gradient of that size, which then is not of length 1",
}

# What a case says that a call leaves behind: name of the case's array -> key of the module's buffer.
STORED: dict[tuple[str, str], dict[str, str]] = {}

# Cases of covered losses with an option that the library does not have.
GAPS: dict[tuple[str, str], str] = {
    ("image", "lpips/8"): "a map of distances instead of one number",
    ("image", "content/2"): "another network: average pooling",
    ("image", "ssim/8"): "reflection at the border",
    ("image", "ms_ssim/4"): "an even side is padded too where the other is odd",
    ("image", "generalized_dice/6"): "a sum in the place of the largest weight",
    ("image", "focal_frequency/2"): "weights by the logarithm of the distance",
    ("image", "nwd/4"): "the distance without the exponential",
    ("image", "nwd/6"): "the distance without the exponential",
    ("generative", "trades/4"): "random noise in the place of an attack",
    ("classification", "aldr_kl/2"): "a row of zeros, which the source divides by its mean size",
    ("contrastive", "nt_xent_memory_bank/0"): "the case keeps the bank after the call, not the one used in it",
    ("contrastive", "nt_xent_memory_bank/2"): "the case keeps the bank after the call, not the one used in it",
}


def adapt(domain: str, case: Case, arrays: Arrays) -> tuple[str, Inputs]:
    """The objective's text for a case, and its tensors by the case's input names.

    Raises:
        NotCovered: for what losslang does not express.
    """
    chosen = RULES.get((domain, case["loss"]))
    if chosen is None:
        raise NotCovered("no such loss in the library")
    given = {identifier(k): torch.from_numpy(np.array(arrays[v])) for k, v in case["inputs"].items() if v in arrays}
    params = Params(case["params"], case["loss"])
    text = chosen(params, given)
    params.check()
    words = set(re.findall(r"[^\W\d]\w*", text))
    missing = [name for name in map(identifier, case["grad_wrt"]) if name not in words]
    if missing:
        raise NotCovered(f"the text does not depend on {missing}")
    return text, {name: tensor for name, tensor in given.items() if name in words or name.startswith("state.")}


def identifier(name: str) -> str:
    """An input's name as losslang can write it: modules of networks have dots in theirs."""
    return name.replace(".", "_")


# ------------------------------------------------------------------------------------------ pieces of text
def call(callee: str, /, **arguments: Any) -> str:
    """A call; arguments that are None are left out."""
    parts = [f"{name}={literal(value)}" for name, value in arguments.items() if value is not None]
    return f"{callee}({', '.join(parts)})"


def literal(value: Any) -> str:
    """A number, boolean or list as losslang writes it; text stays."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case list() | tuple():
            return f"[{', '.join(literal(item) for item in value)}]"
        case _:
            return repr(value)


def objective(header: str, body: str) -> str:
    """An objective that declares its tensors."""
    return f"objective golden({header}):\n    {body}\n"


def reduction(p: Params, default: str = "mean") -> str | None:
    """``reduce=`` of a loss: None for the mean, which it is by default."""
    chosen = p.get("reduction", default).split(" ")[0]
    if chosen not in ("mean", "sum"):
        raise NotCovered(f"reduction {chosen}")
    return None if chosen == "mean" else chosen


def averaged(p: Params) -> str | None:
    """``reduce=`` where a source says ``size_average``."""
    return None if p.get("size_average", True) else "sum"


def times(weight: Any, loss: str) -> str:
    """A weighted loss."""
    return loss if weight == 1 else f"{literal(weight)}*{loss}"


def one_hot(labels: Tensor, like: Tensor) -> Tensor:
    """Labels [b, ...] as rows of the shape [b, c, ...] that the logits have."""
    classes = torch.arange(like.shape[1]).view(1, -1, *[1] * (labels.dim() - 1))
    return (labels.unsqueeze(1) == classes).to(like.dtype)


def forbid(p: Params, **allowed: Any) -> None:
    """Refuse parameters that have another value than the ones named."""
    for name, value in allowed.items():
        if p.get(name, value) not in (value, None):
            raise NotCovered(f"{name}={p[name]}")


def weights_of_classes(p: Params, x: Inputs, name: str) -> str | None:
    """Class weights: an input of the case, or a list in its parameters."""
    given = p.get(name)
    if given is None:
        return "class_weight" if "class_weight" in x else None
    if isinstance(given, str):
        return given.removeprefix("input:")
    if isinstance(given, (int, float)):
        given = [given, 1 - given]
    x["class_weight"] = torch.tensor(given, dtype=x["logits"].dtype)
    return "class_weight"


# ------------------------------------------------------------------------------------------ classification
@rule("classification", "cross_entropy")
def _cross_entropy(p: Params, x: Inputs) -> str:
    weights, smoothing = weights_of_classes(p, x, "weight"), p.get("label_smoothing") or None
    if p.get("soft_targets") or "target_probs" in x:
        return call(
            "cross_entropy",
            logits="logits",
            target="target_probs",
            class_weight=weights,
            smoothing=smoothing,
            reduce=reduction(p),
        )
    ignored = p.get("ignore_index", -100)
    return call(
        "ce",
        logits="logits",
        labels="labels",
        class_weight=weights,
        smoothing=smoothing,
        ignore=ignored,
        reduce=reduction(p),
    )


@rule("classification", "label_smoothing")
def _label_smoothing(p: Params, x: Inputs) -> str:
    return call("ce", logits="logits", labels="labels", smoothing=p["alpha"], reduce=reduction(p))


@rule("classification", "bce_with_logits", "multilabel_soft_margin")
def _bce(p: Params, x: Inputs) -> str:
    if "weight" in p:
        raise NotCovered("a weight for each element")
    weight = p.get("pos_weight")
    if isinstance(weight, list):
        x["pos_weight"] = torch.tensor(weight, dtype=x["logits"].dtype)
    named = "pos_weight" if "pos_weight" in x else weight
    return call("bce", logits="logits", target="targets", pos_weight=named, reduce=reduction(p))


@rule("classification", "bce_soft_targets")
def _bce_soft_targets(p: Params, x: Inputs) -> str:
    p.get("targets")
    if "labels" in x:
        x["targets"] = one_hot(x["labels"], x["logits"])
    if p["reduction"] == "batch_mean":
        return f"sum[...]({call('bce', logits='logits', target='targets')})"
    return call("bce", logits="logits", target="targets", reduce=reduction(p))


@rule("classification", "logistic")
def _logistic(p: Params, x: Inputs) -> str:
    return call("bce", logits="scores", target="(1 + targets)/2", reduce=reduction(p))


@rule("classification", "focal_loss")
def _focal_loss(p: Params, x: Inputs) -> str:
    return call("focal", logits="logits", labels="labels", gamma=p.get("gamma", 0), reduce=averaged(p))


@rule("classification", "focal_loss_detached")
def _focal_loss_detached(p: Params, x: Inputs) -> str:
    return call(
        "focal",
        logits="logits",
        labels="labels",
        gamma=p.get("gamma", 0),
        class_weight=weights_of_classes(p, x, "alpha"),
        detach=True,
        reduce=averaged(p),
    )


def _alpha(p: Params, default: float) -> Any:
    alpha = p.get("alpha", default)
    return "none" if alpha is None or alpha < 0 else alpha


@rule("classification", "sigmoid_focal_loss")
def _sigmoid_focal_loss(p: Params, x: Inputs) -> str:
    return call(
        "sigmoid_focal",
        logits="logits",
        target="targets",
        gamma=p["gamma"],
        alpha=_alpha(p, 0.25),
        reduce=reduction(p, "none"),
    )


@rule("classification", "focal_loss_star")
def _focal_loss_star(p: Params, x: Inputs) -> str:
    gamma, alpha = p.get("gamma", 1), _alpha(p, -1)
    weight = None if alpha == "none" else f"{alpha}*targets + {1 - alpha}*(1 - targets)"
    margin = f"{literal(gamma)}*logits*(2*targets - 1)"
    return f"{call('bce', logits=margin, target=1, weight=weight, reduce=reduction(p))}/{literal(gamma)}"


@rule("classification", "poly1_cross_entropy")
def _poly1(p: Params, x: Inputs) -> str:
    weights = weights_of_classes(p, x, "weight")
    return call(
        "poly1",
        logits="logits",
        labels="labels",
        epsilon=p["epsilon"],
        class_weight=weights,
        reduce=reduction(p),
    )


@rule("classification", "poly1_focal_loss")
def _poly1_focal(p: Params, x: Inputs) -> str:
    if "labels" in x:
        x["targets"] = one_hot(x["labels"], x["logits"])
    options = {"gamma": p["gamma"], "alpha": _alpha(p, 0.25), "epsilon": p["epsilon"], "reduce": reduction(p)}
    return call("poly1_focal", logits="logits", target="targets", **options)


@rule("classification", "squentropy")
def _squentropy(p: Params, x: Inputs) -> str:
    return call("squentropy", logits="logits", labels="labels")


@rule("classification", "mean_absolute_error")
def _mean_absolute_error(p: Params, x: Inputs) -> str:
    x["hot"] = one_hot(x["labels"], x["logits"])
    distance = call("l1", pred="softmax[...](logits)", target="hot")
    return f"{literal(p.get('scale', 1.0))}*sum[...]({distance})/2"


@rule("classification", "rescaled_square_loss")
def _rescaled_square(p: Params, x: Inputs) -> str:
    x["hot"] = one_hot(x["labels"], x["logits"])
    target = f"{literal(p.get('rescale_factor', 1.0))}*hot"
    return call("mse", pred="logits", target=target, weight=f"1 + {literal(p.get('weighted', 0))}*hot")


@rule("classification", "cross_entropy_mean_exp")
def _cross_entropy_mean_exp(p: Params, x: Inputs) -> str:
    return f"-log({x['logits'].shape[1]}) + {call('ce', logits='logits', labels='labels')}"


# ------------------------------------------------------------------------------------------ images: values
def _difference(name: str) -> Rule:
    return lambda p, x: call(name, pred="pred", target="target", reduce=reduction(p))


RULES.update({("image", name): _difference(name) for name in ("l1", "mse", "log_cosh")})


@rule("image", "huber")
def _huber(p: Params, x: Inputs) -> str:
    return call("huber", pred="pred", target="target", delta=p.get("delta", 1.0), reduce=reduction(p))


@rule("image", "smooth_l1")
def _smooth_l1(p: Params, x: Inputs) -> str:
    beta, how = p.get("beta", 1.0), reduction(p)
    if beta == 0:
        return call("l1", pred="pred", target="target", reduce=how)
    return f"{call('huber', pred='pred', target='target', delta=beta, reduce=how)}/{literal(beta)}"


@rule("image", "charbonnier")
def _charbonnier(p: Params, x: Inputs) -> str:
    if "weight" in x:
        raise NotCovered("a weight for each element")
    eps, weight, how = f"sqrt({literal(p.get('eps', 1e-12))})", p.get("loss_weight", 1.0), reduction(p)
    return times(weight, call("charbonnier", pred="pred", target="target", eps=eps, reduce=how))


@rule("image", "charbonnier_kornia")
def _charbonnier_kornia(p: Params, x: Inputs) -> str:
    return call("pseudo_huber", pred="pred", target="target", reduce=reduction(p))


@rule("image", "masked_l1")
def _masked_l1(p: Params, x: Inputs) -> str:
    x["hole"] = x.pop("mask").expand_as(x["pred"]).contiguous()
    weight = f"{literal(p['weight_missing'])}*hole + {literal(p['weight_known'])}*(1 - hole)"
    return objective("pred, target, hole: real[b, ...]", call("l1", pred="pred", target="target", weight=weight))


@rule("image", "scheduled_pseudo_huber")
def _scheduled_pseudo_huber(p: Params, x: Inputs) -> str:
    kind, c, steps, at = p["loss_type"], p["huber_c"], p.get("num_train_timesteps"), p.get("timestep")
    p.get("c_used")
    if not kind.startswith("huber"):
        raise NotCovered(f"loss_type {kind}")
    if kind.endswith("backwards"):
        at = steps - at
    given = {"pred": "pred", "target": "target", "c": c, "reduce": reduction(p)}
    if kind == "huber":
        return call("pseudo_huber", **given)
    return call("scheduled_pseudo_huber", **given, t=at, steps=steps)


def _boxes(name: str) -> Rule:
    """A loss of two boxes and eps, which all of them have."""

    def adapter(p: Params, x: Inputs) -> str:
        return call(name, pred="pred", target="target", eps=p["eps"], reduce=reduction(p))

    return adapter


for _name in ("giou", "diou", "ciou"):
    RULES["image", _name] = _boxes(_name)


@rule("image", "eiou")
def _eiou(p: Params, x: Inputs) -> str:
    return call("eiou", pred="pred", target="target", gamma=p["gamma"], eps=p["eps"], reduce=reduction(p))


@rule("image", "nwd")
def _nwd(p: Params, x: Inputs) -> str:
    if p["mode"] != "exp":
        raise NotCovered(f"mode {p['mode']}")
    return call("nwd", pred="pred", target="target", scale=p["constant"], eps=p["eps"], reduce=reduction(p))


@rule("image", "nwd_eflnet")
def _nwd_of_centres(p: Params, x: Inputs) -> str:
    assert p["box_format"] == "cxcywh" and p["reduction"] == "mean of 1-nwd"
    return objective(
        "pred, target: box[b, x] in cxcywh",
        call("nwd", pred="pred", target="target", scale=p["constant"], eps=p["eps"]),
    )


@rule("image", "iou")
def _iou(p: Params, x: Inputs) -> str:
    form = "linear" if p["linear"] else "log"
    return call("iou_loss", pred="pred", target="target", form=form, eps=p["eps"], reduce=reduction(p))


@rule("image", "total_variation")
def _total_variation(p: Params, x: Inputs) -> str:
    how = "mean" if "returns" in p else p.get("reduction", "mean")
    if "returns" in p and p["reduction"] != "sum":
        raise NotCovered("the mean over pixels")
    p.get("reduction")
    if how not in ("mean", "sum"):
        raise NotCovered(f"reduction {how}")
    order = p.get("norm_type", "l1" if "returns" in p else "l2")
    return call("tv", pred="x", order=order, reduce=None if how == "mean" else how)


@rule("image", "ssim")
def _ssim(p: Params, x: Inputs) -> str:
    forbid(p, downsample=False)
    if p.get("padding", "valid") == "same":
        raise NotCovered("reflection at the border")
    k1, k2 = p.get("K") or (p.get("k1", 0.01), p.get("k2", 0.03))
    how = reduction(p)
    win, sigma = (
        p.get("win_size") or p.get("kernel_size", 11),
        p.get("win_sigma") or p.get("kernel_sigma", 1.5),
    )
    value = call("ssim", pred="x", target="y", win=win, sigma=sigma, k1=k1, k2=k2)
    if p.get("nonnegative_ssim"):
        value = f"relu({value})"
    if how is not None:
        raise NotCovered(f"reduction {how}")
    body = f"1 - {value}" if p.get("returns", "similarity") != "similarity" else f"1 - (1 - {value})"
    return objective(f"x, y: image[b, c, h, w] in 0..{p.get('data_range', 1):g}", body)


@rule("image", "ms_ssim")
def _ms_ssim(p: Params, x: Inputs) -> str:
    forbid(p, weights=[0.0448, 0.2856, 0.3001, 0.2363, 0.1333], K=[0.01, 0.03], k1=0.01, k2=0.03)
    reduction(p)
    options = {
        "win": p.get("win_size", p.get("kernel_size", 11)),
        "sigma": p.get("win_sigma", p.get("kernel_sigma", 1.5)),
    }
    if p.get("returns", "similarity") != "similarity":
        raise NotCovered("an even side is padded too where the other is odd")
    value = call("ms_ssim", pred="x", target="y", **options)
    body = f"1 - (1 - {value})"
    return objective(f"x, y: image[b, c, h, w] in 0..{p.get('data_range', 1):g}", body)


# ------------------------------------------------------------------------------------------ images: features
@rule("image", "lpips")
def _lpips(p: Params, x: Inputs) -> str:
    forbid(p, version="0.1", spatial=False, backbone_seed={"alex": 1, "vgg": 2, "squeeze": 3}[p["net"]])
    heads = None if p.get("lpips", True) else 1
    net = f'{p["net"]}(weights="{weights_file(p["net"], heads is None)}")'
    reduction(p)
    body = call("lpips", pred="in0", target="in1", net=net, heads=heads)
    if not p.get("normalize"):
        return body
    return objective("in0, in1: image[b, c=3, h, w] in 0..1", body)


def _features(p: Params) -> dict[str, Any]:
    """Options of ``content`` and ``style``: which maps of VGG-16 count, and how much."""
    forbid(p, feature_extractor="vgg16", backbone_seed=2, distance="mse", replace_pooling=False)
    forbid(p, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
    reduction(p)
    taps = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
    wanted = dict(zip(p["layers"], p["weights"], strict=True))
    if not set(wanted) <= set(taps):
        raise NotCovered(f"layers {sorted(set(wanted) - set(taps))}")
    weights = [wanted.get(tap, 0) for tap in taps]
    net = f'vgg16(weights="{weights_file("vgg", False)}")'
    return {"net": net, "layers": weights, "normalise": True if p.get("normalize_features") else None}


@rule("image", "content")
def _content(p: Params, x: Inputs) -> str:
    return objective("x, y: image[b, c=3, h, w] in 0..1", call("content", pred="x", target="y", **_features(p)))


@rule("image", "style_gram")
def _style_gram(p: Params, x: Inputs) -> str:
    body = call("style", pred="x", target="y", gram="sum", **_features(p))
    return objective("x, y: image[b, c=3, h, w] in 0..1", body)


SEEDS = {"alex": 1, "vgg": 2, "squeeze": 3}
"""The corpus's stand-in backbones, by the seed of their weights."""


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="losslang-golden-")


@cache
def weights_file(net: str, heads: bool) -> str:
    """A state dict of stand-in weights, with LPIPS's heads where wanted; written once per process."""
    state = backbone(net)
    if heads:
        trained = corpus.third_party("image", "lpips_heads.npz")
        count = sum(key.startswith(f"v0.1/{net}/") for key in trained)
        for k in range(count):
            state[f"lin{k}.model.1.weight"] = torch.from_numpy(trained[f"v0.1/{net}/lin{k}"]).view(1, -1, 1, 1)
    path = Path(_folder().name) / f"{net}{'-heads' if heads else ''}.pth"
    torch.save(state, path)
    return path.as_posix()


def backbone(net: str) -> dict[str, Tensor]:
    """The corpus's weights under torchvision's names, in float64."""
    from losslang.runtime import nets

    uniform = corpus.module("image", "weights.py").hash_uniform
    state: dict[str, Tensor] = {}
    for number, (key, shape) in enumerate(nets.NETS[nets.ALIASES[net]].shapes.items()):
        bound = 0.1 if len(shape) == 1 else float(np.sqrt(6 / np.prod(shape[1:])))
        size = int(np.prod(shape))
        state[key] = ((2 * uniform(size, SEEDS[net] * 1000 + number) - 1) * bound).view(shape)
    return state


# ------------------------------------------------------------------------------------------ images: regions
def _activation(p: Params) -> str:
    """What makes probabilities of the logits."""
    if p.get("softmax"):
        return "softmax[c](logits)"
    return "sigmoid(logits)" if p.get("sigmoid") else "logits"


def _monai(p: Params) -> dict[str, Any]:
    """The options that MONAI's overlap losses share."""
    forbid(p, to_onehot_y=False)
    top, bottom = p.get("smooth_nr", 1e-5), p.get("smooth_dr", 1e-5)
    return {
        "over": "[b, ...]" if p.get("batch") else None,
        "background": None if p.get("include_background", True) else 0,
        "eps": bottom,
        "smooth": None if top == bottom else top,
        "reduce": reduction(p),
    }


def _smp(p: Params, x: Inputs, doubled: bool = False) -> tuple[str, dict[str, Any]]:
    """segmentation_models: sums over the batch, classes without any target cost nothing but count."""
    forbid(p, from_logits=True, log_loss=False, classes=None)
    mode, smooth, ignored = p["mode"], p.get("smooth", 0.0), p.get("ignore_index")
    p.get("eps")
    activation = "softmax[c](logits)" if mode == "multiclass" else "sigmoid(logits)"
    labels = x.pop("target")
    x["hot"] = (
        one_hot(labels, x["logits"]) if mode == "multiclass" else labels.view_as(x["logits"]).to(x["logits"].dtype)
    )
    header = "logits: logit[b, c, ...], hot: prob[b, c, ...]"
    options: dict[str, Any] = {"over": "[b, ...]", "eps": 2 * smooth if doubled else smooth}
    options["weight"] = "any[b, ...](hot > 0)"
    if ignored is not None:
        x["keep"] = labels != ignored
        if mode != "multiclass":
            raise NotCovered("ignored elements of a multi-label target")
        x["hot"] = x["hot"] * x["keep"].unsqueeze(1)
        header += ", keep: bool[b, ...]"
        options["mask"] = "keep"
    return header, {"prob": activation, "target": "hot", **options}


@rule("image", "dice")
def _dice(p: Params, x: Inputs) -> str:
    if "mode" in p:
        header, options = _smp(p, x)
        return objective(header, call("dice", **options))
    options = {"square": p.get("squared_pred") or None, "jaccard": p.get("jaccard") or None, **_monai(p)}
    return _regions("dice", _activation(p), options)


def _regions(name: str, activation: str, options: dict[str, Any]) -> str:
    header = "logits: logit[b, c, ...], target: prob[b, c, ...]"
    if activation == "logits":
        header = "logits, target: prob[b, c, ...]"
    return objective(header, call(name, prob=activation, target="target", **options))


@rule("generative", "dice_sed")
def _dice_sed(p: Params, x: Inputs) -> str:
    return _dice(p, x)


@rule("image", "jaccard")
def _jaccard(p: Params, x: Inputs) -> str:
    header, options = _smp(p, x, doubled=True)
    return objective(header, call("dice", jaccard=True, **options))


@rule("image", "tversky")
def _tversky(p: Params, x: Inputs) -> str:
    weights = {"alpha": p.get("alpha", 0.5), "beta": p.get("beta", 0.5)}
    if p.get("variant") != "kornia":
        return _regions("tversky", _activation(p), {**weights, **_monai(p)})
    forbid(p, ignore_index=-100)
    x["hot"] = one_hot(x.pop("labels"), x["logits"])
    options = {"over": "[b, c, ...]", "eps": p.get("eps", 1e-8), "smooth": 0, **weights}
    header = "logits: logit[b, c, ...], hot: prob[b, c, ...]"
    return objective(header, call("tversky", prob="softmax[c](logits)", target="hot", **options))


@rule("image", "generalized_dice")
def _generalized_dice(p: Params, x: Inputs) -> str:
    forbid(p, variant=None, to_onehot_y=False)
    power = {"square": None, "simple": 1, "uniform": 0}[p.get("w_type", "square")]
    return _regions("generalized_dice", _activation(p), {"power": power, **_monai(p)})


@rule("image", "lovasz_softmax")
def _lovasz_softmax(p: Params, x: Inputs) -> str:
    chosen, header = p["classes"], "prob: prob[b, c, ...], labels: label[b, ...] < c"
    if chosen != "present":
        count = x["prob"].shape[1]
        x["chosen"] = torch.tensor([chosen == "all" or k in chosen for k in range(count)])
        header += ", chosen: bool[c]"
    options = {"over": "[...]" if p["per_image"] else None, "ignore": p["ignore"]}
    classes = None if chosen == "present" else "chosen"
    return objective(header, call("lovasz_softmax", prob="prob", labels="labels", classes=classes, **options))


@rule("image", "focal_tversky")
def _focal_tversky(p: Params, x: Inputs) -> str:
    weights = {"alpha": p.get("alpha", 0.5), "beta": p.get("beta", 0.5)}
    gamma = p.get("gamma", 1.0)
    header, options = _smp(p, x)
    return objective(header, f"mean[c]({call('tversky', **options, **weights)})^{literal(gamma)}")


@rule("image", "sigmoid_focal")
def _sigmoid_focal(p: Params, x: Inputs) -> str:
    options = {"gamma": p.get("gamma", 2.0), "alpha": _alpha(p, 0.25), "reduce": reduction(p)}
    return call("sigmoid_focal", logits="logits", target="target", **options)


@rule("image", "focal_seg")
def _focal_seg(p: Params, x: Inputs) -> str:
    forbid(p, to_onehot_y=False, weight=None)
    gamma, how, background = p.get("gamma", 2.0), reduction(p), p.get("include_background", True)
    alpha = _alpha(p, -1)
    header = "logits: logit[b, c, ...], target: prob[b, c, ...]"
    mask = None if background else "c != 0"
    if not p.get("use_softmax"):
        options = {"gamma": gamma, "alpha": alpha, "mask": mask, "reduce": how}
        return objective(header, call("sigmoid_focal", logits="logits", target="target", **options))
    return _focal_softmax(x, gamma, alpha, background, how)


def _focal_softmax(x: Inputs, gamma: float, alpha: Any, background: bool, how: str | None) -> str:
    """MONAI's softmax form: the mean is over all classes; alpha weighs what is not background."""
    classes, count = x["logits"].shape[1], x["logits"][:, 0].numel()
    x["labels"] = x.pop("target").argmax(1)
    weights = None
    if alpha != "none" and background:
        weights = "class_weight"
        x[weights] = torch.tensor([1 - alpha] + [alpha] * (classes - 1), dtype=x["logits"].dtype)
    options = {"logits": "logits", "labels": "labels", "gamma": gamma, "class_weight": weights}
    if background:
        loss = call("focal", **options, reduce=how)
        return loss if how else f"{loss}/{classes}"
    header = "logits: logit[b, c, ...], labels: label[b, ...] < c"
    loss = call("focal", **options, mask="c != 0", reduce="sum")
    return objective(header, loss if how else f"{loss}/{(classes - 1) * count}")


@rule("image", "dice_ce")
def _dice_ce(p: Params, x: Inputs) -> str:
    forbid(p, lambda_dice=1.0, lambda_ce=1.0, include_background=True, weight=None)
    region = call("dice", prob=_activation(p), target="target", **_monai(p))
    other = "cross_entropy" if x["logits"].shape[1] > 1 else "bce"
    header = "logits: logit[b, c, ...], target: prob[b, c, ...]"
    return objective(header, f"{region} + {call(other, logits='logits', target='target')}")


@rule("image", "dice_focal")
def _dice_focal(p: Params, x: Inputs) -> str:
    forbid(p, lambda_dice=1.0, lambda_focal=1.0, include_background=True, weight=None, softmax=True)
    region = call("dice", prob="softmax[c](logits)", target="target", **_monai(p))
    options = {"gamma": p.get("gamma", 2.0), "alpha": "none"}
    rows = call("sigmoid_focal", logits="logits", target="target", **options)
    return objective("logits: logit[b, c, ...], target: prob[b, c, ...]", f"{region} + {rows}")
