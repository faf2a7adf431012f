"""The classification domain: hinges, noisy labels, calibration, proper scores, margins, distillation."""

from __future__ import annotations

from typing import Any

from tests.golden.adapters import (
    DIFFERS,
    FINITE_LIMITS,
    TIES,
    Inputs,
    Params,
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


def _gce_and(other: str) -> Any:
    """GCE, whose weight the source ignores, and beta times another loss."""

    def text(p: Params, x: Inputs) -> str:
        p.get("alpha")
        return f"{call('gce', **CLASSES, q=p['q'])} + {literal(p['beta'])}*{other}"

    return text


rule("classification", "gce_mae")(_gce_and(call("comp_sum", **CLASSES, tau=2)))
rule("classification", "gce_rce")(_gce_and(RCE))


@rule("classification", "mae_rce")
def _mae_rce(p: Params, x: Inputs) -> str:
    return f"{literal(p['alpha'])}*{call('comp_sum', **CLASSES, tau=2)} + {literal(p['beta'])}*{RCE}"


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


@rule("classification", "arcface")
def _arcface(p: Params, x: Inputs) -> str:
    margins = {"s": p["s"], "m2": p["m"], "eps": 1e-4, "clip": True}
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


@rule("classification", "arcface_detached")
def _arcface_detached(p: Params, x: Inputs) -> str:
    options = {"s": p["s"], "m2": p["m"], "eps": 1e-5, "clip": True, "detach": True}
    cosines = f"{HELD} + stop(clamp({HELD}, -0.99999, 0.99999) - {HELD})"
    return objective(_faces(False), call("margin_softmax", x=cosines, labels="labels", **options))


@rule("classification", "cosface_detached")
def _cosface_detached(p: Params, x: Inputs) -> str:
    options = {"s": p["s"], "m2": 0, "m3": p["m"], "eps": 0, "detach": True}
    return objective(_faces(False), call("margin_softmax", x=HELD, labels="labels", **options))


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
DIFFERS.update(
    {
        **{("classification", f"{name}/2"): _SEVEN for name in ("reverse_cross_entropy", "symmetric_cross_entropy")},
        **{("classification", f"{name}/2"): _SEVEN for name in ("generalized_cross_entropy", "gce_mae", "gce_rce")},
        **{("classification", f"{name}/2"): _SEVEN for name in ("normalized_reverse_cross_entropy", "mae_rce")},
        **{("classification", f"{name}/2"): _EIGHT for name in ("binary_kl", "binary_kl_norm")},
        **{("classification", f"{name}/2"): _EIGHT for name in ("asymmetric_loss", "asymmetric_loss_optimized")},
        ("classification", "asymmetric_loss_optimized/6"): _EIGHT,
    }
)

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
