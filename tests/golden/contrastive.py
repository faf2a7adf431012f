"""The contrastive domain: two views, negatives and their absence, metrics, proxies."""

from __future__ import annotations

from typing import Any

from tests.golden.adapters import Inputs, NotCovered, Params, call, forbid, literal, objective, rule


# ------------------------------------------------------------------------------------------ images and texts
@rule("contrastive", "clip", "inf_cl")
def _clip(p: Params, x: Inputs) -> str:
    p.note("logit_bias")
    bias = "logit_bias" if "logit_bias" in x else None
    return call("clip", z1="image_features", z2="text_features", scale="logit_scale", bias=bias)


@rule("contrastive", "siglip")
def _siglip(p: Params, x: Inputs) -> str:
    p.note("logit_bias_init", "logit_scale_init")
    same = False if p.get("negative_only") else None
    bias = "logit_bias" if "logit_bias" in x else 0
    return call("siglip", z1="image_features", z2="text_features", scale="logit_scale", bias=bias, same=same)


@rule("contrastive", "clip_distill")
def _clip_distill(p: Params, x: Inputs) -> str:
    header = (
        "image_features, text_features, dist_image_features, dist_text_features: unit[i, d], "
        "logit_scale, dist_logit_scale: real"
    )
    lines = [
        "student[i, j] = logit_scale*dot(image_features[i], text_features[j])",
        "teacher[i, j] = dist_logit_scale*dot(dist_image_features[i], dist_text_features[j])",
        "soft[i, j] = softmax[j](teacher)",
        "back[i, j] = softmax[j](teacher[j, i])",
        "across[i, j] = student[j, i]",
    ]
    both = [call("cross_entropy", logits=a, target=b) for a, b in (("student", "soft"), ("across", "back"))]
    return objective(header, "\n    ".join([*lines, f"0.5*{both[0]} + 0.5*{both[1]}"]))


def _between(a: str, b: str, size: str = "embed") -> str:
    """The header of two batches of embeddings."""
    return f"{a}, {b}: {size}[i, d]"


@rule("contrastive", "cyclip")
def _cyclip(p: Params, x: Inputs) -> str:
    images, texts = "image_features", "text_features"
    lines = [
        f"across[i, j] = dot({images}[i], {texts}[j])",
        "back[i, j] = across[j, i]",
        f"images[i, j] = dot({images}[i], {images}[j])",
        f"texts[i, j] = dot({texts}[i], {texts}[j])",
    ]
    terms = [
        call("clip", z1=images, z2=texts, scale=1 / p["temperature"]),
        f"{p['cylambda_1']}*size(i)*{call('mse', pred='images', target='texts')}",
        f"{p['cylambda_2']}*size(i)*{call('mse', pred='across', target='back')}",
    ]
    return objective(_between(images, texts, "unit"), "\n    ".join([*lines, " + ".join(terms)]))


@rule("contrastive", "cwcl")
def _cwcl(p: Params, x: Inputs) -> str:
    lines = [
        f"s[i, j] = dot(p[i], q[j])/{literal(p['tau'])}",
        "w[i, j] = stop(dot(p[i], p[j]))/2 + 0.5",
        "target[i, j] = w/sum[j](w)",
    ]
    soft = call("cross_entropy", logits="s", target="target")
    back = call("infonce", z1="q", z2="p", tau=p["tau"], similarity="dot")
    return objective(_between("p", "q"), "\n    ".join([*lines, f"{soft} + {back}"]))


@rule("contrastive", "soft_infonce")
def _soft_infonce(p: Params, x: Inputs) -> str:
    lines = [
        f"s[i, j] = dot(audio[i], video[j])/{literal(p['tau'])}",
        "target[i, j] = affinity/sum[j](affinity)",
        call("cross_entropy", logits="s", target="target"),
    ]
    return objective(f"{_between('audio', 'video')}, affinity: real[i, j]", "\n    ".join(lines))


@rule("contrastive", "hyperbolic_alignment")
def _hyperbolic_alignment(p: Params, x: Inputs) -> str:
    """The map to the tangent space keeps directions, so that the curvature says nothing."""
    p.note("c")
    first, second = _alike("video", "audio"), _alike("video_neg", "audio_neg")
    return objective(
        "video, audio, video_neg, audio_neg: embed[i, d]", f"{p['weight']}*{first} + {p['weight']}*{second}"
    )


def _alike(a: str, b: str) -> str:
    """How far the similarities within one batch are from those within another."""
    return call("mse", pred=f"cosine({a}[i], {a}[j])", target=f"cosine({b}[i], {b}[j])")


@rule("contrastive", "tecoa")
def _tecoa(p: Params, x: Inputs) -> str:
    header = "image_embed: embed[i, d], text_embed: embed[k, d], target: label[i] < k, logit_scale: real"
    return objective(header, call("ce", logits="logit_scale*cosine(image_embed, text_embed)", labels="target"))


@rule("contrastive", "clip_uniform", "clip_align_uniform", "clip_align_uniform_xuniform")
def _clip_align_uniform(p: Params, x: Inputs) -> str:
    images, texts = "unit(image_embeds)", "unit(text_embeds)"
    parts = [call("clip", z1=images, z2=texts, scale="exp(logit_scale)")]
    if p["uniformity_loss"]:
        parts.append(f"({call('uniform', z=images)} + {call('uniform', z=texts)})/2")
    if p["alignment_loss"]:
        parts.append(call("align", z1=images, z2=texts))
    if not p["cross_uniformity_loss"]:
        return " + ".join(parts)
    header = "image_embeds, text_embeds: embed[i, d], logit_scale: real"
    apart = "apart[i, j if i != j] = sqdist(unit(image_embeds[i]), unit(text_embeds[j]))"
    return objective(header, f"{apart}\n    {' + '.join(parts)} + (log(mean[i, j](exp(-2*apart))) + 0*{parts[0]})")


@rule("contrastive", "focal_itc")
def _focal_itc(p: Params, x: Inputs) -> str:
    return call("focal_itc", sim="sim", i2t="targets_i2t", t2i="targets_t2i", gamma=p["gamma"])


@rule("contrastive", "counting_contrastive")
def _counting(p: Params, x: Inputs) -> str:
    header = "image, text, text_counterfactual: real[i, d]"
    return objective(header, call("bce", logits="dot(image, text) - dot(image, text_counterfactual)", target=1))


# ------------------------------------------------------------------------------------------ many positives
@rule("contrastive", "supcon")
def _supcon(p: Params, x: Inputs) -> str:
    p.note("mask")
    if "mask" in x:
        x["positive"] = x.pop("mask") > 0
    return call(
        "supcon",
        z="features",
        tau=p.get("temperature", 0.07),
        base=p.get("base_temperature", 0.07),
        labels="labels" if "labels" in x else None,
        same="positive" if "positive" in x else None,
        anchors="first" if p.get("contrast_mode") == "one" else None,
    )


@rule("contrastive", "supcon_pml")
def _supcon_pml(p: Params, x: Inputs) -> str:
    return call("supcon_flat", z="embeddings", labels="labels", tau=p.get("temperature", 0.1))


# ------------------------------------------------------------------------------------------ two views
@rule("contrastive", "nt_xent")
def _nt_xent(p: Params, x: Inputs) -> str:
    similarity = None if p.get("norm", True) else "dot"
    return call("nt_xent", z1="z1", z2="z2", tau=p.get("tau", 0.5), similarity=similarity)


@rule("contrastive", "nt_xent_lightly")
def _nt_xent_lightly(p: Params, x: Inputs) -> str:
    forbid(p, memory_bank_size=0)
    return call("nt_xent", z1="z1", z2="z2", tau=p.get("temperature", 0.5))


@rule("contrastive", "nnclr")
def _nnclr(p: Params, x: Inputs) -> str:
    return call("infonce", z1="nn", z2="p", tau=p.get("temperature", 0.1))


@rule("contrastive", "info_nce")
def _info_nce(p: Params, x: Inputs) -> str:
    mode, given = p.get("negative_mode", "unpaired"), {"tau": p.get("temperature", 0.1)}
    if "negative_keys" not in x:
        return call("infonce", z1="query", z2="positive_key", **given)
    if mode == "unpaired":
        return call("infonce", z1="query", z2="positive_key", negatives="negative_keys", **given)
    header = "query, positive_key: embed[i, d], negative_keys: embed[i, m, d]"
    return objective(header, call("infonce", z1="query", z2="positive_key", negatives="negative_keys[i]", **given))


@rule("contrastive", "moco_keygrad")
def _moco_keygrad(p: Params, x: Inputs) -> str:
    header = "query, key: embed[i, d], queue: embed[d, n]"
    found = call("infonce", z1="query", z2="key", negatives="old", tau=p["temperature"], similarity="dot")
    return objective(header, f"old[n, d] = queue\n    {found}")


@rule("contrastive", "nt_xent_memory_bank")
def _nt_xent_memory_bank(p: Params, x: Inputs) -> str:
    raise NotCovered("the case keeps the bank as it is after the call, not the one that the value is of")


@rule("contrastive", "dcl")
def _dcl(p: Params, x: Inputs) -> str:
    return call("dcl", z1="z1", z2="z2", tau=p["temperature"], anchors="first")


@rule("contrastive", "dclw")
def _dclw(p: Params, x: Inputs) -> str:
    return call("dclw", z1="z1", z2="z2", tau=p["temperature"], sigma=p["sigma"], anchors="first")


@rule("contrastive", "dcl_lightly")
def _dcl_lightly(p: Params, x: Inputs) -> str:
    forbid(p, sigma=None)
    return call("dcl", z1="unit(z1)", z2="unit(z2)", tau=p["temperature"])


@rule("contrastive", "dclw_lightly")
def _dclw_lightly(p: Params, x: Inputs) -> str:
    given = {"tau": p["temperature"], "sigma": p["sigma"], "detach": True}
    return call("dclw", z1="unit(z1)", z2="unit(z2)", **given)


@rule("contrastive", "macl")
def _macl(p: Params, x: Inputs) -> str:
    return call("macl", z1="z1", z2="z2", tau=p["temperature"], alpha=p["alpha"], base=p["A_0"])


@rule("contrastive", "macl_a", "macl_b")
def _macl_authors(p: Params, x: Inputs) -> str:
    law = {"alpha": p["alpha"], "growth": "power"} if "alpha" in p else {"alpha": p["beta"]}
    contrast = "infonce(similarity=dot)"
    return call("macl", z1="fx", z2="gx", tau=p["tau_init"], contrast=contrast, eps=0, **law)


@rule("contrastive", "kernel_infonce")
def _kernel_infonce(p: Params, x: Inputs) -> str:
    forbid(p, loss_type="origin")
    return _kernel(p["gamma"], p["temperature"])


def _kernel(gamma: float, tau: float) -> str:
    return call("kernel_infonce", z1="out_1", z2="out_2", gamma=gamma, tau=tau, eps=1e-6)


@rule("contrastive", "kernel_infonce_sum")
def _kernel_infonce_sum(p: Params, x: Inputs) -> str:
    forbid(p, loss_type="sum")
    share, tau = p["gamma_lambd"], p["temperature"]
    return f"{literal(share)}*{_kernel(p['gamma'], tau)} + {literal(1 - share)}*{_kernel(2, tau)}"


@rule("contrastive", "hard_negative_reweight")
def _hard_negatives(p: Params, x: Inputs) -> str:
    beta, plus = p["beta"], p["tau_plus"]
    if p["estimator"] == "easy":
        beta, plus = 0, 0
    return call("hard_negatives", z1="out_1", z2="out_2", tau=p["temperature"], beta=beta, tau_plus=plus)


@rule("contrastive", "debiased_contrastive")
def _debiased(p: Params, x: Inputs) -> str:
    plus = p["tau_plus"]
    return call("debiased", z1="out_1", z2="out_2", tau=p["temperature"], tau_plus=plus if p["debiased"] else 0)


@rule("contrastive", "patchnce")
def _patchnce(p: Params, x: Inputs) -> str:
    images = p["batch_size"]
    patches = x["feat_q"].shape[0] // images
    lines = [f"{new}[b < {images}, p < {patches}] = {_grouped(old, patches)}" for new, old in _PATCHES]
    among = "batch" if p["nce_includes_all_negatives_from_minibatch"] else None
    lines.append(call("patchnce", q="q", k="k", tau=p["nce_T"], negatives=among))
    return objective("feat_q, feat_k: unit[n, d]", "\n    ".join(lines))


_PATCHES = (("q", "feat_q"), ("k", "feat_k"))


def _grouped(name: str, size: int) -> str:
    """Rows that lie behind one another, by group and place within it."""
    return f"pick({name}, n={size}*b + p)"


@rule("contrastive", "cosine_contrastive")
def _cosine_contrastive(p: Params, x: Inputs) -> str:
    """Without a weight, the source adds the negatives up."""
    weight = p["negative_weight"] or x["y_pred"].shape[1] - 1
    return call("cosine_contrastive", scores="y_pred", margin=p["margin"], weight=weight)


# ------------------------------------------------------------------------------------------ the sphere
@rule("contrastive", "align")
def _align(p: Params, x: Inputs) -> str:
    return call("align", z1="x", z2="y", alpha=p.get("alpha", 2))


@rule("contrastive", "uniform")
def _uniform(p: Params, x: Inputs) -> str:
    return call("uniform", z="x", t=p.get("t", 2))


def _align_uniform_of(a: str, b: str, alpha: Any, t: Any, weights: tuple[Any, Any]) -> str:
    spread = f"({call('uniform', z=a, t=t)} + {call('uniform', z=b, t=t)})"
    return f"{literal(weights[0])}*{call('align', z1=a, z2=b, alpha=alpha)} + {literal(weights[1])}*{spread}/2"


@rule("contrastive", "align_uniform")
def _align_uniform(p: Params, x: Inputs) -> str:
    weights = p.get("align_w", 1), p.get("unif_w", 1)
    return _align_uniform_of("x", "y", p.get("align_alpha", 2), p.get("unif_t", 2), weights)


@rule("contrastive", "hypersphere")
def _hypersphere(p: Params, x: Inputs) -> str:
    return _align_uniform_of("unit(z1)", "unit(z2)", p["alpha"], p["t"], (1, p.get("lam", 1)))


# ------------------------------------------------------------------------------------------ no negatives
@rule("contrastive", "norm_mse")
def _norm_mse(p: Params, x: Inputs) -> str:
    return call("align", z1="unit(p)", z2="unit(z)", alpha=2)


@rule("contrastive", "simsiam_neg_cosine")
def _neg_cosine(p: Params, x: Inputs) -> str:
    p.note("dim", "eps")
    return "-" + call("cosine", a="p", b="z")


@rule("contrastive", "simsiam", "byol")
def _predicted(p: Params, x: Inputs) -> str:
    p.note("simplified")
    return call("byol" if p.loss == "byol" else "simsiam", p="p", z="z")


@rule("contrastive", "barlow_twins")
def _barlow_twins(p: Params, x: Inputs) -> str:
    return call("barlow_twins", z1="z1", z2="z2", lam=p["lambda_param"])


@rule("contrastive", "vicreg")
def _vicreg(p: Params, x: Inputs) -> str:
    weights = {"invariance": p["lambda_param"], "variance": p["mu_param"], "covariance": p["nu_param"]}
    return call("vicreg", z1="z1", z2="z2", **weights, eps=p["eps"])


@rule("contrastive", "w_mse")
def _w_mse(p: Params, x: Inputs) -> str:
    forbid(p, w_iter=1, w_size="batch")
    return call("w_mse", z1="z1", z2="z2", eps=p["w_eps"], normalise=p["norm"])


@rule("contrastive", "coding_rate")
def _coding_rate(p: Params, x: Inputs) -> str:
    p.note("gam1", "gam2", "num_classes")
    return "0 + " + call("coding_rate", z="X", eps=p["eps"] ** 0.5, tiny=0)


@rule("contrastive", "coding_rate_tokens")
def _coding_rate_tokens(p: Params, x: Inputs) -> str:
    rate = call("coding_rate", z="unit(X)", eps=p["eps"] ** 0.5, tiny=0)
    return objective("X: embed[b, h, i, d]", f"0 + mean[b](sum[h]({rate}))")


@rule("contrastive", "mcr2", "coding_rate_compress")
def _mcr2(p: Params, x: Inputs) -> str:
    p.note("gam1", "num_classes")
    whole = p["gam2"]
    gamma = whole if p.loss == "mcr2" else 0
    return call("mcr2", z="X", labels="labels", c=p["num_classes"], eps=p["eps"] ** 0.5, gamma=gamma)


@rule("contrastive", "koleo")
def _koleo(p: Params, x: Inputs) -> str:
    if p["p"] != 2:
        raise NotCovered("another norm")
    return call("koleo", z="x", eps=p["eps"])


@rule("contrastive", "obow_bow_loss")
def _obow(p: Params, x: Inputs) -> str:
    if p["levels"] != 1:
        raise NotCovered("several levels of words in one case")
    count = len(x["bow_target"])
    crops = len(x["bow_prediction"]) // count
    line = f"views[b, p < {crops}] = {_grouped('bow_prediction', crops)}"
    header = "bow_prediction: logit[n, c], bow_target: prob[b, c]"
    return objective(header, f"{line}\n    {call('obow', logits='views', target='bow_target')}")


@rule("contrastive", "max_entropy_m_spacing")
def _max_entropy(p: Params, x: Inputs) -> str:
    _in_a_cube(p)
    return "-" + call("max_entropy", z="x", covariance=0, eps=p["eps"])


@rule("contrastive", "max_entropy_covariance")
def _max_entropy_covariance(p: Params, x: Inputs) -> str:
    _in_a_cube(p)
    return call("decorrelation", z="sigmoid(x)")


def _in_a_cube(p: Params) -> None:
    if p["type"] != "hypercube":
        raise NotCovered("squashed by the normal distribution")


# ------------------------------------------------------------------------------------------ metrics
@rule("contrastive", "triplet_margin")
def _triplet(p: Params, x: Inputs) -> str:
    forbid(p, triplets_per_anchor="all")
    return call(
        "triplet",
        z="embeddings",
        labels="labels",
        margin=p.get("margin", 0.05),
        swap=True if p.get("swap") else None,
        hinge="softplus" if p.get("smooth_loss") else None,
    )


def _metric(name: str, **options: Any) -> str:
    return call(name, z="embeddings", labels="labels", **options)


@rule("contrastive", "contrastive_pair")
def _contrastive_pair(p: Params, x: Inputs) -> str:
    return _metric("contrastive_pair", margin=p.get("neg_margin", 1), slack=p.get("pos_margin", 0), power=1)


@rule("contrastive", "n_pairs")
def _n_pairs(p: Params, x: Inputs) -> str:
    return _metric("n_pairs", similarity="cosine")


@rule("contrastive", "lifted_structure")
def _lifted_structure(p: Params, x: Inputs) -> str:
    return _metric("lifted_structure", margin=p.get("neg_margin", 1) - p.get("pos_margin", 0))


@rule("contrastive", "angular")
def _angular(p: Params, x: Inputs) -> str:
    return _metric("angular", alpha=p.get("alpha", 40), raw_negatives=True)


@rule("contrastive", "multi_similarity")
def _multi_similarity(p: Params, x: Inputs) -> str:
    return _metric("multi_similarity", alpha=p.get("alpha", 2), beta=p.get("beta", 50), base=p.get("base", 0.5))


@rule("contrastive", "circle")
def _circle(p: Params, x: Inputs) -> str:
    return _metric("circle", m=p.get("m", 0.4), gamma=p.get("gamma", 80))


@rule("contrastive", "icnn_score")
def _icnn(p: Params, x: Inputs) -> str:
    forbid(p, q=2, r=2)
    if p["p"] != 2:
        raise NotCovered("another norm")
    return call("icnn", z="X", labels="y", k=p["k"])


@rule("contrastive", "poincare_distance")
def _poincare(p: Params, x: Inputs) -> str:
    forbid(p, reduction="mean")
    return objective("x, y: real[i, d]", call("l1", pred=call("poincare", a="x", b="y", c=p["c"]), target=0))


# ------------------------------------------------------------------------------------------ proxies
def _sizes(p: Params) -> None:
    p.note("num_classes", "embedding_size")


@rule("contrastive", "proxy_nca")
def _proxy_nca(p: Params, x: Inputs) -> str:
    _sizes(p)
    return _metric("proxy_nca", proxies="proxies", scale=p.get("softmax_scale", 1), among="all")


@rule("contrastive", "proxy_anchor")
def _proxy_anchor(p: Params, x: Inputs) -> str:
    _sizes(p)
    return _metric("proxy_anchor", proxies="proxies", margin=p.get("margin", 0.1), alpha=p.get("alpha", 32))


@rule("contrastive", "soft_triple")
def _soft_triple(p: Params, x: Inputs) -> str:
    classes = p["num_classes"]
    p.note("embedding_size")
    count = x["fc"].shape[1] // classes
    if p.get("centers_per_class", 10) != count:
        raise NotCovered("centres that are not all there")
    options = {"scale": p.get("la", 20), "gamma": p.get("gamma", 0.1), "margin": p.get("margin", 0.01)}
    line = f"centers[c < {classes}, k < {count}] = pick(fc, m={count}*c + k)"
    header = "embeddings: embed[i, d], labels: int[i], fc: real[d, m]"
    return objective(header, f"{line}\n    {_metric('soft_triple', centers='centers', **options)}")


@rule("contrastive", "normalized_softmax")
def _normalized_softmax(p: Params, x: Inputs) -> str:
    _sizes(p)
    header = "embeddings: embed[i, d], labels: label[i] < c, W: embed[d, c]"
    logits = f"cosine(embeddings, proxies)/{literal(p.get('temperature', 0.05))}"
    return objective(header, f"proxies[c, d] = W\n    {call('ce', logits=logits, labels='labels')}")


@rule("contrastive", "mean_field_contrastive")
def _mean_field_contrastive(p: Params, x: Inputs) -> str:
    margins = {"pos_margin": p["pos_margin"], "neg_margin": p["neg_margin"]}
    loss = _metric("mean_field_contrastive", fields="fields", **margins, reg=p["mf_reg"], power=p["mf_power"])
    return objective("embeddings: embed[i, d], labels: label[i] < c, W: embed[d, c]", f"fields[c, d] = W\n    {loss}")


# ------------------------------------------------------------------------------------------ prototypes
def _prototypes(p: Params, x: Inputs) -> dict[str, Any]:
    """Arguments of the prototype losses: the class that each prototype is of."""
    p.note("coefs", "use_l1_mask")
    x["owner"] = x.pop("prototype_class_identity").argmax(1)
    return {"dist": "min_distances", "labels": "label", "owner": "owner", "cap": p["max_dist"]}


@rule("contrastive", "protopnet_cluster")
def _protopnet_cluster(p: Params, x: Inputs) -> str:
    return call("protopnet_cluster", **_prototypes(p, x))


@rule("contrastive", "protopnet_separation")
def _protopnet_separation(p: Params, x: Inputs) -> str:
    return "-" + call("protopnet_separation", **_prototypes(p, x))


@rule("contrastive", "protopnet_avg_separation")
def _protopnet_avg_separation(p: Params, x: Inputs) -> str:
    p.note("max_dist")
    header = "min_distances: real[b, p], label: label[b] < c, owner: label[p] < c"
    _prototypes(p, x)
    line = "apart[b] = mean[p if owner[p] != label[b]](min_distances)"
    return objective(header, f"{line}\n    {call('l1', pred='apart', target=0)}")


@rule("contrastive", "protopnet_total")
def _protopnet_total(p: Params, x: Inputs) -> str:
    if not p["use_l1_mask"]:
        raise NotCovered("the weights of a class's own prototypes in the sum")
    weights = p["coefs"] or {"crs_ent": 1, "clst": 0.8, "sep": -0.08, "l1": 1e-4}
    given = _prototypes(p, x)
    header = (
        "logits: logit[b, c], min_distances: real[b, p], last_layer_weight: real[c, p], "
        "label: label[b] < c, owner: label[p] < c"
    )
    terms = [
        f"{weights['crs_ent']}*{call('ce', logits='logits', labels='label')}",
        f"{weights['clst']}*{call('protopnet_cluster', **given)}",
        f"{-weights['sep']}*{call('protopnet_separation', **given)}",
        f"{weights['l1']}*{call('l1', pred='last_layer_weight', target=0, mask='owner[p] != c', reduce='sum')}",
    ]
    return objective(header, " + ".join(terms))


# ------------------------------------------------------------------------------------------ interactions
@rule("contrastive", "jodie_tbatch")
def _jodie(p: Params, x: Inputs) -> str:
    items = {"foretold": "predicted_item", "item_before": "item_in", "static": "item_static", "item": "item_out"}
    return call("jodie", **items, user="user_out", user_before="user_in")


@rule("contrastive", "tbatch_mse_mean", "tbatch_mse_item_sum", "tbatch_mse_full_sum")
def _tbatch_mse(p: Params, x: Inputs) -> str:
    loss = call("mse", pred="pred", target="stop(target)", reduce=None if p.loss.endswith("mean") else "sum")
    return objective("pred, target: real[b, d]", f"{loss}/size(d)" if p.loss.endswith("item_sum") else loss)
