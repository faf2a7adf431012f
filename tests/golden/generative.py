"""The generative domain: games, preferences, diffusion, codes, samples, robustness."""

from __future__ import annotations

import numpy as np
import torch

from tests.golden.adapters import (
    Inputs,
    NotCovered,
    Params,
    call,
    forbid,
    literal,
    objective,
    reduction,
    rule,
    times,
)
from tests.golden.memory import start


# ------------------------------------------------------------------------------------------ games
def _real(score: str) -> str:
    """What the discriminator pays for a real sample in the hinge game."""
    return f"relu(1 + {call('hinge_g', fake=score)})"


def _fake(score: str) -> str:
    return f"relu(1 - {call('hinge_g', fake=score)})"


def _generator(mode: str, score: str) -> str:
    """The generator's side of a game."""
    match mode:
        case "vanilla" | "nonsaturating":
            return call("vanilla_g", fake=score)
        case "lsgan" | "mse":
            return f"2*{call('lsgan_g', fake=score)}"
        case "wgan" | "wgangp":
            return call("wgan_g", fake=score)
        case "hinge":
            return call("hinge_g", fake=score)
        case _:
            raise NotCovered(f"the game {mode}")


def _discriminator(mode: str, real: str, fake: str) -> str:
    """Both terms of the discriminator's side of a game."""
    match mode:
        case "vanilla":
            return call("vanilla_d", real=real, fake=fake)
        case "lsgan":
            return f"2*{call('lsgan_d', real=real, fake=fake)}"
        case "wgangp":
            return call("wgan_d", real=real, fake=fake)
        case _:
            raise NotCovered(f"the game {mode}")


def _player(mode: str, score: str, real: bool, discriminator: bool = True, label: float = 1.0) -> str:
    """One term of a game on one batch of scores, as the usual GANLoss classes offer it."""
    wanted = label if real else 0.0
    match mode:
        case "vanilla" | "nonsaturating" | "softplus":
            return call("bce", logits=score, target=wanted)
        case "wgan_softplus":
            return call("bce", logits=score, target=1 if real else 0)
        case "lsgan" | "mse":
            return f"2*{call('lsgan_g', fake=score, c=wanted)}"
        case "wgan" | "wgangp":
            return f"{'' if real else '-'}{call('wgan_g', fake=score)}"
        case "hinge" if discriminator:
            return _real(score) if real else _fake(score)
        case "hinge":
            return call("hinge_g", fake=score)
        case _:
            raise NotCovered(f"the game {mode}")


@rule(
    "generative",
    *("gan_vanilla_real_cut", "gan_vanilla_fake_cut", "gan_lsgan_real_cut", "gan_lsgan_fake_cut"),
    *("gan_wgan_real_cut", "gan_wgan_fake_cut", "gan_softplus_real_cut", "gan_softplus_fake_cut"),
)
def _gan_cut(p: Params, x: Inputs) -> str:
    return _player(p["gan_mode"], "prediction", p["target_is_real"])


@rule(
    "generative",
    *("gan_vanilla_basicsr", "gan_lsgan_basicsr", "gan_wgan_basicsr", "gan_wgan_softplus_basicsr"),
    "gan_hinge_basicsr",
)
def _gan_basicsr(p: Params, x: Inputs) -> str:
    discriminator, weight = p.get("is_disc", False), p.get("loss_weight", 1.0)
    forbid(p, fake_label_val=0.0)
    text = _player(p["gan_type"], "input", p["target_is_real"], discriminator, p.get("real_label_val", 1.0))
    return text if discriminator else times(weight, text)


@rule("generative", "gan_hinge_generator", "gan_lsgan_generator", "gan_hinge2_generator")
def _gan_generator(p: Params, x: Inputs) -> str:
    kind = p["loss_type"]
    return _real("fake") if kind == "hinge2" else _generator(kind, "fake")


@rule("generative", "gan_hinge_discriminator_real", "gan_lsgan_discriminator_real")
def _gan_real(p: Params, x: Inputs) -> str:
    return _player(p["loss_type"], "real", True)


@rule("generative", "gan_hinge_discriminator_fake", "gan_lsgan_discriminator_fake")
def _gan_fake(p: Params, x: Inputs) -> str:
    return _player(p["loss_type"], "fake", False)


@rule("generative", "gan_relativistic_average_generator")
def _relativistic_generator(p: Params, x: Inputs) -> str:
    forbid(p, gan_type="vanilla")
    return f"0.5*{call('ragan_g', real='real', fake='fake')}"


@rule("generative", "gan_relativistic_average_discriminator")
def _relativistic_discriminator(p: Params, x: Inputs) -> str:
    forbid(p, gan_type="vanilla")
    return f"0.5*{call('ragan_d', real='real', fake='fake', detach=True)}"


@rule("generative", "pix2pix_generator")
def _pix2pix_generator(p: Params, x: Inputs) -> str:
    return f"{_generator(p['gan_mode'], 'pred_fake')} + {literal(p['lambda_L1'])}*l1(pred=fake_B, target=real_B)"


@rule("generative", "pix2pix_discriminator")
def _pix2pix_discriminator(p: Params, x: Inputs) -> str:
    p.get("lambda_L1")
    return f"0.5*{_discriminator(p['gan_mode'], 'pred_real', 'pred_fake')}"


@rule("generative", "cyclegan_generator")
def _cyclegan(p: Params, x: Inputs) -> str:
    mode, identity, a, b = p["gan_mode"], p["lambda_identity"], p["lambda_A"], p["lambda_B"]
    pairs = (
        (a, "recA", "realA"),
        (b, "recB", "realB"),
        (b * identity, "idtA", "realB"),
        (a * identity, "idtB", "realA"),
    )
    cycles = [f"{literal(w)}*{call('l1', pred=u, target=v)}" for w, u, v in pairs]
    return " + ".join([_generator(mode, "dA"), _generator(mode, "dB"), *cycles])


@rule("generative", "dtn_generator")
def _dtn_generator(p: Params, x: Inputs) -> str:
    forbid(p, tv_exponent_B=1.0)
    parts = [call("ce", logits=name, labels=2) for name in ("d_s", "d_t")]
    parts.append(f"{literal(p['alpha'])}*sum[d]({call('mse', pred='f_gx', target='f_x')})")
    parts.append(f"{literal(p['beta'])}*sum[c, h, w]({call('mse', pred='g_xt', target='x_t')})")
    slope = "sqrt((g_xt[h=h + 1] - g_xt)^2 + (g_xt[w=w + 1] - g_xt)^2)"
    parts.append(f"{literal(p['gamma'])}*sum[c, h, w]({call('l1', pred=slope, target=0)})")
    return objective("f_x, f_gx: real[b, d], g_xt, x_t: image[b, c, h, w]", " + ".join(parts))


@rule("generative", "dtn_discriminator")
def _dtn_discriminator(p: Params, x: Inputs) -> str:
    return " + ".join(call("ce", logits=name, labels=k) for k, name in enumerate(("d_s", "d_t", "d_x")))


@rule("generative", "hifigan_generator")
def _hifigan_generator(p: Params, x: Inputs) -> str:
    return " + ".join(_generator("lsgan", name) for name in sorted(x) if name.startswith("g"))


@rule("generative", "hifigan_discriminator")
def _hifigan_discriminator(p: Params, x: Inputs) -> str:
    names = sorted(name for name in x if name.startswith("r"))
    loss = " + ".join(_discriminator("lsgan", name, f"g{name[1:]}") for name in names)
    return objective(_pairs(names, "g", "score"), loss)


def _pairs(names: list[str], other: str, kind: str) -> str:
    """Tensors that come in pairs of one shape; declared, since a loss is called r1 as well."""
    return ", ".join(f"{name}, {other}{name[1:]}: {kind}[b{name[1:]}, ...s{name[1:]}]" for name in names)


@rule("generative", "feature_matching")
def _feature_matching(p: Params, x: Inputs) -> str:
    forbid(p, loss="l1")
    names = sorted(name for name in x if name.startswith("f"))
    total = " + ".join(call("l1", pred=name, target=f"r{name[1:]}") for name in names)
    return objective(_pairs(names, "r", "real"), f"({total})/{len(names)}" if p.get("normalize") else total)


@rule("generative", "hifigan_feature_matching")
def _hifigan_feature_matching(p: Params, x: Inputs) -> str:
    names = sorted(name for name in x if name.startswith("g"))
    total = " + ".join(call("l1", pred=name, target=f"r{name[1:]}") for name in names)
    return objective(_pairs(names, "r", "real"), f"2*({total})")


# ------------------------------------------------------------------------------------------ preferences
PAIR = {"chosen": "policy_chosen_logps", "rejected": "policy_rejected_logps"}
REFERENCE = {"ref_chosen": "reference_chosen_logps", "ref_rejected": "reference_rejected_logps"}


@rule(
    "generative",
    *("dpo", "ipo", "dpo_hinge", "dpo_robust", "dpo_exo_pair", "dpo_nca_pair", "dpo_sppo_hard"),
    *("apo_zero", "apo_down"),
)
def _dpo(p: Params, x: Inputs) -> str:
    reference = dict.fromkeys(REFERENCE, 0) if p.get("reference_free") else REFERENCE
    return _preference(p.get("loss_type", "sigmoid"), {**PAIR, **reference}, p)


@rule("generative", "cpo", "simpo")
def _cpo(p: Params, x: Inputs) -> str:
    if p["loss_type"] != "simpo":
        return _preference(p["loss_type"], {**PAIR, "ref_chosen": 0, "ref_rejected": 0}, p)
    smoothing = p.get("label_smoothing") or None
    return call("simpo", **PAIR, beta=p["beta"], gamma=p["simpo_gamma"], smoothing=smoothing)


def _preference(kind: str, given: dict[str, object], p: Params) -> str:
    """One of the losses of DPO's kind."""
    smoothing, beta = p.get("label_smoothing") or None, p["beta"]
    match kind:
        case "sigmoid":
            return call("dpo", **given, beta=beta, smoothing=smoothing)
        case "robust":
            return call("robust_dpo", **given, beta=beta, flip=smoothing or 0)
        case "hinge":
            return call("rso", **given, beta=beta)
        case "ipo":
            return call("ipo", **given, tau=beta)
        case "exo_pair":
            return call("exo", **given, beta=beta, smoothing=smoothing)
        case "nca_pair":
            return call("nca", **given, beta=beta)
        case "sppo_hard":
            return call("sppo", **given, beta=beta)
        case "apo_zero" | "apo_down":
            return call(kind, **given, beta=beta)
        case _:
            raise NotCovered(f"loss_type {kind}")


@rule("generative", "dpo_js_divergence", "dpo_alpha_divergence")
def _f_dpo(p: Params, x: Inputs) -> str:
    given = {**PAIR, **REFERENCE, "beta": p["beta"]}
    if p["f_divergence_type"] == "js_divergence":
        return call("f_dpo", **given)
    alpha = p.get("f_divergence_params", {}).get("alpha_divergence_coef")
    return call("f_dpo", **given, divergence="alpha_divergence", alpha=alpha)


@rule("generative", "orpo")
def _orpo(p: Params, x: Inputs) -> str:
    header = "policy_chosen_logps, policy_rejected_logps: logprob[b], nll: real"
    return objective(header, call("orpo", **PAIR, nll="nll", beta=p["beta"]))


@rule("generative", "kto")
def _kto(p: Params, x: Inputs) -> str:
    apart = {"kl_policy": "policy_KL_logps", "kl_ref": "reference_KL_logps"}
    if p["loss_type"] == "apo_zero_unpaired":
        forbid(p, calculate_KL=False)
        apart["kl_ref"] = "policy_KL_logps"  # it has not moved
    weights = {"desirable": p["desirable_weight"], "undesirable": p["undesirable_weight"]}
    options = {**apart, "beta": p["beta"], **weights, "reduce": "sum"}
    given = [(f"{which}_logps", good) for which, good in (("chosen", True), ("rejected", False))]
    parts = [
        call("kto", policy=f"policy_{name}", ref=f"reference_{name}", good=good, **options) for name, good in given
    ]
    count = sum(len(x[f"policy_{name}"]) for name, _ in given)
    return f"({' + '.join(parts)})/{count}"


@rule("generative", "sequence_log_prob")
def _sequence_log_prob(p: Params, x: Inputs) -> str:
    forbid(p, shift=True)
    average = True if p["average_log_prob"] else None
    shifted = call("seq_logp", logits="logits", labels="labels[b, t + 1]", pad=p["label_pad_token_id"], average=average)
    header = "logits: logit[b, t, v], labels: label[b, t] < v"
    return objective(header, f"-1*-sum[b]({shifted})")


@rule("generative", "v_dpo")
def _v_dpo(p: Params, x: Inputs) -> str:
    gamma, average = p["gamma"], True if p["ipo"] else None
    blind, smoothing = p["dynamic_llm"], p["label_smoothing"] or None
    for side in "wl":
        x[f"answer_{side}"] = torch.where(x[f"mask_{side}"] > 0, x[f"labels_{side}"], -100)
    given = {"chosen": _guided("w", gamma, p["use_logits"], blind, average)}
    given["rejected"] = _guided("l", gamma, p["use_logits"], blind, average)
    given |= {"ref_chosen": _tokens("ref_logps_w", average), "ref_rejected": _tokens("ref_logps_l", average)}
    body = call("ipo", **given, tau=p["scale_coeff"])
    if not p["ipo"]:
        body = call("dpo", **given, beta=p["scale_coeff"], smoothing=smoothing)
    sides = [
        f"logits_{s}, rand_logits_{s}: logit[b, t, v], ref_logps_{s}, ref_rand_logps_{s}: logprob[b, t], "
        f"answer_{s}: label[b, t] < v"
        for s in "wl"
    ]
    return objective(", ".join(sides), body)


def _tokens(name: str, average: bool | None) -> str:
    """The log-probability of an answer, from those of its tokens."""
    return f"{'mean' if average else 'sum'}[t if answer_{name[-1]} != -100]({name})"


def _guided(side: str, gamma: float, mixed: bool, blind: bool, average: bool | None) -> str:
    """The guided log-probability of an answer: of mixed logits, or a difference of log-probabilities."""
    labels, more = f"answer_{side}", literal(gamma - 1)
    if mixed:
        logits = f"{literal(gamma)}*logits_{side} - {more}*rand_logits_{side}"
        return call("seq_logp", logits=logits, labels=labels, average=average)
    if blind:
        options = {"labels": labels, "gamma": gamma, "average": average}
        return call("guided_logp", logits=f"logits_{side}", blind=f"rand_logits_{side}", **options)
    seen = call("seq_logp", logits=f"logits_{side}", labels=labels, average=average)
    return f"{literal(gamma)}*{seen} - {more}*{_tokens(f'ref_rand_logps_{side}', average)}"


# ------------------------------------------------------------------------------------------ diffusion
def _schedule(p: Params, x: Inputs) -> None:
    """What is left of the signal's variance after each step."""
    steps = p["T"]
    match p["schedule"].split(" ")[0]:
        case "linear":
            kept = np.cumprod(1 - np.linspace(1e-4, 0.02, steps))
        case "scaled_linear":
            kept = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, steps) ** 2)
        case "cosine":
            left = np.cos((np.arange(steps + 1) / steps + 0.008) / 1.008 * np.pi / 2) ** 2
            kept = np.cumprod(1 - np.minimum(1 - left[1:] / left[:-1], 0.999))
        case other:
            raise NotCovered(f"schedule {other}")
    x["abar"] = torch.from_numpy(kept)


@rule("generative", "diffusion_mse_epsilon")
def _diffusion_epsilon(p: Params, x: Inputs) -> str:
    forbid(p, prediction="epsilon", weight="constant")
    return call("mse", pred="model_output", target="noise")


@rule("generative", "diffusion_mse_x0")
def _diffusion_x0(p: Params, x: Inputs) -> str:
    forbid(p, prediction="x0", weight="constant")
    return call("mse", pred="model_output", target="x_start")


NOISY = "model_output, x_start, noise: real[b, ...], t: int[b] < n, abar: prob[n]"
VELOCITY = "sqrt(abar)[t]*noise - sqrt(1 - abar)[t]*x_start"


@rule("generative", "diffusion_mse_v")
def _diffusion_v(p: Params, x: Inputs) -> str:
    forbid(p, prediction="v", weight="constant")
    _schedule(p, x)
    return objective(NOISY, call("mse", pred="model_output", target=VELOCITY))


@rule("generative", "diffusion_mse_previous_x")
def _previous_x(p: Params, x: Inputs) -> str:
    """The mean of the step before, given the image and its noisy version."""
    forbid(p, prediction="previous_x", weight="constant")
    _schedule(p, x)
    x["before"] = torch.cat([torch.ones(1, dtype=torch.float64), x["abar"][:-1]])
    lines = [
        "noisy = sqrt(abar)[t]*x_start + sqrt(1 - abar)[t]*noise",
        "clean = (sqrt(before)*(1 - abar/before)/(1 - abar))[t]*x_start",
        "mean_before = clean + (sqrt(abar/before)*(1 - before)/(1 - abar))[t]*noisy",
        call("mse", pred="model_output", target="mean_before"),
    ]
    return objective(f"{NOISY}, before: prob[n]", "\n    ".join(lines))


@rule("generative", "diffusion_p2_epsilon")
def _p2(p: Params, x: Inputs) -> str:
    _schedule(p, x)
    options = {"k": p["p2_k"], "gamma": p["p2_gamma"]}
    return call("p2_weighting", pred="model_output", noise="noise", t="t", abar="abar", **options)


@rule("generative", "diffusion_min_snr_epsilon", "diffusion_min_snr_x0", "diffusion_min_snr_v")
def _min_snr(p: Params, x: Inputs) -> str:
    _schedule(p, x)
    predicts = p["prediction"]
    gamma = float(p["weight"].removeprefix("v").removeprefix("min_snr_"))
    target = {"epsilon": "noise", "x0": "x_start", "v": VELOCITY}[predicts]
    options = {"t": "t", "abar": "abar", "gamma": gamma, "predicts": predicts}
    return objective(NOISY, call("min_snr", pred="model_output", target=target, **options))


@rule("generative", "diffusion_min_snr_hf")
def _min_snr_hf(p: Params, x: Inputs) -> str:
    _schedule(p, x)
    predicts = {"epsilon": "epsilon", "v_prediction": "v"}[p["prediction_type"]]
    options = {"t": "timesteps", "abar": "abar", "gamma": p["snr_gamma"], "predicts": predicts}
    return call("min_snr", pred="model_pred", target="target", **options)


WEIGHTS = {"snr": "snr", "inv_snr": "1/snr", "trunc_snr": "max(snr, 1)", "max_snr_1": "max(snr, 1)"}


@rule(
    "generative",
    *("diffusion_snr_weight_trunc_snr_x0", "diffusion_snr_weight_snr_x0", "diffusion_snr_weight_inv_snr_x0"),
    *("diffusion_snr_weight_max_snr_epsilon", "diffusion_snr_weight_max_snr_x0"),
)
def _snr_weight(p: Params, x: Inputs) -> str:
    _schedule(p, x)
    predicts, weight = p["prediction"], WEIGHTS[p["weight"]]
    if predicts == "epsilon":
        weight = f"({weight})/snr"
    target = {"epsilon": "noise", "x0": "x_start"}[predicts]
    body = f"snr = (abar/(1 - abar))[t]\n    {call('mse', pred='model_output', target=target, weight=weight)}"
    return objective(NOISY, body)


@rule("generative", "pseudo_huber", "pseudo_huber_scheduled", "smooth_l1_scheduled")
def _pseudo_huber(p: Params, x: Inputs) -> str:
    c, kind, schedule = p["huber_c"], p["loss_type"], p.get("huber_schedule", "constant")
    scale = p.get("huber_scale", 1.0)
    given = {"pred": "model_pred", "target": "target", "reduce": reduction(p)}
    if kind not in ("huber", "smooth_l1"):
        raise NotCovered(f"loss_type {kind}")
    match schedule:
        case "constant":
            bend = literal(c * scale)
        case "exponential":
            bend = f"{literal(scale)}*exp(log({literal(c)})*timesteps/1000)"
        case _:
            _schedule(p, x)
            bend = f"{1 - c}/(1 + sqrt((1 - abar)/abar)[timesteps])^2 + {literal(c)}"
    weight = "2" if kind == "huber" else f"(2/({bend}))"
    header = "model_pred, target: real[b, ...]"
    if "timesteps" in bend:
        header += ", timesteps: int[b] < n, abar: prob[n]" if "abar" in bend else ", timesteps: int[b]"
    if "timesteps" in weight:
        return objective(header, call("pseudo_huber", **given, c=bend, weight=weight))
    return objective(header, f"{weight}*{call('pseudo_huber', **given, c=bend)}")


@rule("generative", "sds")
def _sds(p: Params, x: Inputs) -> str:
    weight = {"sds": None, "uniform": 1, "fantasia3d": "sqrt(abar)*(1 - abar)"}[p["weighting"]]
    return call("sds", z="latents", pred="eps_pred", noise="noise", abar="abar", w=weight)


@rule("generative", "lmc_sds")
def _lmc_sds(p: Params, x: Inputs) -> str:
    header = "latents, eps_cond, eps_uncond, z_hat_uncond, b_z: real[b, ...]"
    towards = f"{literal(p['w_cond'])}*(eps_cond - eps_uncond)"
    back = f"{literal(p['w_lmc'])}*(z_hat_uncond - b_z)"
    return objective(header, call("sds", z="latents", pred=towards, noise=back, abar=0))


# ------------------------------------------------------------------------------------------ penalties
def _penalised(x: Inputs, images: list[str], others: str, loss: str) -> str:
    """The critic of these cases: a convolution over 3x3 places, tanh, a number for each place."""
    height, width = x["real"].shape[2:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    taps = torch.arange(3) - 1
    i, j = torch.broadcast_tensors(
        rows.flatten()[:, None, None] + taps[:, None], columns.flatten()[:, None, None] + taps
    )
    x["inside"] = (i >= 0) & (i < height) & (j >= 0) & (j < width)
    x["near"] = i.clamp(0, height - 1) * width + j.clamp(0, width - 1)
    for name in images:
        x[name] = x[name].flatten(2)
    header = "w1: real[m, c, u, v], b1: real[m], w2: real[o, m, q, r], b2: real[o]"
    header += ", near: int[p, u, v] < n, inside: bool[p, u, v]"
    fn = f"fn net(image: real[b, c, n], {header}) -> [b, p]:\n    "
    fn += "h[b, m, p] = sum[c, u, v if inside](w1*pick(image, n=near)) + b1\n    "
    fn += "sum[o, m, q, r](w2*tanh(h)) + sum[o](b2)\n\n"
    return fn + objective(", ".join(filter(None, (f"{', '.join(images)}: real[b, c, n]", others, header))), loss)


CRITIC = "net(w1=w1, b1=b1, w2=w2, b2=b2, near=near, inside=inside)"


@rule("generative", "gradient_penalty_cut")
def _gradient_penalty(p: Params, x: Inputs) -> str:
    x["alpha"] = x["alpha"].flatten()
    alpha = {"mixed": "alpha", "real": "1 + 0*alpha", "fake": "0*alpha"}[p["type"]]
    loss = call("wgan_gp", D=CRITIC, real="real", fake="fake", alpha=alpha, target=p["constant"])
    return _penalised(x, ["real", "fake"], "alpha: real[b]", f"{literal(p['lambda_gp'])}*{loss}")


@rule("generative", "r1_penalty")
def _r1(p: Params, x: Inputs) -> str:
    return _penalised(x, ["real"], "", call("r1", D=CRITIC, real="real"))


@rule("generative", "path_length_regularization")
def _path_length(p: Params, x: Inputs) -> str:
    p.note("path_lengths_mean", "new_mean_path_length")
    start(x, mean_path_length="path_length.usual")
    x["A"] = x["A"].reshape(*x["latents"].shape[1:], *x["noise"].shape[1:])
    net = "fn net(z: real[b, l, d], A: real[l, d, c, h, w]) -> [b, c, h, w]: tanh(sum[l, d](z*A))\n\n"
    loss = call("path_length", G="net(A=A)", z="latents", noise="noise", decay=p["decay"])
    return net + objective("latents: real[b, l, d], noise: real[b, c, h, w], A: real[l, d, c, h, w]", loss)


# ------------------------------------------------------------------------------------------ codes
def _latents(weight: object) -> str:
    return f"{literal(weight)}*{call('kl_normal', mu='mu', log_var='log_var')}"


@rule("generative", "vae_elbo")
def _vae(p: Params, x: Inputs) -> str:
    return f"{call('mse', pred='recons', target='input')} + {_latents(p['kld_weight'])}"


@rule("generative", "kl_gaussian_standard")
def _kl_standard(p: Params, x: Inputs) -> str:
    return call("kl_normal", mu="mu", log_var="log_var")


@rule("generative", "kl_gaussian_gaussian")
def _kl_gaussian(p: Params, x: Inputs) -> str:
    header = "mu_q, log_sigma_q, mu_p, log_sigma_p: real[b, d]"
    prior = {"prior_mu": "mu_p", "prior_log_var": "2*log_sigma_p"}
    return objective(header, call("kl_normal", mu="mu_q", log_var="2*log_sigma_q", **prior))


@rule("generative", "beta_vae")
def _beta_vae(p: Params, x: Inputs) -> str:
    kind, weight, top, stop = p["loss_type"], p["kld_weight"], p["max_capacity"], p["capacity_max_iter"]
    reconstruction = call("mse", pred="recons", target="input")
    at, beta, gamma = p["num_iter_before"] + 1, p["beta"], p["gamma"]
    if kind == "H":
        return f"{reconstruction} + {_latents(beta * weight)}"
    capacity = min(max(top / stop * at, 0), top)
    return f"{reconstruction} + {literal(gamma * weight)}*abs({literal(-capacity)} + mean[b]({_latents(1)}))"


@rule("generative", "log_cosh_vae")
def _log_cosh_vae(p: Params, x: Inputs) -> str:
    a = literal(p["alpha"])
    header = "recons, input: real[b, ...], mu, log_var: real[b, ...l]"
    error = call("log_cosh", pred=f"{a}*recons", target=f"{a}*input")
    return objective(header, f"{error}/{a} + {_latents(p['beta'] * p['kld_weight'])}")


@rule("generative", "vq_commitment")
def _vq(p: Params, x: Inputs) -> str:
    loss = call("vq", z="latents", codebook="codebook", beta=p["beta"])
    return f"{loss}/{x['latents'].shape[1]}"


@rule("generative", "free_bits")
def _free_bits(p: Params, x: Inputs) -> str:
    forbid(p, unit="nats")
    per = {"per_dim_batch_mean": None, "per_dim": "item", "total": "total"}[p["mode"]]
    return call("free_bits", mu="mu", log_var="log_var", lam=p["lam"], per=per)


@rule("generative", "mdn_nll")
def _mdn(p: Params, x: Inputs) -> str:
    forbid(p, reduction="mean", alpha_per_sample=False)
    k, c, t = p["n_comp"], *x["target"].shape[1:]
    header = f"raw: real[b, m={3 * k * c}, t], target: real[b, c={c}, t]"
    place = f"{c}*k + c"
    body = [
        f"mu[b, k < {k}, c, t] = pick(raw, m={place})",
        f"before[b, k < {k}, c, t] = pick(raw, m={k * c} + {place})",
        f"alpha[b, k < {k}, c, t] = pick(raw, m={2 * k * c} + {place})",
        f"sigma = max(before, 0) + expm1(min(before, 0)) + 1 + {literal(p['sigma_eps'])}",
        f"logw = {c * t}*log_softmax[k](max(mean[c, t](alpha), -10))",
        f"({call('mdn', mix='logw', mu='mu', log_sigma='log(sigma)', target='target')} - logsumexp[k](logw))/{c * t}",
    ]
    return objective(header, "\n    ".join(body))


@rule("generative", "psd_sparse_coding")
def _psd(p: Params, x: Inputs) -> str:
    names = {"x": "x", "z": "z", "dictionary": "D", "filters": "We", "bias": "be", "gain": "G_"}
    return call("psd", **names, lam=p["lam"], alpha=p["alpha"])


# ------------------------------------------------------------------------------------------ samples
@rule("generative", "mmd_gaussian")
def _mmd_gaussian(p: Params, x: Inputs) -> str:
    forbid(p, loss="gaussian")
    return f"{call('mmd', x='x', y='y', kernel=call('gaussian_kernel', sigma=p['blur']))}/2"


@rule("generative", "mmd_laplacian")
def _mmd_laplacian(p: Params, x: Inputs) -> str:
    forbid(p, loss="laplacian")
    selves = -np.expm1(-1e-4) * (1 / len(x["x"]) + 1 / len(x["y"])) / 2  # a row and itself are 1e-4*sigma apart
    return f"-{float(selves)!r} + {call('mmd', x='x', y='y', kernel=call('laplacian_kernel', sigma=p['blur']))}/2"


@rule("generative", "energy_distance")
def _energy_distance(p: Params, x: Inputs) -> str:
    forbid(p, loss="energy")
    selves = 0.5e-4 * (1 / len(x["x"]) + 1 / len(x["y"]))  # a row and itself count as 1e-4 apart
    return f"-{selves!r} + {call('energy_distance', x='x', y='y')}/2"


@rule("generative", "wasserstein_1d")
def _wasserstein(p: Params, x: Inputs) -> str:
    weights = {"wx": "uw", "wy": "vw"} if "uw" in x else {}
    value = call("transport_cost", x="u", y="v", p=p["p"], **weights)
    return objective("u, uw: real[i], v, vw: real[j]" if weights else "u: real[i], v: real[j]", f"1 - (1 - {value})")


@rule("generative", "sliced_wasserstein")
def _sliced_wasserstein(p: Params, x: Inputs) -> str:
    header = "x: real[i, d], y: real[j, d], projections: real[d, k]"
    lines = "rays[k, d] = projections"
    return objective(header, f"{lines}\n    {call('sliced_wasserstein', x='x', y='y', directions='rays', p=p['p'])}")


@rule("generative", "sliced_wasserstein_swae")
def _swae(p: Params, x: Inputs) -> str:
    loss = call("sliced_wasserstein", x="z", y="prior_z", directions="directions", p=p["p"])
    return f"{literal(p['reg_weight'])}*{loss}^{literal(p['p'])}"


@rule("generative", "mk_mmd")
def _mk_mmd(p: Params, x: Inputs) -> str:
    """The source adds 2/(n - 1) once."""
    forbid(p, linear=False)
    kernels, count = p["kernels"], len(x["z_s"])
    if all("alpha" in kernel for kernel in kernels):
        x["scales"] = torch.tensor([kernel["alpha"] for kernel in kernels], dtype=x["z_s"].dtype)
        return f"{2 / (count - 1)!r} + {call('mk_mmd', x='z_s', y='z_t', scales='scales')}"
    (kernel,) = kernels
    gaussian = call("gaussian_kernel", sigma=kernel["sigma"])
    return f"{2 / (count - 1)!r} + {call('mmd', x='z_s', y='z_t', kernel=gaussian, unbiased=True)}"


@rule("generative", "coral_paper")
def _coral(p: Params, x: Inputs) -> str:
    return call("coral", x="f_s", y="f_t")


@rule("generative", "coral")
def _coral_thuml(p: Params, x: Inputs) -> str:
    means = call("mse", pred="mean[i](f_s)", target="mean[j](f_t)")
    return objective("f_s: real[i, d], f_t: real[j, d]", f"4*{call('coral', x='f_s', y='f_t')} + {means}")


@rule("generative", "js_divergence")
def _js(p: Params, x: Inputs) -> str:
    return call("jensen_shannon", p="softmax[c](p_logits)", q="softmax[c](q_logits)")


@rule("generative", "alpha_divergence")
def _alpha_divergence(p: Params, x: Inputs) -> str:
    given = {"student": "q_logits", "teacher": "p_logits"}
    return call("alpha_divergence", **given, alpha=p["alpha"], clip=p["iw_clip"])


@rule("generative", "alpha_divergence_adaptive")
def _adaptive_alpha(p: Params, x: Inputs) -> str:
    options = {"low": p["alpha_min"], "high": p["alpha_max"], "clip": p["iw_clip"]}
    return call("adaptive_alpha_divergence", student="output", teacher="target", **options)


@rule("generative", "nce")
def _nce(p: Params, x: Inputs) -> str:
    return call("nce", logp="logp_x", logq="logq_x", logp_noise="logp_gen", logq_noise="logq_gen")


@rule("generative", "meco_nll")
def _meco_nll(p: Params, x: Inputs) -> str:
    return call("importance_nll", logp="logp_data", logp_noise="logp_noise", logq_noise="logq_noise")


# ------------------------------------------------------------------------------------------ divergences
@rule("generative", "kl_div_torch")
def _kl_div(p: Params, x: Inputs) -> str:
    t, how = literal(p.get("temperature", 1.0)), p.get("reduction", "batchmean")
    loss = call(
        "kl",
        logits=f"logits/{t}",
        target=f"softmax[c](target_logits/{t})",
        reduce="sum" if how == "sum" else None,
    )
    if how not in ("batchmean", "mean", "sum"):
        raise NotCovered(f"reduction {how}")
    return f"{loss}/{x['logits'].shape[1]}" if how == "mean" else loss


@rule("generative", "kl_soft_target")
def _kl_soft_target(p: Params, x: Inputs) -> str:
    t = literal(p.get("temperature", 1.0))
    return call("cross_entropy", logits=f"output/{t}", target=f"softmax[c](target/{t})")


@rule("generative", "log_cosh")
def _log_cosh(p: Params, x: Inputs) -> str:
    a, how = literal(p.get("a", 1.0)), reduction(p) or "mean"
    cosh = f"exp({call('log_cosh', pred=f'{a}*input', target=f'{a}*target')})"
    rows = f"log({cosh} + {literal(p.get('eps', 1e-8))})/{a}"
    return objective("input, target: wave[b, c, t]", f"{how}[b, c](mean[t]({rows}))")


ENTROPY = "cross_entropy(logits=logits, target=softmax[c](logits))"


@rule("generative", "entropy")
def _entropy(p: Params, x: Inputs) -> str:
    return ENTROPY


@rule("generative", "confidence_penalty")
def _confidence_penalty(p: Params, x: Inputs) -> str:
    return f"{call('ce', logits='logits', labels='labels')} - {literal(p['beta'])}*{ENTROPY}"


# ------------------------------------------------------------------------------------------ parameters
@rule("generative", "l2_regularization")
def _l2_regularization(p: Params, x: Inputs) -> str:
    weight = literal(p["lam"] / 2 if p.get("half") else p["lam"])
    return " + ".join(f"{weight}*{call('mse', pred=name, target=0, reduce='sum')}" for name in sorted(x))


@rule("generative", "orthogonality")
def _orthogonality(p: Params, x: Inputs) -> str:
    """The smaller of the two Gram matrices of each weight."""
    header, lines, parts = [], [], []
    for name, (rows, columns) in ((name, x[name].shape) for name in sorted(x)):
        a, b = f"{name}a", f"{name}b"
        header.append(f"{name}: real[{a}={rows}, {b}={columns}]")
        own, over = (a, b) if rows <= columns else (b, a)
        lines.append(f"{name}_gram[{own}, {own}2] = sum[{over}]({name}*{name}[{own}={own}2])")
        parts.append(call("mse", pred=f"{name}_gram", target=f"{own} == {own}2", reduce="sum"))
    return objective(", ".join(header), "\n    ".join([*lines, " + ".join(parts)]))


@rule("generative", "l2_init")
def _l2_init(p: Params, x: Inputs) -> str:
    names = sorted(name for name in x if not name.startswith("init_"))
    parts = (call("mse", pred=name, target=f"init_{name}", reduce="sum") for name in names)
    return " + ".join(f"{literal(p['lam'])}*{part}" for part in parts)


# ------------------------------------------------------------------------------------------ robustness
def _ibp(x: Inputs, loss: str) -> str:
    """Bounds of the other classes' margins, spread to all classes."""
    last = x["lb"].shape[1] - 1
    header = f"lb: real[b, m={last + 1}], adv_logits: logit[b, c={last + 2}], labels: label[b] < c"
    spread = f"bound[b, c] = pick(lb, m=min(c - 1 if c > labels else c, {last}))"
    return objective(header, f"{spread}\n    {loss}")


@rule("generative", "cc_ibp")
def _cc_ibp(p: Params, x: Inputs) -> str:
    return _ibp(x, call("cc_ibp", lower="bound", labels="labels", adv="adv_logits", alpha=p["alpha"]))


@rule("generative", "mtl_ibp")
def _mtl_ibp(p: Params, x: Inputs) -> str:
    return _ibp(x, call("mtl_ibp", lower="bound", labels="labels", adv="adv_logits", alpha=p["alpha"]))


@rule("generative", "exp_ibp")
def _exp_ibp(p: Params, x: Inputs) -> str:
    """Of the means over the batch, where the paper multiplies the losses of each item."""
    a, certified = p["alpha"], call("ibp", lower="bound", labels="labels")
    attacked = call("ce", logits="adv_logits", labels="labels")
    return _ibp(x, f"mean[b]({certified})^{literal(a)}*mean[b]({attacked})^{literal(1 - a)}")


WEIGHTS_OF_NET = "w1: real[m, d], b1: real[m], w2: real[c, m], b2: real[c]"
NET = "net(w1=w1, b1=b1, w2=w2, b2=b2)"


def _net(image: str) -> str:
    return f"net({image}, w1=w1, b1=b1, w2=w2, b2=b2)"


def _attacked(x: Inputs, images: list[str], others: str, *lines: str) -> str:
    """The model of all these cases, two layers on flattened images, and an objective that attacks it."""
    for name in images:
        x[name] = x[name].flatten(1)
    net = f"fn net(image: real[b, d], {WEIGHTS_OF_NET}) -> [b, c]: sum[m](w2*tanh(sum[d](w1*image) + b1)) + b2"
    header = ", ".join(filter(None, (f"{', '.join(images)}: real[b, d]", others, WEIGHTS_OF_NET)))
    return f"{net}\n\n" + objective(header, "\n    ".join(lines))


def _attack(p: Params) -> dict[str, object]:
    eps, step = p["epsilon"], p["step_size"]
    given = {"model": NET, "x": "x_natural", "labels": "y", "noise": "noise"}
    return {**given, "beta": p["beta"], "eps": eps, "steps": p["perturb_steps"], "step_size": step}


@rule("generative", "trades")
def _trades(p: Params, x: Inputs) -> str:
    if p["distance"] == "l_2":
        return _trades_l2(p, x)
    if p["distance"] != "l_inf":
        raise NotCovered(f"distance {p['distance']}")
    return _attacked(x, ["x_natural", "noise"], "y: label[b] < c", call("trades", **_attack(p)))


def _trades_l2(p: Params, x: Inputs) -> str:
    eps, steps = p["epsilon"], p["perturb_steps"]
    lines = [
        f"p = softmax[c]({_net('x_natural')})",
        f"adv = argmax[z in ball(l2, {eps}, at=x_natural, within=0..1)]"
        f"(sum[b](kl(logits={_net('z')}, target=stop(p))), "
        f"start=x_natural + 0.001*noise2, steps={steps}, step={2 * eps / steps})",
        f"ce({_net('x_natural')}, y) + {literal(p['beta'])}*kl(logits={_net('adv')}, target=p)",
    ]
    return _attacked(x, ["x_natural", "noise2"], "y: label[b] < c", *lines)


@rule("generative", "mart")
def _mart(p: Params, x: Inputs) -> str:
    return _attacked(x, ["x_natural", "noise"], "y: label[b] < c", call("mart", **_attack(p)))


@rule("generative", "vat")
def _vat(p: Params, x: Inputs) -> str:
    loss = call("vat", model=NET, x="x", noise="u - 0.5", xi=p["xi"], eps=p["eps"], steps=p["ip"])
    return _attacked(x, ["x", "u"], "", loss)


@rule("generative", "elle")
def _elle(p: Params, x: Inputs) -> str:
    forbid(p, reg="ELLE", clamp=True)
    x["u_a"], x["u_b"], x["u_alpha"] = *x["u_ab"].chunk(2), x["u_alpha"].flatten()
    eps, noise = literal(p["eps"]), literal(p["eps"] * p["input_noise_rate"])
    given = {"model": NET, "x": "x", "labels": "y", "one": "2*u_a - 1", "other": "2*u_b - 1", "part": "u_alpha"}
    attack = f"start=x + {noise}*(2*u_noise - 1), steps={p['attack_iter']}, step={p['attack_step']!r}"
    lines = [
        f"adv = argmax[z in ball(linf, {eps}, at=x)](sum[b](ce({_net('z')}, y)), {attack})",
        f"ce({_net('adv')}, y) + {literal(p['lambda_'])}*{call('elle', **given, eps=p['eps'])}",
    ]
    return _attacked(x, ["x", "u_noise", "u_a", "u_b"], "u_alpha: real[b], y: label[b] < c", *lines)


@rule("generative", "pag")
def _pag(p: Params, x: Inputs) -> str:
    """The source multiplies by 10, and takes some of the classes of each image."""
    x["classes"], x["wanted"] = x["classes"][:, : p["num_grads_per_image"]].contiguous(), x["pag"].flatten(2)
    header = "target: label[b] < c, wanted: real[b, c, d], classes: int[b, k] < c"
    loss = call("pag", model=NET, x="images", wanted="wanted", classes="classes")
    clean = f"ce({_net('images')}, target)"
    return _attacked(x, ["images"], header, f"{clean} + 10*{literal(p['pag_coeff'])}*{loss}")


@rule("generative", "ibp_robust_loss")
def _ibp_robust(p: Params, x: Inputs) -> str:
    return _ibp(x, call("ibp", lower="bound", labels="labels"))
