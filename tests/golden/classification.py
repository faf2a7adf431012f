"""The classification domain: hinges, noisy labels, calibration, proper scores, margins, distillation."""

from __future__ import annotations

import torch

from tests.golden.adapters import (
    DIFFERS,
    FINITE_LIMITS,
    TIES,
    Inputs,
    Params,
    Rule,
    averaged,
    call,
    forbid,
    literal,
    objective,
    reduction,
    rule,
)

CLASSES = {"logits": "logits", "labels": "labels"}
HEADER = "logits: logit[b, c], labels: label[b] < c"
P = "softmax[c](logits)"


# ------------------------------------------------------------------------------------------ hinges
SIGNED = "(1 + targets)/2"
"""Targets of -1 and 1 as 0 and 1."""


@rule("classification", "hinge")
def _hinge(p: Params, x: Inputs) -> str:
    return call("hinge", score="scores", target="targets", reduce=reduction(p))


@rule("classification", "exponential")
def _exponential(p: Params, x: Inputs) -> str:
    return call("exponential", score="scores", target="targets", reduce=reduction(p))


@rule("classification", "hinge_embedding")
def _hinge_embedding(p: Params, x: Inputs) -> str:
    return call("hinge_embedding", distance="scores", target=SIGNED, margin=p["margin"], reduce=reduction(p))


@rule("classification", "multi_margin")
def _multi_margin(p: Params, x: Inputs) -> str:
    loss = call("weston_watkins", **CLASSES, margin=p["margin"], p=p["p"], reduce=reduction(p))
    return f"{loss}/{x['logits'].shape[1]}"


@rule("classification", "weston_watkins_hinge")
def _weston_watkins(p: Params, x: Inputs) -> str:
    return f"{call('weston_watkins', **CLASSES, margin=p['threshold'])}/{x['logits'].shape[1]}"


@rule("classification", "crammer_singer_hinge")
def _crammer_singer(p: Params, x: Inputs) -> str:
    return call("crammer_singer", **CLASSES, margin=p["threshold"])


@rule("classification", "ensloss")
def _ensloss(p: Params, x: Inputs) -> str:
    return call("ensloss", score="scores", target="targets", lam=p["lam"], noise="noise")


# ------------------------------------------------------------------------------------------ focal
@rule("classification", "dual_focal_loss")
def _dual_focal(p: Params, x: Inputs) -> str:
    return call("dual_focal", **CLASSES, gamma=p["gamma"], reduce=averaged(p))


@rule("classification", "focal_loss_adaptive")
def _focal_adaptive(p: Params, x: Inputs) -> str:
    forbid(p, gamma=3.0)
    return call("flsd53", **CLASSES, reduce=averaged(p))


@rule("classification", "quality_focal_loss")
def _quality_focal(p: Params, x: Inputs) -> str:
    alpha = p["alpha"]
    weight = f"{literal(alpha)}*targets + {literal(1 - alpha)}*(1 - targets)"
    return call("quality_focal", logits="logits", target="targets", gamma=p["gamma"], weight=weight)


@rule("classification", "asymmetric_loss", "asymmetric_loss_optimized")
def _asymmetric(p: Params, x: Inputs) -> str:
    forbid(p, eps=1e-8)
    options = {"gamma_neg": p["gamma_neg"], "gamma_pos": p["gamma_pos"], "margin": p["clip"]}
    detach = True if p["disable_torch_grad_focal_loss"] else None
    how = p.get("reduction", "sum")
    reduce = None if how.startswith("mean") else "sum"
    return call("asymmetric", logits="logits", target="targets", **options, detach=detach, reduce=reduce)


@rule("classification", "asl_single_label")
def _asymmetric_softmax(p: Params, x: Inputs) -> str:
    options = {"gamma_pos": p["gamma_pos"], "gamma_neg": p["gamma_neg"], "smoothing": p["eps"]}
    return call("asymmetric_softmax", **CLASSES, **options, reduce=reduction(p))


# ------------------------------------------------------------------------------------------ noisy labels
@rule("classification", "generalized_cross_entropy")
def _gce(p: Params, x: Inputs) -> str:
    return call("gce", **CLASSES, q=p["q"])


@rule("classification", "truncated_gce")
def _truncated_gce(p: Params, x: Inputs) -> str:
    return call("truncated_gce", **CLASSES, q=p["q"], k=p["k"])


RCE = call("rce", **CLASSES, a="log(0.0001)")


@rule("classification", "reverse_cross_entropy")
def _rce(p: Params, x: Inputs) -> str:
    return f"{literal(p['scale'])}*{RCE}"


@rule("classification", "normalized_reverse_cross_entropy")
def _nrce(p: Params, x: Inputs) -> str:
    """As coded: times (C - 1)/4, where the paper divides by (C - 1)*4."""
    return f"{literal(p['scale'])}*{RCE}*{(x['logits'].shape[1] - 1) / 4}"


@rule("classification", "normalized_mean_absolute_error")
def _nmae(p: Params, x: Inputs) -> str:
    return f"{literal(p['scale'])}*{call('comp_sum', **CLASSES, tau=2)}/{2 * (x['logits'].shape[1] - 1)}"


@rule("classification", "symmetric_cross_entropy")
def _sce(p: Params, x: Inputs) -> str:
    return call("sce", **CLASSES, alpha=p["alpha"], beta=p["beta"], a="log(0.0001)")


@rule("classification", "sce_ldr")
def _sce_ldr(p: Params, x: Inputs) -> str:
    b = p["balance"]
    return call("sce", **CLASSES, alpha=1 - b, beta=b, a=-p["A"])


MAE = call("comp_sum", **CLASSES, tau=2)


def _normalized(kind: str, p: Params) -> str:
    """One of the active losses that are divided by their sum over all labels."""
    match kind:
        case "nce":
            return call("normalized", **CLASSES)
        case "nfl":
            return call("normalized", L=call("focal", gamma=p["gamma"], detach=True), **CLASSES)
        case "ngce":
            return call("normalized", L=call("gce", q=p["q"]), **CLASSES)
        case _:
            return {"mae": MAE, "rce": RCE}[kind]


@rule("classification", "normalized_cross_entropy")
def _nce(p: Params, x: Inputs) -> str:
    return f"{literal(p['scale'])}*{_normalized('nce', p)}"


@rule("classification", "normalized_focal_loss")
def _nfl(p: Params, x: Inputs) -> str:
    return f"{literal(p['scale'])}*{_normalized('nfl', p)}"


@rule("classification", "normalized_generalized_cross_entropy")
def _ngce(p: Params, x: Inputs) -> str:
    return f"{literal(p['scale'])}*{_normalized('ngce', p)}"


def _two(active: str, passive: str) -> Rule:
    """An active and a passive loss."""

    def text(p: Params, x: Inputs) -> str:
        parts = (f"{literal(p[weight])}*{_normalized(kind, p)}" for weight, kind in zip(WEIGHTS, kinds, strict=True))
        return " + ".join(parts)

    kinds = (active, passive)
    return text


WEIGHTS = ("alpha", "beta")
for _pair in ("nce_rce", "nce_mae", "ngce_nce", "ngce_mae", "ngce_rce", "mae_rce", "nfl_nce", "nfl_mae", "nfl_rce"):
    rule("classification", _pair)(_two(*_pair.split("_")))


@rule("classification", "gce_mae")
def _gce_mae(p: Params, x: Inputs) -> str:
    p.note("alpha")  # the source does not read it
    return f"{call('gce', **CLASSES, q=p['q'])} + {literal(p['beta'])}*{MAE}"


@rule("classification", "gce_rce")
def _gce_rce(p: Params, x: Inputs) -> str:
    p.note("alpha")
    return f"{call('gce', **CLASSES, q=p['q'])} + {literal(p['beta'])}*{RCE}"


@rule("classification", "gce_nce")
def _gce_nce(p: Params, x: Inputs) -> str:
    p.note("alpha", "beta")
    return f"{call('gce', **CLASSES, q=p['q'])} + {_normalized('nce', p)}"


@rule("classification", "nce_agce")
def _nce_agce(p: Params, x: Inputs) -> str:
    loss = call("agce", **CLASSES, a=p["a"], q=p["q"])
    return f"{literal(p['alpha'])}*{_normalized('nce', p)} + {literal(p['beta'])}*{loss}"


@rule("classification", "nce_aul")
def _nce_aul(p: Params, x: Inputs) -> str:
    loss = call("aul", **CLASSES, a=p["a"], q=p["q"])
    return f"{literal(p['alpha'])}*{_normalized('nce', p)} + {literal(p['beta'])}*{loss}"


@rule("classification", "asymmetric_gce")
def _agce(p: Params, x: Inputs) -> str:
    return call("agce", **CLASSES, a=p["a"], q=p["q"])


@rule("classification", "asymmetric_unhinged")
def _aul(p: Params, x: Inputs) -> str:
    return call("aul", **CLASSES, a=p["a"], q=p["q"])


@rule("classification", "jensen_shannon_weighted")
def _gjs(p: Params, x: Inputs) -> str:
    return call("gjs", **CLASSES, w=float(p["weights"].split()[0]))


@rule("classification", "ldr_kl")
def _ldr_kl(p: Params, x: Inputs) -> str:
    """Of softplus scores over their mean, as the source normalises them."""
    scores = "softplus(logits)/mean[c](softplus(logits))"
    options = {"labels": "labels", "margin": p["threshold"], "lam": p["Lambda"]}
    return objective(HEADER, call("ldr_kl", logits=scores, **options))


@rule("classification", "comp_sum")
def _comp_sum(p: Params, x: Inputs) -> str:
    return call("comp_sum", **CLASSES, tau=p["tau"])


@rule("generative", "comp_sum")
def _comp_sum_too(p: Params, x: Inputs) -> str:
    return _comp_sum(p, x)


@rule("classification", "poly_n_cross_entropy")
def _poly(p: Params, x: Inputs) -> str:
    x["epsilons"] = torch.tensor(p["epsilons"], dtype=x["logits"].dtype)
    return call("poly", **CLASSES, epsilons="epsilons")


@rule("classification", "smooth_adversarial_comp_sum")
def _adversarial_comp_sum(p: Params, x: Inputs) -> str:
    options = {name: p[name] for name in ("tau", "rho", "nu")}
    return call("adversarial_comp_sum", **CLASSES, adv="adversarial_logits", **options)


@rule("generative", "smooth_adversarial_comp_sum")
def _adversarial_comp_sum_too(p: Params, x: Inputs) -> str:
    options = {name: p[name] for name in ("tau", "rho", "nu")}
    return call("adversarial_comp_sum", **CLASSES, adv="adv_logits", **options)


@rule("classification", "one_vs_rest")
def _one_vs_rest(p: Params, x: Inputs) -> str:
    return call("one_vs_rest", **CLASSES)


@rule("classification", "sovr")
def _sovr(p: Params, x: Inputs) -> str:
    return call("sovr", **CLASSES, share=p["M"] / 100, weight=p["lam"])


@rule("classification", "adaptive_threshold_focal_loss")
def _adaptive_threshold(p: Params, x: Inputs) -> str:
    return call("adaptive_threshold_focal", logits="logits", target="targets", reduce=reduction(p))


@rule("image", "adaptive_threshold_focal")
def _adaptive_threshold_too(p: Params, x: Inputs) -> str:
    p.note("gamma", "alpha")  # the source does not read them
    return call("adaptive_threshold_focal", logits="logits", target="target", reduce=reduction(p))


# ------------------------------------------------------------------------------------------ calibration
CE = call("ce", **CLASSES)


@rule("classification", "mmce")
def _mmce(p: Params, x: Inputs) -> str:
    return f"{CE} + {literal(p['lamda'])}*{call('mmce', **CLASSES)}"


@rule("classification", "entropy_penalty")
def _entropy_penalty(p: Params, x: Inputs) -> str:
    """The source's entropy is a mean over the classes too."""
    return call("confidence_penalty", **CLASSES, beta=p["alpha"] / x["logits"].shape[1])


@rule("classification", "l1_penalty")
def _l1_penalty(p: Params, x: Inputs) -> str:
    distance = call("l1", pred=P, target=1 / x["logits"].shape[1])
    return objective(HEADER, f"{CE} + {literal(p['alpha'])}*sum[c]({distance})")


@rule("classification", "margin_label_smoothing", "margin_label_smoothing_plus")
def _mbls(p: Params, x: Inputs) -> str:
    alpha = p["alpha"] / x["logits"].shape[1]
    return call("mbls", **CLASSES, margin=p["margin"], alpha=alpha)


@rule("classification", "acls")
def _acls(p: Params, x: Inputs) -> str:
    options = {"top": p["pos_lambda"], "others": p["neg_lambda"], "margin": p["margin"], "alpha": p["alpha"]}
    return call("acls", **CLASSES, **options)


@rule("classification", "cpc_calibration")
def _cpc(p: Params, x: Inputs) -> str:
    """The source also compares every class with itself, which costs log(2)/2 over C - 2."""
    weight = p["lambd_bec"]
    loss = call("cpc", **CLASSES, discrimination=p["lambd_bdc"], exclusion=weight)
    return f"{literal(weight)}*log(2)/{2 * (x['logits'].shape[1] - 2)} + {loss}"


@rule("classification", "correctness_aware")
def _correctness_aware(p: Params, x: Inputs) -> str:
    return call("correctness_aware", logits="logits", calibrated="calibrated_logits", labels="labels")


# ------------------------------------------------------------------------------------------ scores and alternatives
@rule("classification", "brier_score", "mse_softmax")
def _brier(p: Params, x: Inputs) -> str:
    return call("brier", **CLASSES)


@rule("classification", "spherical_score")
def _spherical(p: Params, x: Inputs) -> str:
    return call("spherical", **CLASSES)


@rule("classification", "pseudo_spherical_score")
def _pseudo_spherical(p: Params, x: Inputs) -> str:
    return call("pseudo_spherical", **CLASSES, beta=p["beta"])


@rule("classification", "tsallis_score")
def _tsallis(p: Params, x: Inputs) -> str:
    return call("tsallis", **CLASSES, beta=p["beta"])


@rule("classification", "z_loss")
def _z_loss(p: Params, x: Inputs) -> str:
    return call("z_loss", **CLASSES, a=p["a"], offset=p["b"])


@rule("classification", "log_spherical_softmax")
def _spherical_softmax(p: Params, x: Inputs) -> str:
    return objective(HEADER, call("spherical_softmax", logits="unit[c](logits)", labels="labels", eps=p["epsilon"]))


@rule("classification", "log_taylor_softmax")
def _taylor_softmax(p: Params, x: Inputs) -> str:
    return call("taylor_softmax", **CLASSES)


@rule("classification", "harmonic_loss")
def _harmonic(p: Params, x: Inputs) -> str:
    """The source's power is of squared distances."""
    return call("harmonic", z="features", centres="weight", labels="labels", n=2 * p["n"], eps=p["eps"])


@rule("classification", "logit_adjustment")
def _logit_adjustment(p: Params, x: Inputs) -> str:
    prior = "class_counts/sum[c](class_counts)"
    loss = call("logit_adjusted", **CLASSES, prior=prior, tau=p.get("tau", 1.0))
    return objective(f"{HEADER}, class_counts: real[c]", loss)


# ------------------------------------------------------------------------------------------ margins
def _faces(columns: bool) -> str:
    """Embeddings, and centres as rows or as columns."""
    return f"embeddings: embed[b, d], weight: embed[{'d, c' if columns else 'c, d'}], labels: label[b] < c"


FACES = {"z": "embeddings", "weight": "weight", "labels": "labels"}
CLAMPED = "clamp(cosine(embeddings, weight), -0.9999, 0.9999)"
HELD = "dot(unit(embeddings), weight + stop(unit[d](weight) - weight))"
"""Cosines with centres that are normalised in place: the gradient is that of the normalised ones."""
NEAR = f"{HELD} + stop(clamp({HELD}, -0.99999, 0.99999) - {HELD})"
"""The same, whose value stays off 1 and -1."""


@rule("classification", "arcface")
def _arcface(p: Params, x: Inputs) -> str:
    margins = {"s": p["s"], "m2": p["m"], "eps": 1e-4, "beyond": "clip"}
    return objective(_faces(True), call("margin_softmax", x=CLAMPED, labels="labels", **margins))


@rule("classification", "cosface")
def _cosface(p: Params, x: Inputs) -> str:
    margins = {"s": p["s"], "m2": 0, "m3": p["m"]}
    return objective(_faces(True), call("margin_softmax", x=CLAMPED, labels="labels", **margins))


@rule("classification", "combined_margin_softmax")
def _combined(p: Params, x: Inputs) -> str:
    """The value, but not the gradient, is that of a probability of at least 1e-30."""
    forbid(p, m1=1.0, sample_rate=1.0)
    cosines, threshold = "cosine(embeddings, weight)", p.get("interclass_filtering_threshold", 0)
    if threshold:
        cosines = f"0 if c != labels and {cosines} > {literal(threshold)} else {cosines}"
    margins = {"m2": p["m2"], "m3": p["m3"], "eps": 0, "detach": True}
    loss = call("margin_softmax", x=cosines, labels="labels", s=p["s"], **margins)
    return objective(_faces(False), f"{loss} - stop(relu({loss} + log(1e-30)))")


@rule("classification", "partial_fc")
def _partial_fc(p: Params, x: Inputs) -> str:
    """As in the one above, the value is that of a probability of at least 1e-30."""
    forbid(p, m1=1.0)
    options = {"s": p["s"], "m2": p["m2"], "m3": p["m3"], "rate": p["sample_rate"], "draw": "perm"}
    loss = call("partial_fc", **FACES, **options)
    return objective(f"{_faces(False)}, perm: real[c]", f"{loss} - stop(relu({loss} + log(1e-30)))")


@rule("classification", "arcface_detached")
def _arcface_detached(p: Params, x: Inputs) -> str:
    options = {"s": p["s"], "m2": p["m"], "eps": 1e-5, "beyond": "clip", "detach": True}
    return objective(_faces(False), call("margin_softmax", x=NEAR, labels="labels", **options))


@rule("classification", "cosface_detached")
def _cosface_detached(p: Params, x: Inputs) -> str:
    options = {"s": p["s"], "m2": 0, "m3": p["m"], "eps": 0, "detach": True}
    return objective(_faces(False), call("margin_softmax", x=HELD, labels="labels", **options))


@rule("classification", "sphereface")
def _sphereface(p: Params, x: Inputs) -> str:
    options = {"s": p["s"], "m1": p["m"], "m2": 0, "eps": 1e-5, "beyond": "fall", "detach": True}
    return objective(_faces(False), call("margin_softmax", x=NEAR, labels="labels", **options))


@rule("classification", "normface_coco")
def _normface(p: Params, x: Inputs) -> str:
    return objective(_faces(True), call("ce", logits=f"{literal(p['s'])}*{HELD}", labels="labels"))


@rule("classification", "magface")
def _magface(p: Params, x: Inputs) -> str:
    forbid(p, easy_margin=True)
    margins = {"low": p["l_margin"], "high": p["u_margin"], "least": p["l_a"], "most": p["u_a"]}
    options = {"s": p["scale"], **margins, "reward": p["lambda_g"], "eps": 1e-14}
    return objective(_faces(True), call("magface", **FACES, **options))


@rule("classification", "sphereface2")
def _sphereface2(p: Params, x: Inputs) -> str:
    forbid(p, lw=50.0)
    options = {"alpha": p["alpha"], "r": p["r"], "m": p["m"], "t": p["t"]}
    header = f"{_faces(False)}, bias: real[one=1]"
    loss = call("sphereface2", x=HELD, labels="labels", bias="bias[one=0]", **options)
    return objective(header, f"{literal(p['lw'] * x['weight'].shape[0])}*{loss}")


# ------------------------------------------------------------------------------------------ distillation
STUDENT = {"student": "student_logits", "teacher": "teacher_logits"}


@rule("classification", "kd_kl")
def _kd(p: Params, x: Inputs) -> str:
    return call("kd", **STUDENT, tau=p["temperature"])


@rule("classification", "dkd")
def _dkd(p: Params, x: Inputs) -> str:
    return call("dkd", **STUDENT, labels="labels", alpha=p["alpha"], beta=p["beta"], tau=p["temperature"])


@rule("classification", "binary_kl")
def _binary_kd(p: Params, x: Inputs) -> str:
    forbid(p, eps=1e-8)
    return call("binary_kd", **STUDENT, tau=p["temperature"])


@rule("classification", "binary_kl_norm")
def _binary_kd_norm(p: Params, x: Inputs) -> str:
    forbid(p, eps=1e-8)
    header = "student_logits, teacher_logits: logit[b, c]"
    gap = "student_logits - teacher_logits"
    return objective(header, call("binary_kd", student=gap, teacher=0, tau=p["temperature"]))


# ------------------------------------------------------------------------------------------ learned
@rule("classification", "legendretron")
def _legendretron(p: Params, x: Inputs) -> str:
    """The source's own convex networks: dense, positive between layers, with normalised activations."""
    depth, hidden = p["depth"], p["dim_hidden"]
    sizes = f"k={p['K']}, m={hidden}, o={hidden // 2}"
    header, lines, y = ["logits: logit[b, k], labels: int[b]"], [], "logits"
    for n in range(p["n_blocks"]):
        block, value = f"cpflows_{n}", f"x{n}"
        header += _network_types(block, depth)
        lines += [f"{value}[b, k] = {y}", *_network(n, f"{block}_icnn", value, depth)]
        slope = f"softplus({block}_w1[one=0])*f{n}[one=0] + softplus({block}_w0[one=0])*sum[k]({value}^2)/2"
        lines += [f"potential{n}[b] = {slope}", f"y{n} = grad[{value}](sum[b](potential{n}))"]
        y = f"y{n}"
    body = "\n    ".join([*lines, call("reference_ce", logits=y, labels="labels")])
    return f"objective golden[{sizes}]({', '.join(header)}):\n    {body}\n"


def _network_types(block: str, depth: int) -> list[str]:
    """The weights of a block as declarations: ``m`` hidden numbers, ``o`` of which are new in a layer."""
    shapes = {f"{block}_w0": "one=1", f"{block}_w1": "one=1"}
    net = f"{block}_icnn"
    shapes |= {f"{net}_Wzs_0_weight": "m, k", f"{net}_Wzs_0_bias": "m", f"{net}_Wzs_{depth}_weight": "one, m"}
    shapes[f"{net}_Wxs_{depth - 1}_weight"] = "one, k"
    for n in range(depth - 1):
        shapes |= {f"{net}_Wzs_{n + 1}_weight": "o, m", f"{net}_Wzs_{n + 1}_bias": "o"}
        shapes |= {f"{net}_{kind}_{n}_weight": "o, k" for kind in ("Wxs", "Wx2s")}
        shapes |= {f"{net}_{kind}_{n}_bias": "o" for kind in ("Wxs", "Wx2s")}
    for n in range(depth):
        width = "o" if n < depth - 1 else "one"
        shapes |= {f"{net}_actnorms_{n}_{kind}": f"two=1, {width}, three=1" for kind in ("b", "logs")}
    return [f"{name}: real[{axes}]" for name, axes in shapes.items()]


def _network(n: int, net: str, value: str, depth: int) -> list[str]:
    """The layers of a network; each is joined by as many numbers that come from its input."""

    def affine(name: str) -> str:
        return f"sum[k]({net}_{name}_weight*{value})"

    def positive(layer: int) -> str:
        return f"sum[m](softplus({net}_Wzs_{layer}_weight)*h{n}_{layer - 1})"

    def normalised(layer: int, inner: str) -> str:
        name = f"{net}_actnorms_{layer}"
        return f"({inner} + {name}_b[two=0, three=0])*(exp({name}_logs[two=0, three=0]) + 0.001)"

    lines = [f"h{n}_0[b, m] = softplus({affine('Wzs_0')} + {net}_Wzs_0_bias)"]
    for k in range(depth - 1):
        inner = f"({positive(k + 1)} + {net}_Wzs_{k + 1}_bias)/size(m) + {affine(f'Wxs_{k}')} + {net}_Wxs_{k}_bias"
        lines.append(f"u{n}_{k}[b, o] = softplus({normalised(k, inner)})")
        lines.append(f"v{n}_{k}[b, o] = softplus({affine(f'Wx2s_{k}')} + {net}_Wx2s_{k}_bias)")
        lines.append(
            f"h{n}_{k + 1}[b, m] = pick(u{n}_{k}, o=min(m, size(o) - 1)) if m < size(o) "
            f"else pick(v{n}_{k}, o=max(m - size(o), 0))"
        )
    inner = f"{positive(depth)}/size(m) + {affine(f'Wxs_{depth - 1}')}"
    return [*lines, f"f{n}[b, one] = {normalised(depth - 1, inner)}"]


# ------------------------------------------------------------------------------------------ aggregates
@rule("classification", "bag_level_square")
def _bag_square(p: Params, x: Inputs) -> str:
    return objective("pred: real[b, k], bag_targets: real[b]", call("mse", pred="mean[k](pred)", target="bag_targets"))


@rule("classification", "instance_level_square")
def _instance_square(p: Params, x: Inputs) -> str:
    return objective("pred: real[b, k], bag_targets: real[b]", call("mse", pred="pred - bag_targets", target=0))


@rule("classification", "interpolated_aggregate_square")
def _interpolated_square(p: Params, x: Inputs) -> str:
    bag = call("mse", pred="mean[k](pred)", target="bag_targets")
    within = call("mse", pred="pred", target="mean[k](pred)")
    return objective("pred: real[b, k], bag_targets: real[b]", f"{bag} + {literal(p['rho'])}*{within}")


@rule("classification", "bag_level_bce")
def _bag_bce(p: Params, x: Inputs) -> str:
    header = "pred: logit[b, k], bag_targets: prob[b]"
    return objective(header, "q = mean[k](sigmoid(pred))\n    bce(logits=log(q) - log(1 - q), target=bag_targets)")


@rule("classification", "instance_level_bce")
def _instance_bce(p: Params, x: Inputs) -> str:
    header = "pred: logit[b, k], bag_targets: prob[b]"
    return objective(header, call("bce", logits="pred", target="bag_targets + 0*pred"))


@rule("classification", "class_specific_embedding")
def _class_specific(p: Params, x: Inputs) -> str:
    forbid(p, class_counts=None)
    header = "distances, signs: real[b, c, l]"
    return objective(header, f"relu({literal(p['margin'])} + {call('hinge_g', fake='sum[l](distances*signs)')})")


@rule("classification", "class_specific_embedding_counts")
def _class_specific_counts(p: Params, x: Inputs) -> str:
    header = "distances, signs: real[b, c, l], class_counts: real[one=1, c]"
    lines = [
        f"rare[c] = (1/class_counts[one=0])^{literal(p['gamma'])}",
        "margin[c] = " + literal(p["margin"]) + "/class_counts[one=0]^0.25",
        call("hinge", score="sum[l](distances*signs)", target=1, margin="margin", weight="rare/sum[c](rare)"),
    ]
    return objective(header, "\n    ".join(lines))


@rule("classification", "hrr_subitizing")
def _subitizing(p: Params, x: Inputs) -> str:
    """The length of the whole batch of differences."""
    header = "pred: real[b, d], class_vectors: real[c, d], labels: label[b] < c"
    return objective(header, f"sum[b, d]({call('mse', pred='pred', target='class_vectors[labels]')})^0.5")


_FIRST = "equal logits: the source's maximum is the first of them"
TIES.update(
    {
        ("classification", "mmce/2"): _FIRST,
        ("classification", "acls/2"): _FIRST,
        ("classification", "crammer_singer_hinge/2"): _FIRST,
        ("classification", "correctness_aware/2"): _FIRST,
    }
)

_SEVEN = "logits of 40: the source takes no probability below 1e-7"
_EIGHT = "logits of 40: the source takes the logarithm of no less than 1e-8"
CLIPPED = (
    *("reverse_cross_entropy", "normalized_reverse_cross_entropy", "symmetric_cross_entropy", "nce_rce", "nfl_rce"),
    *("generalized_cross_entropy", "normalized_generalized_cross_entropy", "gce_mae", "gce_rce", "gce_nce", "mae_rce"),
    *("ngce_nce", "ngce_mae", "ngce_rce"),
)
DIFFERS.update(
    {
        **{("classification", f"{name}/2"): _SEVEN for name in CLIPPED},
        **{("classification", f"{name}/2"): _EIGHT for name in ("binary_kl", "binary_kl_norm")},
        **{("classification", f"{name}/2"): _EIGHT for name in ("asymmetric_loss", "asymmetric_loss_optimized")},
        ("classification", "asymmetric_loss_optimized/6"): _EIGHT,
    }
)

FINITE_LIMITS["classification", "adaptive_threshold_focal_loss"] = "the source raises a rounded-off 0 to a power"
FINITE_LIMITS.update(
    {
        (
            "classification",
            "z_loss",
        ): "a constant row: the source divides 0 by 0, losslang takes scores of 0",
        ("classification", "magface"): "a cosine of 1 or -1: the source multiplies infinity by 0",
        ("classification", "dkd"): "a probability of 0: the source's logarithm is infinite",
        (
            "classification",
            "correctness_aware",
        ): "a batch all right or all wrong weighs nothing: the source divides 0 by 0",
    }
)
