"""What a compiled objective promises as a module: inputs, logs, learned numbers, precision, masks, compilation."""

from __future__ import annotations

import copy
import io
import pickle
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

import losslang
from losslang import LosslangError

WHOLE = "0.5*lpips(squeeze(weights=random(seed=0))) + focal(gamma=2) + infonce(tau=auto)"
"""The objective of the README, with networks that need no download."""


def eager(text: str, **options: Any) -> losslang.Objective:
    return losslang.compile(text, backend="eager", **options)


def rows(count: int = 8, seed: int = 0, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """A batch for losses on scores, values and embeddings."""
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64).to(dtype)

    return {
        "logits": normal(count, 5),
        "labels": torch.randint(0, 5, (count,), generator=random),
        "pred": normal(count, 3),
        "target": normal(count, 3),
        "z1": normal(count, 4),
        "z2": normal(count, 4),
        "z": normal(count, 4),
    }


def leaves(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The batch with a gradient for every real tensor."""
    return {k: v.detach().clone().requires_grad_(v.is_floating_point()) for k, v in batch.items()}


def value_and_grads(objective: losslang.Objective, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    batch = leaves(batch)
    total = objective(batch).total
    total.backward()
    return total.detach(), {k: v.grad for k, v in batch.items() if v.grad is not None}


def assert_same(
    first: tuple[Tensor, dict[str, Tensor]], second: tuple[Tensor, dict[str, Tensor]], **tolerance: float
) -> None:
    assert first[1].keys() == second[1].keys()
    torch.testing.assert_close(first[0], second[0], **tolerance)
    for name, grad in first[1].items():
        torch.testing.assert_close(grad, second[1][name], msg=lambda text, name=name: f"{name}: {text}", **tolerance)


# ------------------------------------------------------------------------------------------ inputs and outputs
@pytest.fixture(scope="module")
def whole() -> losslang.Objective:
    return eager(WHOLE, allow=["lpips.LL0807"])


@pytest.fixture(scope="module")
def pictures() -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(1)
    shape = (8, 3, 40, 40)
    return {**rows(), "pred": torch.rand(shape, generator=random), "target": torch.rand(shape, generator=random)}


def test_the_inputs_are_the_union_of_what_terms_need(whole: losslang.Objective) -> None:
    assert whole.signature.names == ("pred", "target", "logits", "labels", "z1", "z2")
    assert str(whole.signature) == (
        "(pred: image[b, c=3, h, w] in -1..1, target: image[b, c=3, h, w] in -1..1, logits: logit[b_2, c_2, ...], "
        "labels: label[b_2, ...] < c_2, z1: embed[i, d], z2: embed[i, d])"
    )


def test_repr_shows_text_inputs_terms_and_what_is_learned(whole: losslang.Objective) -> None:
    shown = repr(whole)
    assert isinstance(whole, nn.Module)
    for part in (WHOLE, str(whole.signature), "terms: lpips, focal, infonce", "learned: infonce.tau"):
        assert part in shown


def test_keywords_and_a_mapping_are_the_same_call(whole: losslang.Objective, pictures: dict[str, Tensor]) -> None:
    needed = {name: pictures[name] for name in whole.signature.names}
    assert torch.equal(whole(**needed).total, whole(pictures).total)
    assert torch.equal(whole({k: needed[k] for k in list(needed)[:3]}, **needed).total, whole(pictures).total)


def test_a_mapping_may_hold_more_than_is_needed() -> None:
    batch: dict[Any, Any] = {**rows(), "path": "a.png", "meta": None, 3: object()}
    assert eager("ce")(batch).total.isfinite()


def test_bind_renames_inputs() -> None:
    batch = rows()
    renamed = {"recon": batch["pred"], "gt": batch["target"]}
    objective = eager("l1", bind={"pred": "recon", "target": "gt"})
    assert torch.equal(objective(renamed).total, eager("l1")(batch).total)
    assert torch.equal(objective(**renamed).total, eager("l1")(batch).total)
    assert "bind: pred = recon" in repr(objective)


def test_every_term_is_logged_detached(whole: losslang.Objective, pictures: dict[str, Tensor]) -> None:
    out = whole(leaves(pictures))
    assert list(out.terms) == ["lpips", "focal", "infonce"]
    assert out.total.requires_grad and out.total.shape == ()
    for term in out.terms.values():
        for number in term:
            assert number.shape == () and not number.requires_grad
    total = sum(term.weight * term.value for term in out.terms.values())
    torch.testing.assert_close(out.total.detach(), total)
    torch.testing.assert_close(sum(term.share.abs() for term in out.terms.values()), torch.tensor(1.0))
    assert out.terms["lpips"].weight == 0.5
    with pytest.raises(KeyError):
        out.terms["l1"]


def test_the_log_prints_one_line_for_each_term() -> None:
    lines = str(eager("ce + 2*l1")(rows())).splitlines()
    assert [line.split()[0] for line in lines] == ["total", "ce", "l1"]


@pytest.mark.parametrize("balancer", ["", " | uncertainty"])
def test_a_call_waits_for_no_device(balancer: str) -> None:
    """On tensors without data every read of a value (item, bool, a shape from data) would raise."""
    objective = eager("focal + ce(ignore=-100) + triplet + infonce(tau=auto)" + balancer)
    batch = rows()
    objective(batch)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        out = objective({name: mode.from_tensor(tensor) for name, tensor in batch.items()})
        out.total.backward()
        assert [*out.terms["focal"]] and out.total.shape == ()


def test_everything_runs_on_the_meta_device() -> None:
    objective = eager("focal + infonce(tau=auto) | uncertainty").to("meta")
    out = objective({name: tensor.to("meta") for name, tensor in rows().items()})
    assert out.total.is_meta


# ------------------------------------------------------------------------------------------ learned numbers
LEARNING = "focal + infonce(tau=auto) + 2*l1 | uncertainty"


def test_what_is_learned_are_parameters_with_gradients() -> None:
    objective = eager(LEARNING)
    names = [name for name, _ in objective.named_parameters()]
    assert sorted(names) == [
        "terms.infonce.tau",
        "terms.uncertainty.s.focal",
        "terms.uncertainty.s.infonce",
        "terms.uncertainty.s.l1",
    ]
    assert list(objective.state_dict()) == names
    objective(rows()).total.backward()
    assert all(p.grad is not None and p.grad != 0 for p in objective.parameters())


def test_learned_numbers_are_read_in_the_users_terms() -> None:
    assert eager("infonce(tau=auto)").learned() == {"infonce.tau": pytest.approx(0.1)}
    assert eager("infonce(tau=auto(0.5)) as nce").learned() == {"nce.tau": pytest.approx(0.5)}


def test_auto_as_a_weight_is_uncertainty_weighting() -> None:
    assert_same(
        value_and_grads(eager("auto*l1 + auto*ce"), rows()), value_and_grads(eager("l1 + ce | uncertainty"), rows())
    )
    weights = {n: t.weight.item() for n, t in eager("0.5*auto*l1 + ce")(rows()).terms.items()}
    assert weights == {"l1": 0.25, "ce": 1.0}


def train(objective: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> list[float]:
    totals: list[float] = []
    for step in steps:
        total = objective(rows(seed=step)).total
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    return totals


def test_training_resumes_bit_for_bit() -> None:
    def start() -> tuple[nn.Module, torch.optim.Optimizer]:
        objective = eager(LEARNING)
        return objective, torch.optim.Adam(objective.parameters(), lr=0.1)

    straight, optimizer = start()
    expected = train(straight, optimizer, range(8))
    first, optimizer = start()
    train(first, optimizer, range(4))
    file = io.BytesIO()
    torch.save({"objective": first.state_dict(), "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    second, optimizer = start()
    assert second.load_state_dict(saved["objective"], strict=True).missing_keys == []
    optimizer.load_state_dict(saved["optimizer"])
    assert train(second, optimizer, range(4, 8)) == expected[4:]
    for name, value in straight.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))], ids=["copy", "pickle"])
def test_a_copy_is_the_same_and_independent(copied: Callable[[Any], Any]) -> None:
    objective = eager(LEARNING, bind={"pred": "recon"})
    batch = rows()
    batch["recon"] = batch.pop("pred")
    train_step = torch.optim.SGD(objective.parameters(), lr=0.1)
    objective(batch).total.backward()
    train_step.step()
    other = copied(objective)
    assert torch.equal(objective(batch).total, other(batch).total)
    with torch.no_grad():
        other.terms.infonce.tau.fill_(1.0)
    assert not torch.equal(objective(batch).total, other(batch).total)


def test_a_copy_of_the_text_of_a_file_is_pickled_too() -> None:
    text = (
        "loss twice(x: real[b]) -> [b]: 2*x\n\nobjective a(x: real[b]): twice(x)\n\nobjective b(y: real[b]): twice(y)\n"
    )
    objective = pickle.loads(pickle.dumps(eager(text, name="b")))
    assert objective(y=torch.ones(3)).total == 2


def test_a_tiny_model_learns() -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 5)
    objective = eager("ce + 0.1*focal | uncertainty")
    optimizer = torch.optim.Adam([*model.parameters(), *objective.parameters()], lr=0.05)
    batch = rows(32)
    values: list[float] = []
    for _ in range(30):
        out = objective(logits=model(batch["z"]), labels=batch["labels"])
        optimizer.zero_grad()
        out.backward()
        optimizer.step()
        values.append(out.terms["ce"].value.item())
    assert values[-1] < 0.9 * values[0]


def test_a_grad_scaler_sees_an_ordinary_loss() -> None:
    model = nn.Linear(4, 5)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = model.weight.detach().clone()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = eager("ce")(logits=model(rows()["z"]), labels=rows()["labels"])
    scaler.scale(out.total).backward()
    scaler.step(optimizer)
    scaler.update()
    assert not torch.equal(before, model.weight)


# ------------------------------------------------------------------------------------------ precision
MANY = (
    "focal + bce(logits=pred, target=sigmoid(target)) + huber + infonce(tau=auto) + triplet + align(unit(z1), unit(z2))"
)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("autocast", [False, True])
def test_a_loss_is_computed_in_full_precision(dtype: torch.dtype, autocast: bool) -> None:
    """Half inputs are read exactly, the total is float32, and gradients come back in the inputs' dtype."""
    objective = eager(MANY)
    batch = rows(dtype=dtype)
    exact = {k: v.double() if v.is_floating_point() else v for k, v in batch.items()}
    batch = leaves(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        total = objective(batch).total
    total.backward()
    grads = {k: v.grad for k, v in batch.items() if v.grad is not None}
    assert total.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert {grad.dtype for grad in grads.values()} == {dtype}
    want, wanted = value_and_grads(eager(MANY), exact)
    torch.testing.assert_close(total.double(), want, rtol=1e-5, atol=1e-6)
    for name, grad in grads.items():
        scale = float(wanted[name].abs().max())
        error = float((grad.double() - wanted[name]).abs().max())
        assert error <= scale * {torch.bfloat16: 1e-2, torch.float16: 2e-3}.get(dtype, 1e-5), name


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_the_module_follows_a_change_of_dtype(dtype: torch.dtype) -> None:
    objective = eager("infonce(tau=auto) + l1 | uncertainty").to(dtype)
    assert {p.dtype for p in objective.parameters()} == {dtype}
    out = objective(rows())
    out.total.backward()
    assert out.total.dtype == torch.float32
    assert all(p.grad is not None and p.grad.dtype == dtype for p in objective.parameters())


def test_precisions_and_networks_do_not_disturb_each_other(
    whole: losslang.Objective, pictures: dict[str, Tensor]
) -> None:
    before = whole(pictures).total
    exact = whole({k: v.double() if v.is_floating_point() else v for k, v in pictures.items()}).total
    torch.testing.assert_close(before.double(), exact, rtol=1e-4, atol=1e-4)
    assert torch.equal(whole(pictures).total, before)


@pytest.mark.parametrize(
    "text",
    [
        "focal(gamma=2)",
        "ce(smoothing=0.1)",
        "sigmoid_focal(logits=pred, target=sigmoid(target))",
        "huber",
        "log_cosh",
        "charbonnier",
        "infonce",
        "nt_xent",
        "triplet(margin=5)",
        "clip(unit(z1), unit(z2))",
        "uniform(unit(z))",
        "focal + 0.3*mse | uncertainty",
        "kl(logits=pred, target=softmax[c](target))",
    ],
)
def test_gradients_agree_with_differences(text: str) -> None:
    objective = eager(text)
    batch = {k: v.requires_grad_(v.is_floating_point()) for k, v in rows(4, dtype=torch.float64).items()}
    names = [name for name in objective.signature.names if batch[name].requires_grad]

    def total(*tensors: Tensor) -> Tensor:
        return objective({**batch, **dict(zip(names, tensors, strict=True))}).total

    assert torch.autograd.gradcheck(total, [batch[name] for name in names])


# ------------------------------------------------------------------------------------------ kinds of batches
def test_only_what_requires_a_gradient_gets_one() -> None:
    batch = rows()
    batch["pred"].requires_grad_()
    out = eager("l1")(batch)
    out.total.backward()
    assert batch["pred"].grad is not None and batch["target"].grad is None
    with torch.no_grad():
        assert not eager("l1")(batch).total.requires_grad


@pytest.mark.parametrize(
    "text", ["ce", "l1", "infonce", "triplet", "focal(reduce=sum)", "ce(class_weight=w)", "nt_xent"]
)
def test_an_empty_batch_is_nothing_lost(text: str) -> None:
    batch = leaves({name: tensor[:0] for name, tensor in rows().items()} | {"w": torch.ones(5)})
    out = eager(text)(batch)
    out.total.backward()
    assert out.total == 0
    for name, tensor in batch.items():
        assert tensor.grad is None or bool((tensor.grad == 0).all()), name


def test_one_objective_takes_batches_of_any_size() -> None:
    objective = eager("focal + infonce + 0.5*l1", allow=["infonce.LL0806"])
    for count in (1, 2, 7, 64):
        batch = rows(count, seed=count)
        parts = sum(eager(text, allow=["LL0806"])(batch).total for text in ("focal", "infonce", "0.5*l1"))
        torch.testing.assert_close(objective(batch).total, parts)


def test_one_objective_takes_inputs_of_any_rank() -> None:
    objective = eager("ce + focal")
    logits, labels = torch.randn(2, 5, 3, 4), torch.randint(0, 5, (2, 3, 4))
    flat = objective(logits=logits.movedim(1, -1).reshape(-1, 5), labels=labels.reshape(-1)).total
    torch.testing.assert_close(objective(logits=logits, labels=labels).total, flat)
    torch.testing.assert_close(
        objective(logits=logits[..., 0], labels=labels[..., 0]).total,
        objective(logits=logits[..., 0].movedim(1, -1).reshape(-1, 5), labels=labels[..., 0].reshape(-1)).total,
    )


def test_rows_of_any_rank_are_gathered() -> None:
    text = """
loss rows(table: real[n, ...], ids: int[b] < n) -> [b, ...]: table[ids]^2

objective main(table: real[n, ...], ids: int[b] < n): rows(table, ids)
"""
    objective = losslang.compile(text, backend="eager")
    ids = torch.tensor([2, 0, 2])
    for shape in ((4,), (4, 3), (4, 3, 2)):
        table = torch.randn(shape, requires_grad=True)
        out = objective(table=table, ids=ids)
        wanted = table[ids].square().mean()
        torch.testing.assert_close(out.total, wanted)
        torch.testing.assert_close(*(torch.autograd.grad(total, table) for total in (out.total, wanted)))


def test_layout_does_not_matter() -> None:
    objective = eager("mse + l1")
    dense = torch.randn(6, 4)
    strided = torch.randn(4, 6).t().copy_(dense)
    expanded = torch.randn(1, 4).expand(6, 4)
    assert not strided.is_contiguous()
    torch.testing.assert_close(
        objective(pred=strided, target=expanded).total, objective(pred=dense, target=expanded.contiguous()).total
    )


WORDS = [
    "max",
    "sum",
    "size",
    "forward",
    "training",
    "input",
    "len",
    "class",
    "lambda",
    "self",
    "torch",
    "device",
    "from",
]


@pytest.mark.parametrize("name", WORDS)
def test_an_input_may_have_any_name(name: str) -> None:
    """Also that of a function which the graph calls."""
    batch = rows()
    got = eager(f"l1({name}, target) + uniform(unit(z))")({**batch, name: batch["pred"]}).total
    torch.testing.assert_close(got, eager("l1 + uniform(unit(z))")(batch).total)


def test_conditions_are_numbers_in_functions() -> None:
    got = eager("l1(softplus(pred > 0), target)")(rows()).total
    positive = (rows()["pred"] > 0).float()
    torch.testing.assert_close(got, (nn.functional.softplus(positive) - rows()["target"]).abs().mean())


def test_rows_are_kept_where_nothing_reduces_them() -> None:
    out = eager("2*l1(reduce=none)")(rows())
    assert out.total.shape == (8, 3) and out.terms["l1"].value.shape == (8, 3)
    torch.testing.assert_close(out.total.mean(), eager("2*l1")(rows()).total)


# ------------------------------------------------------------------------------------------ what must not change
def test_the_order_of_terms_does_not_matter() -> None:
    one, two = eager("ce + 0.5*l1 + infonce")(rows()), eager("infonce + ce + 0.5*l1")(rows())
    torch.testing.assert_close(one.total, two.total)
    for name in one.terms:
        assert one.terms[name] == two.terms[name]


def test_a_sum_is_the_sum_of_its_terms() -> None:
    for a, b in (("ce", "l1"), ("focal", "ce"), ("infonce", "nt_xent"), ("0.5*l1", "-0.1*mse")):
        texts = (f"{a} + {b}" if b[0] != "-" else f"{a} {b}", a, b)
        both, one, two = (value_and_grads(eager(text, allow=["LL0817"]), rows()) for text in texts)
        grads = {k: one[1].get(k, 0) + two[1].get(k, 0) for k in both[1]}
        assert_same(both, (one[0] + two[0], grads))  # type: ignore[arg-type]


@given(st.floats(0.01, 100))
def test_a_weight_scales_the_share(weight: float) -> None:
    out = eager(f"{weight}*l1 + ce")(rows())
    l1, ce = out.terms["l1"], out.terms["ce"]
    assert l1.weight.item() == pytest.approx(weight, rel=1e-6)
    assert (l1.share / ce.share).item() == pytest.approx((weight * l1.value / ce.value).item(), rel=1e-4)


SELECTED = torch.tensor([True, True, False, True, False, True, True, False])

MASKABLE = [
    "ce",
    "focal(gamma=2)",
    "l1",
    "mse",
    "infonce",
    "infonce(tau=auto)",
    "nt_xent",
    "triplet",
    "uniform(unit(z))",
    "bce(logits=pred, target=sigmoid(target))",
    "ce(class_weight=w)",
    "squentropy",
]


def with_modifier(text: str, modifier: str) -> str:
    return f"{text[:-1]}, {modifier})" if text.endswith(")") else f"{text}({modifier})"


@pytest.mark.parametrize("text", MASKABLE)
def test_masked_rows_do_not_exist(text: str) -> None:
    """Equal to dropping them, in value and gradient; what they hold does not matter, not even nan."""
    declared = "pred, target: real[b, d], logits: logit[i, c], labels: label[i] < c, z1, z2, z: embed[i, e], w: real[c]"
    names = [name for name in eager(text).signature.names if name not in ("w", "labels")]
    mask = "m: bool[b]" if "pred" in names else "m: bool[i]"
    text_of_all = f"objective o({declared}, {mask}):\n    {with_modifier(text, 'mask=m')}\n"
    masked = eager(text_of_all, validate=False, allow=["LL0803"])
    batch = {**rows(), "w": torch.arange(1.0, 6.0)}
    kept = {name: tensor[SELECTED] if name != "w" else tensor for name, tensor in batch.items()}
    want, wanted = value_and_grads(eager(text), kept)
    for junk in (0.0, torch.nan, torch.inf):
        spoilt = {k: v.clone() for k, v in batch.items()}
        for name in names:
            spoilt[name][~SELECTED] = junk
        total, grads = value_and_grads(masked, {**spoilt, "m": SELECTED})
        torch.testing.assert_close(total, want, msg=lambda text, junk=junk: f"{junk}: {text}")
        for name in names:
            torch.testing.assert_close(grads[name][SELECTED], wanted[name])
            assert bool((grads[name][~SELECTED] == 0).all()), (name, junk)


@pytest.mark.parametrize("text", ["ce", "focal(gamma=2)", "ce(class_weight=w)", "ce(smoothing=0.1)", "poly1"])
def test_ignored_labels_do_not_exist(text: str) -> None:
    batch = {**rows(), "w": torch.arange(1.0, 6.0)}
    kept = {name: tensor[SELECTED] if name != "w" else tensor for name, tensor in batch.items()}
    batch["labels"] = batch["labels"].masked_fill(~SELECTED, -100)
    want, wanted = value_and_grads(eager(text), kept)
    total, grads = value_and_grads(eager(with_modifier(text, "ignore=-100")), batch)
    torch.testing.assert_close(total, want)
    torch.testing.assert_close(grads["logits"][SELECTED], wanted["logits"])
    assert bool((grads["logits"][~SELECTED] == 0).all())


def test_nothing_but_ignored_labels_is_nothing_lost() -> None:
    batch = rows()
    batch["labels"].fill_(-100)
    total, grads = value_and_grads(eager("ce(ignore=-100)", allow=["LL0813"]), batch)
    assert total == 0 and bool((grads["logits"] == 0).all())


def test_a_sum_is_the_mean_times_the_count() -> None:
    mean, total = eager("ce")(rows()).total, eager("ce(reduce=sum)")(rows()).total
    torch.testing.assert_close(total, mean * 8)


def test_weights_of_elements_multiply_rows() -> None:
    w = torch.rand(8)
    got = eager("ce(weight=w)")({**rows(), "w": w}).total
    each = eager("ce(reduce=none)")(rows()).total
    torch.testing.assert_close(got, (each * w).mean())


@pytest.mark.parametrize(
    ("text", "batch"),
    [
        ("kl", {"logits": torch.randn(2, 3), "target": torch.tensor([[0.0, 1, 0], [0.5, 0.5, 0]])}),
        ("charbonnier", {"pred": torch.zeros(3, 2), "target": torch.zeros(3, 2)}),
        ("infonce", {"z1": torch.zeros(4, 3), "z2": torch.zeros(4, 3)}),
        ("triplet(distance=euclidean)", {"z": torch.zeros(4, 3), "labels": torch.tensor([0, 0, 1, 1])}),
        ("align(unit(z1), unit(z2), alpha=1)", {"z1": torch.ones(4, 3), "z2": torch.ones(4, 3)}),
        ("huber", {"pred": torch.full((2, 2), 1e30), "target": torch.zeros(2, 2)}),
        ("log_cosh", {"pred": torch.full((2, 2), 1e4), "target": torch.zeros(2, 2)}),
        ("ce", {"logits": torch.tensor([[1e30, -1e30, 0], [-1e4, 0, 1e4]]), "labels": torch.tensor([0, 1])}),
        ("ce", {"logits": torch.tensor([[0.0, -torch.inf, 1]]), "labels": torch.tensor([0])}),
        ("focal(gamma=0.5)", {"logits": torch.tensor([[100.0, -100]]), "labels": torch.tensor([0])}),
    ],
)
def test_hard_inputs_give_finite_values_and_gradients(text: str, batch: dict[str, Tensor]) -> None:
    total, grads = value_and_grads(eager(text), batch)
    assert total.isfinite()
    for name, grad in grads.items():
        assert bool(grad.isfinite().all()), name


# ------------------------------------------------------------------------------------------ compilation
def test_there_are_no_graph_breaks() -> None:
    batch = rows()
    report = torch._dynamo.explain(eager(LEARNING))(batch)
    assert report.graph_count == 1 and report.graph_break_count == 0


@pytest.mark.parametrize("warm", [False, True])
def test_it_stands_inside_a_users_own_compiled_step(warm: bool) -> None:
    torch._dynamo.reset()
    model, objective, batch = nn.Linear(4, 5), eager("focal + ce | uncertainty"), rows()

    def step(z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        out = objective({"logits": model(z), "labels": labels, "path": "a.png"})
        return out.total, out.terms["ce"].share

    if warm:
        step(batch["z"], batch["labels"])
    compiled = torch.compile(step, fullgraph=True, backend="eager")
    total, share = compiled(batch["z"], batch["labels"])
    total.backward()
    assert model.weight.grad is not None and objective.terms.uncertainty.s.ce.grad is not None
    want = step(batch["z"], batch["labels"])
    torch.testing.assert_close((total, share), want)


EVERYTHING = (
    "ce + focal + 0.5*l1 + mse + huber + infonce(tau=auto) + nt_xent + ce(ignore=-100, reduce=sum) as kept "
    "+ l1(mask=m) as masked + bce(logits=pred, target=sigmoid(target)) | uncertainty"
)


@pytest.mark.slow
def test_inductor_gives_what_eager_gives() -> None:
    """One compile for many losses; other batch sizes neither fail nor change the numbers."""
    torch._dynamo.reset()
    torch.manual_seed(0)
    fast, plain = losslang.compile(EVERYTHING), eager(EVERYTHING)
    for count in (8, 7, 32, 2):
        batch = {**rows(count, seed=count), "m": torch.rand(count, 3) > 0.3}
        assert_same(value_and_grads(fast, batch), value_and_grads(plain, batch), rtol=1e-4, atol=1e-5)
        one, two = fast(batch).terms, plain(batch).terms
        for name in one:
            torch.testing.assert_close(one[name], two[name], rtol=1e-4, atol=1e-5)
    for (name, one), two in zip(fast.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-4, atol=1e-5, msg=name)


# ------------------------------------------------------------------------------------------ size
def test_two_thousand_terms_run() -> None:
    objective = eager(" + ".join(f"{k % 7 + 1}*l1" for k in range(2000)), allow=["LL0812"])
    out = objective(rows())
    torch.testing.assert_close(out.total, eager("l1")(rows()).total * sum(k % 7 + 1 for k in range(2000)))
    assert len(out.terms) == 2000 and "l1_2000" in out.terms


# ------------------------------------------------------------------------------------------ a text is data
def test_a_path_in_a_text_reads_weights_only() -> None:
    """A file of weights is data: what would run code when it is unpickled is refused."""
    ran: list[str] = []

    class Evil:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
            return ran.append, ("code",)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.pth"
        torch.save({"evil": Evil()}, path)
        objective = eager(f'lpips(squeeze(weights="{path}"))', allow=["LL0807"])
        with pytest.raises(LosslangError, match="LL0604"):
            objective(pred=torch.rand(1, 3, 64, 64), target=torch.rand(1, 3, 64, 64))
    assert ran == []
