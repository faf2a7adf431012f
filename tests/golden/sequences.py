"""The balancers of the corpus: sequences of training calls, in which only the balancer's own state moves.

The shared tensor x stays 0, and term k is ``J[t, k] . x + L[t, k]``: its value and gradient are those of the script.
What a source draws at random is passed, and learned numbers follow plain gradient descent, as in the cases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

import losslang
from tests.golden import corpus
from tests.golden.adapters import NotCovered, Params, call
from tests.golden.corpus import Arrays, Case

DOMAIN = "balancers"

EPS = 20
"""Sources that add 1e-8 to the sum in a softmax, so that their weights do not quite add up."""


@dataclass(frozen=True)
class Script:
    """How a case is run: what stands after the terms, what each call is given, how totals compare."""

    pipe: str
    header: str = ""
    draws: Mapping[str, str] = field(default_factory=dict[str, str])
    """Input of the objective -> quantity of the case's steps that it gets."""
    learned: Mapping[str, str] = field(default_factory=dict[str, str])
    """Learned value -> quantity that it equals after the step."""
    scale: float = 1
    """What the source's gradient is of ours."""
    epochs: bool = False
    """Whether a step is an epoch."""
    tolerance: float = 1
    """How many times the case's tolerance is allowed, where a source solves an inner problem less well."""
    direction: bool = False
    """Whether only the direction of the gradient is compared."""


Rule = Callable[[Params, Case], Script]
RULES: dict[str, Rule] = {}


def rule(*losses: str) -> Callable[[Rule], Rule]:
    """Register the adapter of some balancers."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(losses, function))
        return function

    return register


def script(case: Case) -> Script:
    """How a case is run.

    Raises:
        NotCovered: for what losslang does not express.
    """
    if case["loss"] not in RULES:
        raise NotCovered("no such balancer in the library")
    if case["params"].get("problem") == "trajectory" or "task_grads" not in case["inputs"]:
        raise NotCovered("not a script of losses and gradients")
    params = Params(case["params"], case["loss"])
    params.note("lr", "problem")
    found = RULES[case["loss"]](params, case)
    params.check()
    return found


def text(of: Script, terms: int) -> str:
    """The objective of a case."""
    lines = [f"    t{k} = sum[d](jacobian[{k}]*x) + offset[{k}]" for k in range(terms)]
    total = " + ".join(f"t{k}" for k in range(terms))
    header = f"x: real[d], jacobian: real[k={terms}, d], offset: real[k={terms}]{of.header}"
    return "\n".join([f"objective golden({header}):", *lines, f"    {total} | {of.pipe}", ""])


def run(case: Case, arrays: Arrays) -> None:
    """Compare the gradient that reaches the shared tensor, and what is learned, after every step."""
    of = script(case)
    jacobians, offsets = (torch.from_numpy(arrays[case["inputs"][name]]) for name in ("task_grads", "task_losses"))
    objective = losslang.compile(text(of, jacobians.shape[1]), backend="eager").double()
    wanted = arrays[case["steps"]["combined_grad"]]
    optimizer = torch.optim.SGD(objective.parameters(), lr=case["params"].get("lr", 0)) if of.learned else None
    for step in range(len(wanted)):
        objective.epoch = step if of.epochs else 0
        x = torch.zeros(jacobians.shape[2], dtype=torch.float64, requires_grad=True)
        given = {name: _drawn(arrays[case["steps"][key]][step]) for name, key in of.draws.items()}
        out = objective(x=x, jacobian=jacobians[step], offset=offsets[step], **given)
        if optimizer is not None:
            optimizer.zero_grad()
        out.total.backward()
        assert x.grad is not None
        _compare(case, of, step, x.grad.numpy() * of.scale, wanted[step])
        if optimizer is not None:
            optimizer.step()
        for key, quantity in of.learned.items():
            values = [objective.terms[f"{key}.t{k}"].item() for k in range(jacobians.shape[1])]
            corpus.assert_close(
                {**case, "id": f"{case['id']} step {step} {key}"}, values, arrays[case["steps"][quantity]][step]
            )


def _drawn(value: Any) -> Tensor:
    """A draw as an input: of one number, a number."""
    found = torch.from_numpy(np.asarray(value))
    return found.reshape(()) if found.numel() == 1 else found


def _compare(case: Case, of: Script, step: int, found: Any, expected: Any) -> None:
    named = {**case, "id": f"{case['id']} step {step}", "rtol": case["rtol"] * of.tolerance}
    if not np.isfinite(expected).all():
        assert np.isfinite(found).all(), f"{named['id']}: the source is not finite, and losslang has to be"
        return
    if of.direction:
        found, expected = found / np.linalg.norm(found), expected / np.linalg.norm(expected)
    corpus.assert_close({**named, "atol": 1e-300}, found, expected)


# ------------------------------------------------------------------------------------------ by losses
@rule("uncertainty_weighting")
def _uncertainty(p: Params, case: Case) -> Script:
    variant = p["variant"].split(" ")[0]
    quantity = next(name for name in case["steps"] if name.startswith("state_after/"))
    if variant == "log1p":
        return Script(call("positive_uncertainty", start=p["init"]), learned={"positive_uncertainty.s": quantity})
    factor = 1 if variant == "yaringal" else 0.5
    return Script(call("uncertainty", start=p["init"], factor=factor), learned={"uncertainty.s": quantity})


@rule("uw_so")
def _uw_so(p: Params, case: Case) -> Script:
    if not p["use_softmax"]:
        raise NotCovered("weights 1/loss")
    return Script(call("uw_so", T=p["temperature"]))


@rule("imtl_l")
def _imtl_l(p: Params, case: Case) -> Script:
    return Script("imtl_l", learned={"imtl_l.s": "state_after/log_scale"})


@rule("gls")
def _gls(p: Params, case: Case) -> Script:
    p.note("variant")
    return Script("gls")


@rule("scale_invariant")
def _scale_invariant(p: Params, case: Case) -> Script:
    return Script("scale_invariant")


@rule("rlw")
def _rlw(p: Params, case: Case) -> Script:
    return Script("rlw(noise=log(share))", header=", share: real[k]", draws={"share": "weights"})


@rule("dwa")
def _dwa(p: Params, case: Case) -> Script:
    if "iteration_window" in p:
        raise NotCovered("means over windows of calls, in float32")
    return Script(call("dwa_epochs", T=p.get("T")), epochs=True)


@rule("relobralo")
def _relobralo(p: Params, case: Case) -> Script:
    if not corpus.load(DOMAIN)[1][case["inputs"]["task_losses"]].all():
        raise NotCovered("a loss of 0: the source's largest ratio is infinite, and all of its weights vanish")
    options = call("relobralo", alpha=p["alpha"], beta=p["beta"], tau=p["tau"], keep="kept > 0.5")
    return Script(options, header=", kept: real", draws={"kept": "random/bernoulli"}, tolerance=EPS)


@rule("softadapt")
def _softadapt(p: Params, case: Case) -> Script:
    if p["variant"] != "physicsnemo ratio":
        raise NotCovered("slopes over windows of calls")
    return Script("softadapt(by=ratio)", tolerance=EPS)


@rule("stch")
def _stch(p: Params, case: Case) -> Script:
    if "mu" not in p or p["weights"] is not None or p["reference"] is not None:
        raise NotCovered("a warm-up that finds the nadir")
    return Script(call("stch", mu=p["mu"]))


@rule("cosmos")
def _cosmos(p: Params, case: Case) -> Script:
    p.note("weights")
    return Script(call("cosmos", lam=p["lambda"]))


# ------------------------------------------------------------------------------------------ by gradients
@rule("imtl_g")
def _imtl_g(p: Params, case: Case) -> Script:
    p.note("variant")
    return Script("imtl_g(wrt=x)")


@rule("gradnorm")
def _gradnorm(p: Params, case: Case) -> Script:
    if p["variant"] != "libmtl":
        raise NotCovered("a gradient of second order in the model")
    return Script(call("gradnorm", wrt="x", alpha=p["alpha"]), learned={"gradnorm.p": "state_after/loss_scale"})
