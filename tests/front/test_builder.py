"""Objectives that Python builds: the same as their texts, and messages that show what was built."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import losslang
from losslang import balancer, compiler, term
from losslang.builder import Term
from losslang.diagnostics import Diagnostic, LosslangError


def digest(text: Any, **options: Any) -> str:
    return compiler.digest(losslang.check(text, **options))


focal, l1, mse = term("focal", gamma=2), term("l1"), term("mse")


@pytest.mark.parametrize(
    ("built", "text"),
    [
        (term("l1"), "l1"),
        (term("l1", "pred", "target"), "l1(pred, target)"),
        (focal * 0.5 + l1 | balancer("uncertainty"), "0.5*focal(gamma=2) + l1 | uncertainty"),
        (0.5 * focal, "0.5*focal(gamma=2)"),
        (focal / 3, "focal(gamma=2)/3"),
        (-term("ssim"), "-ssim"),
        (1 - term("ssim", "a", "b"), "1 - ssim(a, b)"),
        (term("ssim", "a", "b") * -1, "-ssim(a, b)"),
        (l1 - 0.1 * mse, "l1 - 0.1*mse"),
        (l1 + (mse - 0.5 * focal), "l1 + (mse - 0.5*focal(gamma=2))"),
        (l1 + mse + focal, "l1 + mse + focal(gamma=2)"),
        (sum([l1, mse, focal]), "l1 + mse + focal(gamma=2)"),
        (2 * (l1 + mse), "2*(l1 + mse)"),
        ((l1 + mse | balancer("uncertainty")) + 0.1 * focal, "(l1 + mse | uncertainty) + 0.1*focal(gamma=2)"),
        ("auto" * l1 + mse * "auto", "auto*l1 + auto*mse"),
        (l1.named("rec") + 0.5 * focal.named("cls"), "l1 as rec + 0.5*focal(gamma=2) as cls"),
        ((0.5 * focal).named("cls"), "0.5*focal(gamma=2) as cls"),
        (focal.named("a").named("b"), "focal(gamma=2) as b"),
        ((1 - term("ssim", "a", "b")).named("s") * 2, "2*((1 - ssim(a, b)) as s)"),
        (term("ce", ignore=-100, reduce="sum"), "ce(ignore=-100, reduce=sum)"),
        (term("focal", gamma=np.float64(1.5)) * np.float32(0.5), "0.5*focal(gamma=1.5)"),
        (term("focal", detach=True), "focal(detach=true)"),
        (term("infonce", tau="auto"), "infonce(tau=auto)"),
        (term("dice", prob="softmax[c](logits)", target="labels"), "dice(prob=softmax[c](logits), target=labels)"),
        (term("lpips", "squeeze"), "lpips(squeeze)"),
        (term("triplet", mine="semihard"), "triplet(mine=semihard)"),
        (term("triplet", mine=term("semihard")), "triplet(mine=semihard)"),
        (l1 * mse, "l1*mse"),
    ],
)
def test_what_is_built_is_the_text(built: Term, text: str) -> None:
    assert digest(built) == digest(text)
    assert losslang.parse(str(built)) == losslang.parse(built)
    assert losslang.format(str(built)).rstrip("\n") == str(built)
    assert digest(losslang.to_config(built)) == digest(text)


def test_it_compiles_and_runs() -> None:
    objective = losslang.compile(l1 + "beta" * mse, backend="eager", beta=0.5, overrides={"terms.l1.weight": 2})
    batch = {"pred": torch.zeros(3), "target": torch.full((3,), 2.0)}
    assert objective(batch).total.item() == 6
    assert pickle.loads(pickle.dumps(objective))(batch).total.item() == 6


def test_own_losses(tmp_path: Path) -> None:
    (tmp_path / "mine.loss").write_text("loss special(x: real[b], k: real = 1) -> [b]: k*x\n")
    wanted = digest("loss special(x: real[b], k: real = 1) -> [b]: k*x\n\nobjective o: 0.5*special(k=2) + l1\n")
    assert digest((term("special", k=2) * 0.5 + l1).using("mine"), path=tmp_path) == wanted
    assert digest(term("m.special", k=2).using("./mine.loss as m") * 0.5 + l1, path=tmp_path) == wanted
    assert digest(0.5 * term("special", k=2) + l1.using("mine"), path=tmp_path) == wanted


def test_it_is_shown_as_its_text() -> None:
    built = focal.named("cls") * 0.5 + l1 | balancer("uncertainty")
    assert str(built) == "0.5*(focal(gamma=2) as cls) + l1 | uncertainty"
    assert repr(built) == f"<losslang: {built}>"
    assert str(balancer("gradfrac", wrt="pred", decay=0.9)) == "gradfrac(wrt=pred, decay=0.9)"
    assert built == focal.named("cls") * 0.5 + l1 | balancer("uncertainty") and built != l1


# ------------------------------------------------------------------------------------------ what is wrong
def problem(action: Any) -> Diagnostic:
    with pytest.raises(LosslangError) as caught:
        action()
    (found,) = caught.value.diagnostics
    assert found.hint and (found.expected or found.found)
    return found


@pytest.mark.parametrize(
    ("built", "text"),
    [
        (term("focl"), "focl"),
        (term("focal", gama=2), "focal(gama=2)"),
        (term("focal", gamma=-1), "focal(gamma=-1)"),
        (term("focal", gamma='"high"'), 'focal(gamma="high")'),
        (l1 | balancer("uncertanty"), "l1 | uncertanty"),
        (l1 * True, "true*l1"),
        (term("ssim"), "ssim"),
        (l1.named("a") + mse.named("a"), "l1 as a + mse as a"),
        (l1 + 1, "l1 + 1"),
        (l1 * math.inf, "inf*l1"),
        (balancer("uncertainty") and term("uncertainty"), "uncertainty"),
    ],
)
def test_wrong_objectives_get_what_their_texts_get(built: Term, text: str) -> None:
    ours, theirs = problem(lambda: losslang.check(built)), problem(lambda: losslang.check(text))
    assert (ours.code, ours.message, ours.expected, ours.found, ours.hint) == (
        theirs.code,
        theirs.message,
        theirs.expected,
        theirs.found,
        theirs.hint,
    )
    assert ours.span is not None and theirs.span is not None
    assert (ours.span.text, ours.span.source.name) == (theirs.span.text, "<python>")


@pytest.mark.parametrize(
    ("action", "code", "found"),
    [
        (lambda: term(3), "LL0709", "3 (int)"),
        (lambda: term("focal(gamma=2)"), "LL0709", "'focal(gamma=2)' (str)"),
        (lambda: term(""), "LL0709", "'' (str)"),
        (lambda: term("if"), "LL0709", "'if' (str)"),
        (lambda: term("focal", gamma=object), "LL0709", "<class 'object'> (type)"),
        (lambda: term("focal", gamma=math.nan), "LL0709", "nan (float)"),
        (lambda: term("focal", gamma=torch.tensor(2.0)), "LL0709", "tensor(2.) (Tensor)"),
        (lambda: term("focal", gamma={"a": 1}), "LL0709", "{'a': 1} (dict)"),
        (lambda: term("l1", torch.zeros(1)), "LL0709", "tensor([0.]) (Tensor)"),
        (lambda: l1 + "mse", "LL0709", "'mse' (str)"),
        (lambda: "mse" + l1, "LL0709", "'mse' (str)"),
        (lambda: l1 + None, "LL0709", "None (NoneType)"),
        (lambda: l1 * None, "LL0709", "None (NoneType)"),
        (lambda: l1 * [1, object()], "LL0709", None),
        (lambda: l1 | "uncertainty", "LL0709", "'uncertainty' (str)"),
        (lambda: l1 | mse, "LL0709", "<losslang: mse> (Term)"),
        (lambda: l1.named("my term"), "LL0709", "'my term' (str)"),
        (lambda: l1.named("as"), "LL0709", "'as' (str)"),
        (lambda: (l1 | balancer("uncertainty")).named("x"), "LL0709", "'x' (str)"),
        (lambda: l1.using(3), "LL0709", "3 (int)"),
        (lambda: balancer("un certain"), "LL0709", "'un certain' (str)"),
        (lambda: balancer("uncertainty", k=object()), "LL0709", None),
    ],
)
def test_wrong_use_shows_the_value(action: Any, code: str, found: str | None) -> None:
    shown = problem(lambda: losslang.check(action()))
    assert shown.code == code
    assert found is None or shown.found == found
    assert shown.span is not None and shown.span.source.name == "<python>"


def test_a_string_that_is_no_expression_is_shown_where_it_is_given() -> None:
    with pytest.raises(LosslangError) as caught:
        term("focal", gamma="2 3")
    assert "<python>:1:15\n1 | focal(gamma=2 3\n  |               ^\n" in str(caught.value)


def test_nothing_is_injected() -> None:
    for text in ("2) + l1(", "2, detach=true", "l1\nuse mine"):
        with pytest.raises(LosslangError):
            losslang.check(term("focal", gamma=text))
