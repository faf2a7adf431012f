"""Constants and overrides: what Python and the command line add to a text."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch

import losslang
from losslang import compiler
from losslang.diagnostics import Diagnostic, LosslangError
from losslang.passes import pipeline
from losslang.sema.settings import constant_of, text_of

FILE = """\
loss mine(pred, target: real[b], slack: real >= 0 = 0.1, power: int = 1) -> [b]:
    relu(abs(pred - target) - slack)^power

lenient = mine(slack=0.5)

objective main(pred, target: real[b], beta: real >= 0 = 0.5, free: real):
    part = mine(pred, target, 0.2)
    part + beta*lenient + free*(2*l1(pred, target) + mse(pred, target)) | uncertainty
"""


def problem(text: str, **options: Any) -> Diagnostic:
    """The one error of a text."""
    with pytest.raises(LosslangError) as caught:
        pipeline.run(losslang.check(text, **options))
    (found,) = caught.value.diagnostics
    assert found.hint and (found.expected or found.found)
    return found


def same(text: str, other: str, **options: Any) -> bool:
    """Whether a text with options means what another says."""
    return compiler.digest(losslang.check(text, **options)) == compiler.digest(losslang.check(other))


# ------------------------------------------------------------------------------------------ constants
@pytest.mark.parametrize(
    ("text", "constants", "other"),
    [
        ("l1 + beta*mse", {"beta": 0.3}, "l1 + 0.3*mse"),
        ("l1 + beta*mse", {"beta": np.float32(0.5)}, "l1 + 0.5*mse"),
        ("l1 - beta*mse", {"beta": -2}, "l1 - (-2)*mse"),
        ("focal(gamma=g) + g*l1", {"g": np.int64(3)}, "focal(gamma=3) + 3*l1"),
        ("focal(g)", {"g": 3}, "focal(3)"),
        ("focal(detach=flag)", {"flag": True}, "focal(detach=true)"),
        ("tv(pred, order=how)", {"how": "l2"}, "tv(pred, order=l2)"),
        ("tv(pred, how)", {"how": "l2_squared"}, "tv(pred, l2_squared)"),
        ("l1(reduce=how)", {"how": "sum"}, "l1(reduce=sum)"),
        ("huber(delta=w*2)", {"w": 0.25}, "huber(delta=0.25*2)"),
    ],
)
def test_a_constant_stands_for_its_value(text: str, constants: dict[str, Any], other: str) -> None:
    assert same(text, other, constants=constants)
    assert same(text, other, **constants)


def test_a_constant_of_the_header() -> None:
    text = "objective o(beta: real >= 0 = 0.5): l1 + beta*mse\n"
    assert same(text, "objective o(beta: real >= 0 = 0.3): l1 + beta*mse\n", beta=0.3)
    assert problem(text, beta=-1).code == "LL0305"
    assert problem(text, beta="high").code == "LL0307"
    assert problem("objective o(n: int = 1): l1 + n*mse\n", n=0.5).code == "LL0307"
    free = "objective o(beta: real): l1 + beta*mse\n"
    assert [node.name for node in losslang.check(free).inputs] == ["beta", "pred", "target"]
    assert same(free, "objective o(): l1 + 0.3*mse\n", beta=0.3), "a number that is given is no input"


def test_a_default_of_the_header_is_within_its_bounds() -> None:
    assert problem("objective o(beta: real >= 0 = -0.5): l1 + beta*mse\n").code == "LL0305"


def test_constants_run() -> None:
    objective = losslang.compile("l1 + beta*mse", backend="eager", beta=0.5)
    batch = {"pred": torch.zeros(3), "target": torch.full((3,), 2.0)}
    assert objective(batch).total.item() == 4
    assert pickle.loads(pickle.dumps(objective))(batch).total.item() == 4


@pytest.mark.parametrize(
    ("text", "options", "code", "hint"),
    [
        ("l1 + beta*mse", {"bta": 0.3}, "LL0704", "did you mean 'beta'?"),
        ("l1", {"constants": {"beta": 0.3}}, "LL0704", "remove it"),
        ("focal", {"gamma": 3}, "LL0704", "terms.focal.gamma"),
        ("0.5*l1 + (1 - ssim) as structure", {"win": 3}, "LL0704", "terms.structure.win"),
        ("l1 + beta*mse", {"beta": torch.tensor(0.3)}, "LL0709", "input"),
        ("l1 + beta*mse", {"beta": None}, "LL0709", "input"),
        ("l1 + beta*mse", {"beta": math.nan}, "LL0709", "input"),
        ("l1 + beta*mse", {"beta": [1]}, "LL0709", "input"),
        ("l1 + beta*mse", {"beta": "0.3 + l1"}, "LL0709", "input"),
        ("l1 + beta*mse", {"beta": object()}, "LL0709", "input"),
        ("l1", {"constants": {"a b": 1}}, "LL0709", "override"),
        ("l1", {"constants": {"terms.l1.weight": 1}}, "LL0709", "override"),
        ("l1 + mse", {"l1": 1}, "LL0703", "l1_value"),
        ("l1 + auto*mse", {"auto": 1}, "LL0703", "auto_value"),
        ("l1 + vgg*mse", {"vgg": 1}, "LL0703", "vgg_value"),
        ("objective o(x: real[b]): l1(x, target)\n", {"x": 1}, "LL0703", "x_value"),
        ("objective o():\n    a = pred - 1\n    l1(a, target)\n", {"a": 1}, "LL0703", "a_value"),
        ("l1 + beta*mse", {"beta": math.inf}, "LL0402", "number"),
        ("loss f(x: real[b]) -> [b]: beta*x\n\nobjective o(): beta*f\n", {"beta": 2}, "LL0203", "parameters"),
    ],
)
def test_wrong_constants(text: str, options: dict[str, Any], code: str, hint: str) -> None:
    found = problem(text, **options)
    assert found.code == code
    assert hint in (found.hint or "")


@pytest.mark.parametrize(("name", "near"), [("bakend", "backend"), ("check_finit", "check_finite"), ("pth", "path")])
def test_a_misspelt_option_is_no_constant(name: str, near: str) -> None:
    with pytest.raises(LosslangError, match=f"did you mean '{near}'") as caught:
        losslang.compile("l1", **{name: "eager"})  # type: ignore[arg-type]
    assert caught.value.diagnostics[0].code == "LL0704"
    assert losslang.compile(f"l1 + {name}*mse", backend="eager", **{name: 2})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("b=0.3", 0.3),
        ("b=3", 3),
        ("b=-1e-3", -1e-3),
        ("b=true", True),
        ("b=false", False),
        ("b=l2", "l2"),
        ("b=inf", math.inf),
    ],
)
def test_constants_of_the_command_line(text: str, value: object) -> None:
    found = constant_of(text, "--const")
    assert (found.name, found.value, type(found.value)) == ("b", value, type(value))


# ------------------------------------------------------------------------------------------ overrides
@pytest.mark.parametrize(
    ("text", "overrides", "other"),
    [
        ("focal", {"terms.focal.gamma": 3}, "focal(gamma=3)"),
        ("focal(gamma=1)", {"terms.focal.gamma": 3}, "focal(gamma=3)"),
        ("focal(logits, labels, 1)", {"terms.focal.gamma": 3}, "focal(logits, labels, gamma=3)"),
        ("focal(1)", {"terms.focal.gamma": "auto"}, "focal(gamma=auto)"),
        ("0.5*focal as cls + l1", {"terms.cls.gamma": 3}, "0.5*focal(gamma=3) as cls + l1"),
        ("0.5*focal + l1", {"terms.l1.weight": 0.25}, "0.5*focal + 0.25*l1"),
        ("2*(focal + l1)", {"terms.l1.weight": 0.25}, "2*focal + 0.25*l1"),
        ("l1 - 0.1*mse", {"terms.mse.weight": 0.3}, "l1 + 0.3*mse"),
        ("l1 + mse", {"terms.mse.weight": "auto"}, "l1 + auto*mse"),
        ("l1 + mse", {"terms.mse.weight": "2*0.25"}, "l1 + 2*0.25*mse"),
        ("1 - ssim", {"terms.ssim.win": 7}, "1 - ssim(win=7)"),
        ("l1 + mse", {"terms.mse.reduce": "sum"}, "l1 + mse(reduce=sum)"),
        ("ce", {"terms.ce.ignore": -100}, "ce(ignore=-100)"),
        ("ce", {"terms.ce.c": 10}, "ce(c=10)"),
        ("l1 + mse", {"terms.mse.loss": "huber(delta=2)"}, "l1 + huber(delta=2) as mse"),
        ("l1 + mse", {"terms.mse.pred": "x", "terms.l1.weight": 2}, "2*l1 + mse(pred=x)"),
        ("l1 + l1(a, b)", {"terms.l1_2.weight": 3}, "l1 + 3*l1(a, b)"),
        ("triplet(mine=hard)", {"terms.triplet.mine": "semihard"}, "triplet(mine=semihard)"),
    ],
)
def test_overrides(text: str, overrides: dict[str, Any], other: str) -> None:
    assert same(text, other, overrides=overrides)


def test_overrides_of_a_file() -> None:
    found = {"terms.part.slack": 0.3, "terms.lenient.power": 2, "terms.mse.weight": 0.1}
    other = FILE.replace("0.2)", "0.3)").replace("slack=0.5", "slack=0.5, power=2").replace(" + mse(", " + ZERO*mse(")
    text = losslang.check(FILE, overrides=found)
    wanted = losslang.check(other.replace("free*(2*l1(pred, target) + ZERO*mse", "free*2*l1(pred, target) + (0.1*mse"))
    assert compiler.digest(text) == compiler.digest(wanted)


def test_options_of_a_pass() -> None:
    text = "balancer by(loss, w: real[k], slope: real = 1): slope*sum[k](w*loss)\n\nobjective o(): l1 + mse | by"
    assert same(text + "\n", text + "(slope=3)\n", overrides={"passes.by.slope": 3})
    assert same(text + "(slope=2)\n", text + "(slope=3)\n", overrides={"passes.by.slope": 3})


def test_the_later_override_counts() -> None:
    unit = compiler.unit_of("focal", overrides={"terms.focal.gamma": 3})
    found = losslang.check(unit, overrides={"terms.focal.gamma": 5})
    assert compiler.digest(found) == compiler.digest(losslang.check("focal(gamma=5)"))


@pytest.mark.parametrize(
    ("text", "overrides", "code", "hint"),
    [
        ("focal as cls", {"terms.clss.gamma": 3}, "LL0705", "did you mean 'cls'?"),
        ("focal as cls", {"terms.cls.gama": 3}, "LL0705", "did you mean 'gamma'?"),
        ("focal as cls", {"terms.cls.wieght": 3}, "LL0705", "did you mean 'weight'?"),
        ("focal as cls", {"cls.gamma": 3}, "LL0705", "name"),
        ("focal as cls", {"term.cls.gamma": 3}, "LL0705", "did you mean 'terms'?"),
        ("focal as cls", {"terms.cls": 3}, "LL0705", "name"),
        ("focal as cls", {"terms..gamma": 3}, "LL0705", "name"),
        ("focal as cls", {"": 3}, "LL0705", "name"),
        ("focal as cls", {"terms.cls.gamma.x": 3}, "LL0705", "name"),
        ("focal as cls", {"terms.cls.gamma": -3}, "LL0305", "default"),
        ("focal as cls", {"terms.cls.gamma": torch.zeros(3)}, "LL0709", "input"),
        ("focal as cls", {"terms.cls.gamma": {"a": 1}}, "LL0709", "input"),
        ("focal as cls", {"terms.cls.gamma": "2 3"}, "LL0101", "2*3"),
        ("focal as cls", {"terms.cls.gamma": ""}, "LL0102", "sum of losses"),
        ("focal as cls", {"terms.cls.weight": '"high"'}, "LL0402", "quotes"),
        ("l1*mse as both", {"terms.both.pred": "x"}, "LL0705", "term"),
        ("l1 | uncertainty", {"passes.uncertanty.k": 3}, "LL0705", "did you mean 'uncertainty'?"),
        ("l1", {"passes.uncertainty.k": 3}, "LL0705", "explain"),
        ("l1 | uncertainty", {"passes.uncertainty.slope": 3}, "LL0202", "explain"),
        ("-ssim", {"terms.ssim.weight": 0.5}, "LL0403", "1 - ssim"),
    ],
)
def test_wrong_overrides(text: str, overrides: dict[str, Any], code: str, hint: str) -> None:
    found = problem(text, overrides=overrides)
    assert found.code == code
    assert hint in (found.hint or "")


def test_an_error_in_an_override_points_into_it() -> None:
    found = problem("l1 + focal as cls", overrides={"terms.cls.gamma": -3})
    assert found.span is not None and str(found.span) == "<overrides>:1:17"
    assert found.span.source.text == "terms.cls.gamma=-3"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        (True, "true"),
        (3, "3"),
        (1e-6, "1e-6"),
        ((1, "a"), "[1, a]"),
        (math.inf, "inf"),
        (math.nan, None),
        ({}, None),
        ([{}], None),
    ],
)
def test_values_as_texts(value: object, text: str | None) -> None:
    assert text_of(value) == text
