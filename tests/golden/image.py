"""The image domain: values, depth, landmarks, saliency."""

from __future__ import annotations

from tests.golden.adapters import (
    FINITE_LIMITS,
    SOURCE_ROUNDING,
    Inputs,
    NotCovered,
    Params,
    Rule,
    call,
    forbid,
    literal,
    objective,
    reduction,
    rule,
)

PAIR = {"pred": "pred", "target": "target"}


# ------------------------------------------------------------------------------------------ values
def _robust(name: str) -> Rule:
    return lambda p, x: call(name, **PAIR, reduce=reduction(p))


for _name in ("cauchy", "geman_mcclure", "welsch"):
    rule("image", _name)(_robust(_name))


@rule("image", "quantile")
def _quantile(p: Params, x: Inputs) -> str:
    return call("quantile", **PAIR, tau=p["tau"], reduce=reduction(p))


@rule("image", "poisson_nll")
def _poisson(p: Params, x: Inputs) -> str:
    """``full`` adds Stirling's approximation of log(target!) where the target is above 1."""
    if not p["log_input"]:
        raise NotCovered("rates in place of their logarithms")
    loss = call("poisson_nll", log_rate="pred", target="target", reduce=reduction(p))
    if not p["full"]:
        return loss
    stirling = "(target*log(target) - target + log(2*pi*target)/2 if target > 1 else 0)"
    return objective("pred, target: real[b, ...]", f"sum[b, ...]({stirling}) + {loss}")


@rule("image", "gaussian_nll")
def _gaussian(p: Params, x: Inputs) -> str:
    forbid(p, full=False, eps=1e-6)
    clamped = "log(var + stop(max(var, 1e-6) - var))"
    loss = call("gaussian_nll", **PAIR, log_var=clamped, reduce=reduction(p))
    return objective("pred, target, var: real[b, ...]", loss)


@rule("image", "hetero_gaussian_log_variance")
def _hetero(p: Params, x: Inputs) -> str:
    return _likelihood("gaussian_nll", "log_var", x)


@rule("image", "laplace_nll")
def _laplace(p: Params, x: Inputs) -> str:
    return _likelihood("laplace_nll", "log_scale", x, "log_b")


def _likelihood(loss: str, parameter: str, x: Inputs, name: str = "log_var") -> str:
    """One spread for each pixel, whatever the channel, or one for each value."""
    if x[name].shape == x["pred"].shape:
        return call(loss, **PAIR, **{parameter: name})
    header = f"pred, target: real[b, c, h, w], {name}: real[b, one=1, h, w]"
    return objective(header, call(loss, **PAIR, **{parameter: f"{name}[one=0]"}))


# ------------------------------------------------------------------------------------------ landmarks
KEYPOINTS = "pred, target: real[b, k, d]"


@rule("image", "wing")
def _wing(p: Params, x: Inputs) -> str:
    loss = call("wing", **PAIR, omega=p["omega"], epsilon=p["epsilon"])
    return objective(KEYPOINTS, f"sum[k, d]({loss})")


@rule("image", "soft_wing")
def _soft_wing(p: Params, x: Inputs) -> str:
    loss = call("soft_wing", **PAIR, omega1=p["omega1"], omega2=p["omega2"], epsilon=p["epsilon"])
    return objective(KEYPOINTS, f"sum[k, d]({loss})")


@rule("image", "adaptive_wing")
def _adaptive_wing(p: Params, x: Inputs) -> str:
    options = {name: p[name] for name in ("alpha", "omega", "epsilon", "theta")}
    return call("adaptive_wing", **PAIR, **options)


# ------------------------------------------------------------------------------------------ depth
@rule("image", "silog")
def _silog(p: Params, x: Inputs) -> str:
    options = {"focus": p["variance_focus"], "scale": p["scale"], "mask": "mask"}
    header = "depth_est, depth_gt: real[b, ...], mask: bool[b, ...]"
    return objective(header, call("silog", pred="depth_est", target="depth_gt", **options))


@rule("image", "inverse_depth_smoothness")
def _smoothness(p: Params, x: Inputs) -> str:
    return call("edge_smoothness", depth="idepth", image="image")


@rule("image", "sednet_kg", "sednet_uc")
def _sednet(p: Params, x: Inputs) -> str:
    """At each scale the likelihood of the pixels that are no outliers, and the histograms of all that are measured."""
    kind, limit = p["mask"], literal(p["inliers"])
    p.note("bin_scale")
    bins = p.get("n_bins")
    header = ["disp_gt: real[b, h, w], mask: bool[b, h, w]"]
    lines, parts = [], []
    x["mask"] = x["mask"] > 0
    for k, weight in enumerate(p["scale_weights"]):
        header.append(f"disp{k}, log_sigma{k}: real[b, h, w]")
        lines.append(f"e{k} = abs(disp{k} - disp_gt)")
        lines.append(f"m{k} = mean[b, h, w if mask](e{k})")
        close = f"abs(e{k} - m{k}) < {limit}*sample_std[b, h, w if mask](e{k})"
        lines.append(f"in{k} = mask and {close if kind == 'soft' else f'e{k} < {limit}'}")
        given = {"pred": f"disp{k}", "target": "disp_gt", "log_scale": f"log_sigma{k}", "mask": f"in{k}"}
        parts.append(f"{literal(weight)}*{call('laplace_nll', **given)}")
        if bins is not None:
            apart = call("soft_histogram_kl", x=f"e{k}", y=f"exp(log_sigma{k})", bins=bins, mask="mask")
            parts.append(f"{literal(weight)}*{apart}")
    return objective(", ".join(header), "\n    ".join([*lines, " + ".join(parts)]))


@rule("image", "soft_histogram_kl")
def _histogram(p: Params, x: Inputs) -> str:
    forbid(p, bin_scale="log")
    return call("soft_histogram_kl", x="err", y="sigma", bins=p["n_bins"])


# ------------------------------------------------------------------------------------------ games
@rule("image", "nonsaturating_gan")
def _nonsaturating(p: Params, x: Inputs) -> str:
    if p["role"] == "generator":
        p.note("mask_as_fake_target")  # the generator does not look at the mask
        return f"{literal(p['weight'])}*{call('vanilla_g', fake='discr_fake_pred')}"
    forbid(p, mask_as_fake_target=False, discriminator="same toy")
    header = "real_batch: image[b, c, h, w], discr_fake_pred: score[b, one=1, h, w], w: real[c, two=1, three=1]"
    lines = [
        "score[b, h, w] = sum[c](w[two=0, three=0]*real_batch^2) + mean[c](real_batch)",
        "slope = grad[real_batch](sum[b, h, w](score))",
        call("vanilla_d", real="score", fake="discr_fake_pred")
        + f" + {literal(p['gp_coef'])}*{call('mse', pred='slope', target=0, reduce='sum')}/{len(x['real_batch'])}",
    ]
    return objective(header, "\n    ".join(lines))


FINITE_LIMITS["image", "silog"] = "a perfect map: the square root has no slope at 0, losslang takes 0"
SOURCE_ROUNDING["image", "adaptive_threshold_focal/2"] = (
    30,
    "the source rounds 1 - sigmoid(x)",
)
SOURCE_ROUNDING["image", "nonsaturating_gan/2"] = (2, "torch's softplus is linear beyond 20")


# ------------------------------------------------------------------------------------------ saliency
MAPS = "logits: logit[b, ...], target: prob[b, ...], fixations: bool[b, ...]"
KLD = call("saliency_kld", logits="logits", target="target")
CC = call("saliency_cc", logits="logits", target="target")
NSS = call("saliency_nss", logits="logits", fixated="fixations")


@rule("image", "saliency_kld")
def _kld(p: Params, x: Inputs) -> str:
    p.note("reduction", "input")
    return KLD


@rule("image", "saliency_cc")
def _cc(p: Params, x: Inputs) -> str:
    p.note("reduction")
    return f"1 - (1 - {CC})"


@rule("image", "saliency_nss")
def _nss(p: Params, x: Inputs) -> str:
    p.note("reduction")
    x["fixations"] = x["fixations"] > 0
    return f"1 - (1 - {NSS})"


@rule("image", "saliency_combined")
def _saliency(p: Params, x: Inputs) -> str:
    x["fixations"] = x["fixations"] > 0
    a, b, c = p["weights"]
    return f"{literal(a)}*{KLD} + {literal(b)}*{CC} + {literal(c)}*{NSS}"


@rule("image", "saliency_euclidean")
def _euclidean(p: Params, x: Inputs) -> str:
    p.note("reduction")
    return call("mse", pred="pred", target="target")


# ------------------------------------------------------------------------------------------ further
@rule("image", "lipsim_hinge")
def _lipsim(p: Params, x: Inputs) -> str:
    return call("hinge", score="x", target="y", margin=p["margin"], reduce="sum")


@rule("image", "weighted_tv")
def _weighted_tv(p: Params, x: Inputs) -> str:
    how = reduction(p)
    parts = (call("l1", pred=f"diff[{axis}](pred)", target=0, reduce=how) for axis in "hw")
    return objective("pred: image[b, c, h, w]", f"{literal(p['loss_weight'])}*({' + '.join(parts)})")


@rule("image", "hpm_absolute")
def _hpm(p: Params, x: Inputs) -> str:
    spread = f"sqrt(sample_var[n](loss_target) + {literal(p['eps'])})"
    target = f"(loss_target - mean[n](loss_target))/{spread}"
    return objective("loss_pred, loss_target: real[b, n]", call("mse", pred="loss_pred", target=target))
