"""Losses that remember: queues, banks and averages, started from what a case says that earlier calls left."""

from __future__ import annotations

import torch

from tests.golden.adapters import STORED, Inputs, NotCovered, Params, call, objective, rule


def start(x: Inputs, **keys: str) -> None:
    """Move inputs of a case to the buffers that hold them."""
    for name, key in keys.items():
        if name in x:
            x[f"state.{key.replace('__', '.')}"] = x.pop(name)


@rule("contrastive", "moco")
def _moco(p: Params, x: Inputs) -> str:
    rows = len(x["queue"])
    start(x, queue="moco.queue")
    return call("moco", q="q", k="k", tau=p.get("T"), n=rows)


@rule("contrastive", "mochi")
def _mochi(p: Params, x: Inputs) -> str:
    p.note("s1", "s2", "beta_max")
    rows = len(x["queue"])
    start(x, queue="mochi.queue")
    x["alpha"], x["beta"] = x["alpha"].squeeze(-1), x["beta"].squeeze(-1)
    mixed = {"first": "idx1", "second": "idx2", "a": "alpha", "third": "idx3", "b": "beta"}
    return call("mochi", q="q", k="k", **mixed, tau=p.get("T"), hard=p["n_hard"], n=rows)


def _normaliser(x: Inputs, key: str, z: float | None) -> None:
    if z is not None:
        x[f"state.{key}"] = torch.tensor(z, dtype=torch.float64)


@rule("contrastive", "nce_memory", "nce_memory_softmax")
def _nce_memory(p: Params, x: Inputs) -> str:
    p.note("nce_k")
    for number, z in zip(("", "_2"), p.get("Z") or (None, None), strict=True):
        _normaliser(x, f"cmc.nce_memory.z{number}", z)
    start(x, memory_ab="cmc.nce_memory.bank", memory_l="cmc.nce_memory.bank_2")
    by = "softmax" if p.loss == "nce_memory_softmax" else "nce"
    given = {"tau": p.get("T"), "momentum": p["momentum"], "n": p["n_data"], "by": by}
    return call("cmc", x1="l", x2="ab", y="y", idx="idx", **given)


@rule("contrastive", "instance_discrimination")
def _instance_discrimination(p: Params, x: Inputs) -> str:
    by, rows = "softmax" if p["use_softmax"] else "nce", len(x["memory"])
    _normaliser(x, "nce_memory.z", p.get("Z"))
    start(x, memory="nce_memory.bank")
    return call("nce_memory", x="x", key="x", y="y", idx="idx", tau=p.get("T"), momentum=p["momentum"], n=rows, by=by)


@rule("contrastive", "isogclr")
def _isogclr(p: Params, x: Inputs) -> str:
    p.note("epoch", "state")
    start(x, s0="isogclr.mass", u0="isogclr.slope", tau0="isogclr.tau")
    bounds = {"start": p["tau_init"], "least": p["tau_min"], "most": p["tau_max"]}
    rates = {"gamma": p["gamma"], "rho": p["rho"], "eta": p["eta_init"], "beta": p["beta_u"]}
    return call("isogclr", z="features", ids="index", n=p["N"], **bounds, **rates)


@rule("contrastive", "albef_itc")
def _albef_itc(p: Params, x: Inputs) -> str:
    for name, key in (("text_queue", "queue"), ("image_queue", "queue_2")):
        x[f"state.albef_itc.itc_side.{key}"] = x.pop(name).mT
    rows = {"image": "image_feat", "text": "text_feat", "image_slow": "image_feat_m", "text_slow": "text_feat_m"}
    return call("albef_itc", **rows, tau="temp", alpha=p["alpha"], queue=p["queue"])


# ------------------------------------------------------------------------------------------ classes and densities
@rule("classification", "aldr_kl")
def _aldr_kl(p: Params, x: Inputs) -> str:
    """Of scores over the mean of their sizes, as the source normalises them."""
    if p.get("n_calls", 1) != 1 or not x["logits"].any(-1).all():
        raise NotCovered("several calls, or a row of zeros: the source divides 0 by 0")
    scores = "softplus(logits)" if p["softplus"] else "logits"
    options = {"margin": p["threshold"], "start": p["Lambda"], "alpha": p["alpha"], "n": p["N"]}
    loss = call("aldr_kl", logits=f"{scores}/mean[c](abs({scores}))", labels="labels", ids="ids", **options)
    return objective("logits: logit[b, c], labels: label[b] < c, ids: int[b]", loss)


@rule("classification", "adaface")
def _adaface(p: Params, x: Inputs) -> str:
    start(x, batch_mean="adaface.mu", batch_std="adaface.sd")
    for key in ("state.adaface.mu", "state.adaface.sd"):
        x[key] = x[key].reshape(())
    options = {"s": p["s"], "m": p["m"], "h": p["h"], "rate": p["t_alpha"]}
    loss = call("adaface", z="embeddings", weight="rows", labels="labels", **options)
    header = "embeddings: embed[b, d], weight: embed[d, c], labels: label[b] < c"
    return objective(header, f"rows[c, d] = weight\n    {loss}")


@rule("generative", "meco_step")
def _meco_step(p: Params, x: Inputs) -> str:
    start(x, u="meco.u")
    x["state.meco.u"] = x["state.meco.u"].reshape(())
    return call("meco", logp="logp_data", logp_noise="logp_noise", logq_noise="logq_noise", gamma=p["gamma"])


STORED.update(
    {
        ("contrastive", "nce_memory"): {
            "memory_l_after": "cmc.nce_memory.bank_2",
            "memory_ab_after": "cmc.nce_memory.bank",
        },
        ("contrastive", "instance_discrimination"): {"memory_after": "nce_memory.bank"},
        ("contrastive", "isogclr"): {
            "s_after": "isogclr.mass",
            "u_after": "isogclr.slope",
            "tau_after": "isogclr.tau",
        },
        ("classification", "aldr_kl"): {"lambdas_after": "aldr_kl.lam"},
        ("classification", "adaface"): {"batch_mean_after": "adaface.mu", "batch_std_after": "adaface.sd"},
    }
)
