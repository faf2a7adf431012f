"""Values of the language that are no tensors of the batch: extents of axes, losses as values, lists."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import losslang
from losslang import LosslangError
from losslang.ir.printer import print_objective
from losslang.passes import pipeline

Z = torch.tensor([[1.0, 0.0], [0.5, 2.0], [-1.0, 1.0]])


def total(text: str, **batch: Any) -> float:
    """The total of a batch, which every stage of the compiler prints as the same nodes."""
    first = losslang.check(text)
    for stage in (first, pipeline.run(first)):
        printed = print_objective(stage)
        assert print_objective(losslang.check(printed)) == printed
    return float(losslang.compile(text, backend="eager")(**batch).total)


def inputs(text: str) -> list[str]:
    """The types of the inputs."""
    return [f"{node.name}: {node.type_text}" for node in losslang.check(text).inputs]


# ------------------------------------------------------------------------------------------ extents
COUNT = """
loss counted(z: embed[i, d], labels: label[i] < c) -> [i]:
    hit[i, c] = labels[i] == c
    sum[d](z) + sum[c](hit)*size(c)

"""


def test_a_call_gives_an_axis_of_an_argument_its_extent() -> None:
    assert inputs("ce(c=3)") == ["logits: logit[b, c=3, ...]", "labels: label[b, ...] < c"]
    assert inputs("focal + ce(c=3)") == inputs("ce(c=3)")
    with pytest.raises(LosslangError, match="(?s)LL0503.*axis 'c' of 'logits' has 2 elements"):
        losslang.compile("ce(c=3)", backend="eager")(logits=torch.zeros(4, 2), labels=torch.zeros(4).long())


def test_a_call_gives_an_axis_that_only_labels_index_its_extent() -> None:
    text = f"{COUNT}objective main(): counted(c=5)"
    assert total(text, z=Z, labels=torch.tensor([0, 4, 2])) == pytest.approx(3.5 / 3 + 5)
    with pytest.raises(LosslangError, match="(?s)LL0505.*0 to 4: axis 'c' has 5 elements"):
        losslang.compile(text, backend="eager")(z=Z, labels=torch.tensor([0, 5, 2]))


def test_a_call_inside_a_definition_gives_an_extent() -> None:
    text = (
        f"{COUNT}loss outer(z: embed[i, d], y: label[i] < n) -> [i]:\n    counted(z, y, c=5, d=2)\n\n"
        "objective main(): outer"
    )
    assert inputs(text) == ["z: embed[i, d=2]", "y: label[i] < n"]
    assert total(text, z=Z, y=torch.tensor([0, 4, 2])) == pytest.approx(3.5 / 3 + 5)


def test_a_call_gives_an_axis_that_a_binding_makes_its_extent() -> None:
    text = (
        "loss banked(z: embed[i, d]) -> [i]:\n    bank[n, d] = (n + 1)*mean[i](z)\n"
        "    max[n](dot(z[i], bank[n]))\n\nobjective main(): banked(n=4)"
    )
    mean = Z.mean(0)
    scores = torch.stack([(n + 1) * (Z @ mean) for n in range(4)]).max(0).values
    assert total(text, z=Z) == pytest.approx(float(scores.mean()))


def test_an_extent_may_be_a_scalar_of_the_header_or_given_before_the_call() -> None:
    assert inputs("objective main(logits: logit[b, c], classes: int = 7): ce(c=classes)")[0] == "logits: logit[b, c=7]"
    text = (
        "fn spread(x: real[d]):\n    each[n, d] = x + n\n    sum[n, d](each)\n\n"
        "loss uses(f: fn, z: embed[i, d]) -> [i]: f(z)\n\nobjective main(): uses(spread(n=3))"
    )
    assert total(text, z=Z) == pytest.approx(3.5 + 2 * 3)


def test_the_header_of_an_objective_gives_extents() -> None:
    text = "objective main[c=4](labels: label[b] < c, x: real[b]):\n    mse(pred=1.0*labels, target=x)\n"
    assert total(text, labels=torch.tensor([0, 3]), x=torch.tensor([1.0, 1.0])) == pytest.approx(2.5)
    with pytest.raises(LosslangError, match="LL0505"):
        losslang.compile(text, backend="eager")(labels=torch.tensor([0, 4]), x=torch.zeros(2))


# ------------------------------------------------------------------------------------------ losses as values
X, Y = torch.tensor([[1.0, 2.0, 0.0], [0.5, -1.0, 3.0]]), torch.tensor([[0.0, 2.5, 1.0], [1.5, -1.0, 0.0]])
LOGITS, LABELS = torch.tensor([[2.0, 0.5, 0.0], [0.0, 1.0, -1.0]]), torch.tensor([0, 2])
TWICE = "loss twice(L: loss, pred, target: real[b, t]) -> [b]:\n    part[b] = L(pred, target)\n    2*part\n\n"
CAREFUL = "loss doubled(L: loss, logits: logit[b, c], labels: label[b] < c) -> [b]: 2*L(logits, labels)\n\n"


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("mse", lambda d: d**2),
        ("mse + 0.5*l1", lambda d: d**2 + 0.5 * d.abs()),
        ("L=mse - l1/4", lambda d: d**2 - d.abs() / 4),
        ("exp(-mse)", lambda d: (-(d**2)).exp()),
        ("1 - exp(-mse)", lambda d: 1 - (-(d**2)).exp()),
        ("max(l1, mse)", lambda d: torch.maximum(d.abs(), d**2)),
        ("huber(delta=0.5)", lambda d: torch.where(d.abs() < 0.5, d**2 / 2, 0.5 * (d.abs() - 0.25))),
        ("2*huber(delta=0.5) + (l1 if true else mse)", None),
    ],
)
def test_arithmetic_on_losses_is_a_loss(written: str, value: Any) -> None:
    text = f"{TWICE}objective main(): twice({written})"
    if value is None:
        assert total(text, pred=X, target=Y) == pytest.approx(
            total(f"{TWICE}objective main(): 2*twice(huber(delta=0.5)) + twice(l1)", pred=X, target=Y)
        )
    else:
        assert total(text, pred=X, target=Y) == pytest.approx(float(2 * value(X - Y).mean()))


def test_each_part_gets_the_arguments_that_it_takes() -> None:
    text = "sharp = ce(smoothing=0.1) + 0.5*poly1\n\n" + CAREFUL
    parts = "ce(smoothing=0.1) + 0.5*poly1(epsilon=2)"
    direct = total(parts, logits=LOGITS, labels=LABELS)
    assert total(f"{text}objective main(): sharp(epsilon=2)", logits=LOGITS, labels=LABELS) == pytest.approx(direct)
    assert total(f"{text}objective main(): doubled(sharp(epsilon=2))", logits=LOGITS, labels=LABELS) == pytest.approx(
        2 * direct
    )
    assert total(f"{text}objective main(): doubled({parts})", logits=LOGITS, labels=LABELS) == pytest.approx(2 * direct)
    with pytest.raises(LosslangError, match="(?s)LL0202.*loss sharp has no parameter 'smoothing'"):
        losslang.check("sharp = ce(smoothing=0.1) + poly1\n\nobjective main(): sharp(smoothing=0.2)")


def test_a_loss_of_numbers_and_of_a_parameter_is_a_value_too() -> None:
    text = TWICE + (
        "loss mixed(L: loss, w: real, pred, target: real[b, t]) -> [b]:\n    M = w*L + (1 - w)*mse\n"
        "    twice(M, pred, target)\n\nobjective main(): mixed(l1, 0.25)"
    )
    d = X - Y
    wanted = 2 * (0.25 * d.abs() + 0.75 * d**2).mean()
    assert total(text, pred=X, target=Y) == pytest.approx(float(wanted))


def test_an_alias_is_a_loss_under_its_own_name_and_a_sum_is_taken_apart() -> None:
    text = (
        "half = 0.5*l1\nroot = sqrt(mse)\nboth = half + 3*mse\nquarter = 0.25\n\n"
        "objective main(): half + root(pred, target) + both(reduce=sum) + quarter*l1"
    )
    found = losslang.check(text)
    assert [term.name for term in found.terms] == ["half", "root", "half_2", "mse", "l1"]
    d = X - Y
    wanted = d.abs().mean() * (0.5 + 1 + 0.25) + d.abs().sum() / 2 + 3 * (d**2).sum()
    assert total(text, pred=X, target=Y) == pytest.approx(float(wanted))


def test_what_is_higher_is_better_stays_so() -> None:
    for text in ("same = cosine\n", "same = 2*cosine\n", "same = cosine - 1\n", "same = exp(cosine)\n"):
        with pytest.raises(LosslangError, match="LL0403"):
            losslang.check(f"{text}\nobjective main(): same")
    for text in ("far = -cosine\n", "far = 1 - cosine\n", "far = -2*cosine\n", "far = exp(-cosine)\n"):
        assert losslang.check(f"{text}\nobjective main(): far").terms[0].name == "far"


def test_aliases_that_double_at_every_level_are_refused() -> None:
    aliases = "".join(f"a{k + 1} = sqrt(a{k}*a{k})\n" for k in range(60))
    with pytest.raises(LosslangError, match="LL0406"):
        losslang.check(f"a0 = l1\n{aliases}\nobjective main(): a60")


# ------------------------------------------------------------------------------------------ rows inside definitions
def test_rows_that_are_bound_to_fewer_axes_are_reduced_over_the_others() -> None:
    text = (
        "loss pairs(L: loss, pred, target: real[b, s, t]) -> [b]:\n"
        "    pair[b, i, j] = L(pred[s=i], target[s=j])\n    min[i, j](pair)\n\nobjective main(): pairs(mse)"
    )
    pred, target = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    pair = ((pred[:, :, None] - target[:, None]) ** 2).mean(-1)
    assert total(text, pred=pred, target=target) == pytest.approx(float(pair.amin((1, 2)).mean()), rel=1e-5)


def test_rows_are_reduced_with_their_own_filter_and_normaliser() -> None:
    text = (
        "loss weighed(x, w: real[b, t]) -> [b, t if w > 0] / w: w*x\n\n"
        "loss outer(L: loss, x, w: real[b, t]) -> [b]:\n    row[b] = L(x, w)\n    row\n\n"
        "objective main(): outer(weighed)"
    )
    w = torch.tensor([[1.0, 2.0, -1.0], [0.0, 0.5, 0.5]])
    kept = w.clamp(min=0)
    assert total(text, x=X, w=w) == pytest.approx(float(((kept * X).sum(1) / kept.sum(1)).mean()))


def test_a_result_of_fewer_axes_reduces_rows() -> None:
    text = (
        "loss weighed(x, w: real[b, t]) -> [b, t] / w: w*x\n\n"
        "loss outer(x, w: real[b, t]) -> [b]: 2*weighed(x, w)\n\nobjective main(): outer"
    )
    w = torch.tensor([[1.0, 2.0, 1.0], [0.0, 0.5, 0.5]])
    assert total(text, x=X, w=w) == pytest.approx(float(2 * ((w * X).sum(1) / w.sum(1)).mean()))


def test_rows_keep_what_their_mean_divides_by_through_a_definition() -> None:
    text = (
        "loss named(logits: logit[b, c], labels: label[b] < c, w: real[c]) -> [b]:\n"
        "    3*ce(logits, labels, class_weight=w)\n\nobjective main(): named"
    )
    w = torch.tensor([1.0, 5.0, 0.25])
    wanted = 3 * torch.nn.functional.cross_entropy(LOGITS, LABELS, weight=w)
    assert total(text, logits=LOGITS, labels=LABELS, w=w) == pytest.approx(float(wanted))


def test_a_call_inside_a_definition_says_how_its_rows_are_reduced() -> None:
    text = (
        "loss f(x, y: real[b, t]) -> [b]: mean[t](l1(x, y)) + sqrt(mse(x, y, reduce=mean)) + l1(x, y, reduce=sum)\n\n"
        "objective main(): f"
    )
    d = X - Y
    wanted = d.abs().mean() + (d**2).mean().sqrt() + d.abs().sum()
    assert total(text, x=X, y=Y) == pytest.approx(float(wanted))
    assert total("sqrt(mse(reduce=mean))", pred=X, target=Y) == pytest.approx(float((d**2).mean().sqrt()))


def test_rows_and_numbers_add_and_rows_of_different_things_do_not() -> None:
    text = "loss f(x, y: real[b, t]): l1(x, y) + 0.5*uniform(unit(x))\n\nobjective main(): f"
    wanted = (X - Y).abs().mean() + 0.5 * total("uniform", z=torch.nn.functional.normalize(X, dim=-1))
    assert total(text, x=X, y=Y) == pytest.approx(float(wanted), rel=1e-5)
    with pytest.raises(LosslangError, match=r"(?s)LL0310.*mean\[b, t\]"):
        losslang.check(
            "loss g(x: real[b, t]) -> [b]: sum[t](x)\n\nloss f(x, y: real[b, t]): l1(x, y) + g(x)\n\nobjective o(): f"
        )


# ------------------------------------------------------------------------------------------ lists of numbers
def test_a_list_of_numbers_is_a_tensor_along_the_axis_of_its_parameter() -> None:
    weight = torch.tensor([1.0, 5.0, 0.25])
    wanted = torch.nn.functional.cross_entropy(LOGITS, LABELS, weight=weight)
    assert total("ce(class_weight=[1, 5, 0.25])", logits=LOGITS, labels=LABELS) == pytest.approx(float(wanted))
    assert total("ce(logits, labels, [1, 5, 0.25])", logits=LOGITS, labels=LABELS) == pytest.approx(float(wanted))
    scaled = "objective main(w: real): ce(class_weight=[w, 5*w, w/4])"
    assert total(scaled, logits=LOGITS, labels=LABELS, w=torch.tensor(3.0)) == pytest.approx(float(wanted))


def test_the_length_of_a_list_is_checked_before_the_first_call_or_at_it() -> None:
    with pytest.raises(LosslangError, match="(?s)LL0302.*this list has 2 elements, and axis 'c' has 3"):
        losslang.check("objective main(logits: logit[b, c=3], labels: label[b] < c): ce(class_weight=[1, 2])")
    with pytest.raises(LosslangError, match="(?s)LL0503.*axis 'c' of 'logits' has 3 elements"):
        losslang.compile("ce(class_weight=[1, 2])", backend="eager")(logits=LOGITS, labels=LABELS)


def test_a_list_inside_a_definition_gives_an_input_its_extent() -> None:
    text = (
        "loss inner(logits: logit[b, c], labels: label[b] < c) -> [b]: ce(logits, labels, class_weight=[1, 2, 1])\n\n"
        "objective main(): inner"
    )
    assert inputs(text)[0] == "logits: logit[b, c=3]"


def test_lists_of_lists_are_matrices() -> None:
    text = "loss quad(x: real[i, d], m: real[d, e]) -> [i]: sum[d, e](x[i, d]*m[d, e]*x[i, e])\n\n"
    m = torch.tensor([[1.0, 0.5, 0.0], [0.0, 2.0, 0.0], [3.0, 0.0, 1.0]])
    wanted = torch.einsum("id,de,ie->i", X, m, X).mean()
    found = total(f"{text}objective main(): quad(m=[[1, 0.5, 0], [0, 2, 0], [3, 0, 1]])", x=X)
    assert found == pytest.approx(float(wanted))


@pytest.mark.parametrize("kind", ["int", "bool"])
def test_lists_of_whole_numbers_and_of_conditions_are_tensors_of_their_kind(kind: str) -> None:
    items, other = ("[2, 0, 1]", [2, 0, 1]) if kind == "int" else ("[true, false, true]", [1, 0, 1])
    text = f"loss f(x: real[b, t], k: {kind}[t]) -> [b]: sum[t](x*k)\n\nobjective main(): f(k={items})"
    assert total(text, x=X) == pytest.approx(float((X * torch.tensor(other)).sum(1).mean()))


# ------------------------------------------------------------------------------------------ list axes
SCALED = "fn scaled(x: real[t], n: int) -> [t]: x*n\n\n"


def test_lists_along_one_axis_are_zipped() -> None:
    text = SCALED + (
        "loss multi(x: real[b, t], n: int[r] = [1, 2, 3], w: real[r] = [0.5, 0.25, 1]) -> [b]:\n"
        "    mean[r](w*mean[t](scaled(x, n[r])))\n\n"
    )
    wanted = (0.5 * 1 + 0.25 * 2 + 1 * 3) / 3 * X.mean()
    assert total(f"{text}objective main(): multi", x=X) == pytest.approx(float(wanted))
    assert total(f"{text}objective main(): multi(n=[4, 5], w=2)", x=X) == pytest.approx(float(9 * X.mean()))
    given = total(f"{text}objective main(): multi(w=weights)", x=X, weights=torch.tensor([0.5, 0.25, 1.0]))
    assert given == pytest.approx(float(wanted))
    with pytest.raises(LosslangError, match="(?s)LL0302.*two lists over 'r' have 2 and 3 elements"):
        losslang.check(f"{text}objective main(): multi(n=[1, 2])")


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("sum[r](y)", lambda y: y.sum(0)),
        ("mean[r](y)", lambda y: y.mean(0)),
        ("prod[r](y)", lambda y: y.prod(0)),
        ("max[r](y)", lambda y: y.amax(0)),
        ("min[r](y)", lambda y: y.amin(0)),
        ("y[0]*any[r](y > 1)", lambda y: y[0] * (y > 1).any(0)),
        ("y[0]*all[r](y > 1)", lambda y: y[0] * (y > 1).all(0)),
        ("y[0]*count[r](y > 1)", lambda y: y[0] * (y > 1).sum(0)),
        ("logsumexp[r](y)", lambda y: y.logsumexp(0)),
        ("std[r](y)", lambda y: y.std(0, unbiased=False)),
        ("norm[r](y)", None),
        ("sum[r](softmax[r](y)*y)", lambda y: (y.softmax(0) * y).sum(0)),
        ("sum[r if r > 0](y)", lambda y: y[1:].sum(0)),
        ("mean[r if y > 1](y)", lambda y: (y * (y > 1)).sum(0) / (y > 1).sum(0).clamp(min=1)),
        ("max[r if y < 1](max(y, -5))", lambda y: torch.where(y < 1, y, -torch.inf).amax(0)),
        ("y[0] - y[r=1] + y[size(r) - 1]", lambda y: y[0] - y[1] + y[2]),
        ("sum[r](y if r < size(r) - 1 else 0*y)", lambda y: y[:2].sum(0)),
        ("sum[r](r*y)", lambda y: y[1] + 2 * y[2]),
        ("sum[r](1)*y[0]", lambda y: 3 * y[0]),
        ("sum[r, q](y[r]*y[q])", lambda y: y.sum(0) ** 2),
    ],
)
def test_reductions_and_indices_over_a_list_axis(body: str, wanted: Any) -> None:
    text = SCALED + (
        f"loss f(x: real[b, t], n: int[r] = [1, 3, 2]) -> [b]:\n    y[r] = mean[t](scaled(x, n))\n    {body}\n\n"
        "objective main(): f"
    )
    x = X.abs() + 0.25
    y = torch.stack([n * x.mean(1) for n in (1, 3, 2)]).double()
    if wanted is None:
        wanted = lambda y: y.norm(dim=0)  # noqa: E731
    found = float(losslang.compile(text, backend="eager")(x=x.double()).total)
    assert found == pytest.approx(float(wanted(y).mean()))


MATCHING = "loss matching(fake, real: real[l][b, ...]): mean[l](mean[b, ...](abs(fake[l] - real[l])))\n\n"
LAYERS = [torch.randn(2, 3), torch.randn(2, 4, 5), torch.randn(6)]
OTHERS = [torch.randn(2, 3), torch.randn(2, 4, 5), torch.randn(6)]


def test_an_input_may_be_a_list_whose_elements_differ_in_shape() -> None:
    text = f"{MATCHING}objective main(): matching(l=3)"
    wanted = sum((a - b).abs().mean() for a, b in zip(LAYERS, OTHERS, strict=True)) / 3
    assert total(text, fake=LAYERS, real=OTHERS) == pytest.approx(float(wanted))
    assert total(text, fake=tuple(LAYERS), real=OTHERS) == pytest.approx(float(wanted))
    objective = losslang.compile(text, backend="eager")
    assert objective.signature.names == ("fake", "real")
    leaves = [layer.clone().requires_grad_() for layer in LAYERS]
    objective({"fake": leaves, "real": OTHERS}).backward()
    for leaf, other in zip(leaves, OTHERS, strict=True):
        torch.testing.assert_close(leaf.grad, torch.sign(leaf.detach() - other) / leaf.numel() / 3)


def test_lists_of_lists() -> None:
    text = (
        "loss matching(fake, real: real[d][l][b, ...], weight: real = 2):\n"
        "    weight*sum[d](sum[l](mean[b, ...](abs(fake[d, l] - real[d, l]))))\n\n"
        "objective main(fake, real: real[d=2][l=3][b, ...]): matching"
    )
    fake, real = [LAYERS, OTHERS], [OTHERS, [2 * x for x in LAYERS]]
    pairs = [(a, b) for one, two in zip(fake, real, strict=True) for a, b in zip(one, two, strict=True)]
    assert total(text, fake=fake, real=real) == pytest.approx(float(2 * sum((a - b).abs().mean() for a, b in pairs)))


def test_elements_share_the_axes_that_are_named_outside_of_the_list() -> None:
    text = "loss weighed(x: real[l][b, c], w: real[b]) -> [b]: sum[l](w*mean[c](x))\n\nobjective main(): weighed(l=2)"
    x, w = [torch.randn(3, 2), torch.randn(3, 5)], torch.rand(3)
    wanted = (w * (x[0].mean(1) + x[1].mean(1))).mean()
    assert total(text, x=x, w=w) == pytest.approx(float(wanted))
    with pytest.raises(LosslangError, match=r"(?s)LL0503.*axis 'b' of 'x\[0\]' and 'x\[1\]' differ"):
        losslang.compile(text, backend="eager")(x=[torch.randn(3, 2), torch.randn(4, 2)], w=w)


def test_an_element_of_a_list_is_a_tensor_like_any_other() -> None:
    text = (
        "objective main(xs: real[l=2][b, t], y: real[b, t]):\n    top = mean[l](mean[b, t](xs^2))\n"
        "    top + l1(xs[0], y) + mse(xs[1], xs[0])\n"
    )
    wanted = ((X**2).mean() + (Y**2).mean()) / 2 + (X - Y).abs().mean() + ((Y - X) ** 2).mean()
    assert total(text, xs=[X, Y], y=Y) == pytest.approx(float(wanted))
    written = "loss both(x: real[l][b, c]) -> [b]: sum[l](mean[c](x))\n\nobjective main(): both(x=[a, 2*a])"
    assert total(written, a=X) == pytest.approx(float(3 * X.mean()))


def test_a_mean_over_a_list_and_the_axes_of_its_elements_counts_every_number() -> None:
    text = "loss f(x: real[l][b, ...]): mean[l, b, ...](x)\n\nobjective main(): f(l=3)"
    wanted = torch.cat([layer.flatten() for layer in LAYERS]).mean()
    assert total(text, x=LAYERS) == pytest.approx(float(wanted), abs=1e-6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fake": LAYERS[0], "real": OTHERS}, "LL0504.*'fake' is no list"),
        ({"fake": LAYERS[:2], "real": OTHERS}, "LL0503.*the list 'fake' has 2 elements"),
        ({"fake": [*LAYERS[:2], 3.0], "real": OTHERS}, r"LL0504.*'fake\[2\]' is no tensor"),
        ({"fake": [*LAYERS[:2], torch.randn(7)], "real": OTHERS}, r"LL0503.*'fake\[2\]' and 'real\[2\]' differ"),
        ({"real": OTHERS}, "LL0501.*missing: fake"),
        ({"fake": LAYERS, "real": OTHERS, "rael": OTHERS}, "LL0502.*no term takes 'rael'"),
    ],
)
def test_a_list_that_does_not_fit_is_an_error_in_the_callers_names(given: Any, message: str) -> None:
    objective = losslang.compile(f"{MATCHING}objective main(): matching(l=3)", backend="eager")
    with pytest.raises(LosslangError, match=f"(?s){message}"):
        objective(**given)


def test_a_list_under_another_name_in_the_batch_is_bound_as_one() -> None:
    objective = losslang.compile(
        f"{MATCHING}objective main(): matching(l=3)", backend="eager", bind={"fake": "features"}
    )
    assert float(objective({"features": LAYERS, "real": LAYERS}).total) == 0


def test_names_before_one_type_share_its_default() -> None:
    text = "loss f(x: real[b, t], low, high: real = 2, noise, other: real[b] = normal()) -> [b]:\n"
    text += "    mean[t](x)*(high + low) + noise - other\n\nobjective main(): f"
    assert total(text, x=X) != pytest.approx(float(4 * X.mean()))  # each has draws of its own
    assert total(f"{text}(noise=0, other=0)", x=X) == pytest.approx(float(4 * X.mean()))
