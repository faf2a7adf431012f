"""Time: what `last` reads and a training call stores, the clocks, and exact resumption."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import losslang
from losslang import compiler
from losslang.diagnostics import LosslangError
from losslang.ir.oracle import Oracle
from losslang.passes import pipeline
from losslang.source import Source

EMA = """
loss drift(x: real[b], d: real = 0.9) -> [b]:
    m = d*last(m, 0) + (1 - d)*mean[b](x)
    abs(x - m)
objective main: drift
"""

MOCO = """
loss contrast(q, k: unit[i, d], tau: real > 0 = 0.5) -> [i]:
    old[n, d] = last(queue, 0)
    queue = push(old, k)
    softplus(logsumexp[n](dot(q[i], old[n])/tau) - dot(q, stop(k))/tau)
objective main: contrast(n=6)
"""

TABLE = """
loss table(x: real[i, c], ids: int[i], samples: int, start: real = 1) -> [i]:
    old[n < samples] = last(new, start)
    new = put(old, ids, sum[c](x))
    new[ids]*mean[c](x) + old[ids]
objective main: table(samples=9)
"""

DWA = """
balancer paced(loss, w: real[k], T: real = 2):
    before[k] = last(loss[k], loss[k])
    further[k] = last(before[k], before[k])
    sum[k](sum[k](1)*softmax[k](stop(before/further)/T)*w*loss)
objective main: l1 + 0.5*mse | paced
"""

TEXTS = {"ema": EMA, "queue": MOCO, "table": TABLE, "balancer": DWA}


def eager(text: str, **options: Any) -> losslang.Objective:
    return losslang.compile(text, backend="eager", **options)


def batch(name: str, step: int) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(step)
    match name:
        case "ema":
            return {"x": torch.randn(5, generator=random)}
        case "queue":
            rows = torch.randn(2, 4, 3, generator=random)
            q, k = rows / rows.norm(dim=-1, keepdim=True)
            return {"q": q, "k": k}
        case "table":
            return {"x": torch.randn(4, 3, generator=random), "ids": torch.randint(0, 9, (4,), generator=random)}
        case _:
            return dict(zip(("pred", "target"), torch.randn(2, 6, generator=random), strict=True))


def totals(objective: losslang.Objective, name: str, steps: range) -> list[float]:
    return [objective(batch(name, step)).total.item() for step in steps]


# ------------------------------------------------------------------------------------------ last
def test_an_average_is_a_fold_over_calls() -> None:
    objective, mean = eager(EMA), 0.0
    for step in range(5):
        x = batch("ema", step)["x"]
        mean = 0.9 * mean + 0.1 * x.mean().item()
        assert objective(x=x).total.item() == pytest.approx((x - mean).abs().mean().item(), rel=1e-6)
    assert objective.state_dict()["state.drift.m"].item() == pytest.approx(mean, rel=1e-6)


def test_the_first_value_ever_is_kept() -> None:
    objective = eager("loss f(x: real[b]) -> [b]:\n    first = last(first, x)\n    x - first\nobjective main: f\n")
    start = torch.arange(3.0)
    assert objective(x=start).total.item() == 0
    for step in range(3):
        assert objective(x=start + step).total.item() == pytest.approx(step)
    assert torch.equal(objective.state_dict()["state.f.first"], start)


def test_a_name_may_be_read_before_it_is_bound() -> None:
    text = (
        "loss f(x: real[b]) -> [b]:\n    before = last(now, 7)\n    now = 2*x\n    before + 0*now\nobjective main: f\n"
    )
    objective = eager(text, allow=["LL0802"])
    assert objective(x=torch.ones(2)).total.item() == 7
    assert objective(x=torch.zeros(2)).total.item() == 2
    assert objective(x=torch.zeros(2)).total.item() == 0


def test_parameters_are_read_too() -> None:
    objective = eager("loss f(x: real[b]) -> [b]: x - last(x, 0)\nobjective main: f\n")
    assert objective(x=torch.full((2,), 3.0)).total.item() == 3
    assert objective(x=torch.full((2,), 5.0)).total.item() == 2


def test_what_is_stored_is_read_at_other_places() -> None:
    text = (
        "loss f(x: real[b], y: real[b]) -> [b]:\n    s[b] = 0.5*last(s[b], 0) + x\n"
        "    sum[j](last(s[j], 0)*y[j]) + 0*s\nobjective main: f\n"
    )
    objective, y = eager(text), torch.tensor([1.0, 10.0])
    assert objective(x=torch.tensor([1.0, 2.0]), y=y).total.item() == 0
    assert objective(x=torch.zeros(2), y=y).total.item() == 21


def test_a_value_is_stored_once_however_often_it_is_read() -> None:
    text = (
        "loss f(x: real[b]) -> [b]:\n    m = mean[b](x)\n"
        "    x*last(m, 1) + last(m, 1) + last(m, 2)\nobjective main: f\n"
    )
    objective = eager(text)
    assert objective(x=torch.ones(2)).total.item() == 1 + 1 + 2, "each says what it starts from"
    assert objective(x=torch.ones(2)).total.item() == 3
    assert list(objective.state_dict()) == ["state.f.m", "clock.step", "clock.epoch"]


def test_a_value_is_stored_also_if_nothing_uses_what_is_read() -> None:
    text = "loss f(x: real[b]) -> [b]:\n    m = mean[b](x)\n    unused = last(m, 0)\n    x\nobjective main: f\n"
    objective = eager(text)
    objective(x=torch.full((3,), 4.0))
    assert objective.state_dict()["state.f.m"].item() == 4


def test_a_value_is_stored_in_a_branch_that_is_not_taken() -> None:
    text = (
        "loss f(x: real[b]) -> [b]:\n    m = mean[b](x)\n    old = last(m, 0)\n"
        "    (x + 100 if step < 2 else x*old)\nobjective main: f\n"
    )
    objective = eager(text)
    found = [objective(x=torch.full((2,), float(k))).total.item() for k in range(1, 5)]
    assert found == [101, 102, 3 * 2, 4 * 3]


def test_a_condition_on_parameters_leaves_one_branch() -> None:
    text = (
        "loss f(x: real[b], slow: bool = false) -> [b]:\n    m = mean[b](x)\n    x - (last(m, 0) if slow else m)\n"
        "objective main: {}\n"
    )
    assert eager(text.format("f")).needs.states == ()
    assert [spec.key for spec in eager(text.format("f(slow=true)")).needs.states] == ["f.m"]


def test_nothing_learns_through_what_was_stored() -> None:
    text = "loss f(x: real[b]) -> [b]:\n    m = last(x, x)\n    x*m\nobjective main: f\n"
    objective = eager(text)
    for _ in range(2):
        x = torch.full((1,), 3.0, requires_grad=True)
        objective(x=x).total.backward()
        assert x.grad is not None and x.grad.item() == 3, "also where it is the first value"


def test_a_value_may_gain_axes_that_its_first_value_lacks() -> None:
    text = "loss f(x: real[b, c]) -> [b, c]:\n    m = 0.5*last(m, 0) + x\n    m\nobjective main: f\n"
    objective, x = eager(text), torch.arange(6.0).reshape(2, 3)
    objective(x=x)
    torch.testing.assert_close(objective(x=x).total, (1.5 * x).mean())
    assert objective.state_dict()["state.f.m"].shape == (2, 3)


def test_a_whole_number_stays_one() -> None:
    text = "loss f(x: real[b]) -> [b]:\n    calls = last(calls, 0) + 1\n    x*calls\nobjective main: f\n"
    objective = eager(text)
    assert [objective(x=torch.ones(2)).total.item() for _ in range(3)] == [1, 2, 3]
    assert objective.state_dict()["state.f.calls"].dtype == torch.int64


def test_each_call_of_a_definition_has_values_of_its_own() -> None:
    text = (
        "fn before(x: real[b]) -> [b]:\n    last(x, 0)\n"
        "loss f(x, y: real[b]) -> [b]: before(x) + 10*before(y)\n"
        "objective main(x, y: real[b]):\n    f(x, y) + f(y, x)\n"
    )
    objective = eager(text, allow=["LL0802"])
    keys = [spec.key for spec in objective.needs.states]
    assert keys == ["f.before.x", "f.before.x_2", "f_2.before.x", "f_2.before.x_2"]
    x, y = torch.full((2,), 1.0), torch.full((2,), 2.0)
    objective(x=x, y=y)
    out = objective(x=0 * x, y=0 * y)
    assert [term.value.item() for term in out.terms.values()] == [21, 12]


def test_bindings_of_an_objective_are_stored_under_their_names() -> None:
    text = (
        "objective main(x, y: real[b]):\n    m = 0.9*last(m, 1) + 0.1*mean[b](abs(x - y))\n    l1(x, y)/m as scaled\n"
    )
    objective, m = eager(text), 1.0
    for step in range(3):
        x, y = batch("balancer", step).values()
        m = 0.9 * m + 0.1 * (x - y).abs().mean().item()
        assert objective(x=x, y=y).total.item() == pytest.approx((x - y).abs().mean().item() / m, rel=1e-5)
    assert list(objective.state_dict())[0] == "state.m"


def test_other_axes_pass_through_what_is_stored() -> None:
    text = (
        "fn before(x: real[c]) -> [c]:\n    old = last(now, 0)\n    now[c] = x\n    old\n"
        "loss f(x: real[b, c]) -> [b, c]: before(x)\nobjective main: f\n"
    )
    objective, x = eager(text, allow=["LL0802"]), torch.arange(6.0).reshape(2, 3)
    assert objective(x=x).total.item() == 0
    torch.testing.assert_close(objective(x=0 * x).total, x.mean())
    assert objective.state_dict()["state.f.before.now"].shape == (2, 3)


def test_dimensions_are_stored_in_the_order_of_the_text() -> None:
    text = "loss f(x: real[b, c]) -> [b, c]:\n    t[c, b] = x\n    x - last(t, 0)\nobjective main: f\n"
    objective = eager(text)
    objective(x=torch.ones(2, 3))
    assert objective.state_dict()["state.f.t"].shape == (3, 2)


def test_a_stored_value_is_no_view_of_the_callers_tensor() -> None:
    objective = eager("loss f(x: real[b]) -> [b]: x - last(x, 0)\nobjective main: f\n")
    x = torch.ones(3)
    total = objective(x=x).total
    x.zero_()
    total.zero_()
    assert torch.equal(objective.state_dict()["state.f.x"], torch.ones(3))


def test_a_batch_of_another_size_is_an_error_in_the_callers_words() -> None:
    objective = eager("loss f(x: real[b]) -> [b]: x - last(x, 0)\nobjective main: f\n")
    objective(x=torch.ones(3))
    with pytest.raises(LosslangError, match=r"LL0511.*'f.x' was stored with shape \(3,\)") as raised:
        objective(x=torch.ones(2))
    assert "drop_last" in str(raised.value)


# ------------------------------------------------------------------------------------------ queues and tables
def test_a_queue_holds_the_newest_rows_first() -> None:
    objective, pushed = eager(MOCO), torch.zeros(6, 3)
    for step in range(4):
        rows = batch("queue", step)
        logits = rows["q"] @ pushed.T / 0.5
        positive = (rows["q"] * rows["k"]).sum(-1) / 0.5
        wanted = torch.nn.functional.softplus(logits.logsumexp(-1) - positive).mean()
        torch.testing.assert_close(objective(rows).total, wanted)
        pushed = torch.cat([rows["k"], pushed])[:6]
        torch.testing.assert_close(objective.state_dict()["state.contrast.queue"], pushed)


def test_a_batch_larger_than_the_queue_fills_it_with_its_first_rows() -> None:
    objective = eager(MOCO.replace("n=6", "n=2"))
    rows = batch("queue", 0)
    objective(rows)
    assert torch.equal(objective.state_dict()["state.contrast.queue"], rows["k"][:2])


def test_a_queue_takes_one_row() -> None:
    text = (
        "loss f(x: real[b]) -> [b]:\n    old[n < 3] = last(all, 0)\n    all = push(old, mean[b](x))\n"
        "    x + sum[n](all)\nobjective main: f\n"
    )
    objective = eager(text)
    for k in range(1, 5):
        objective(x=torch.full((2,), float(k)))
    assert objective.state_dict()["state.f.all"].tolist() == [4, 3, 2]


@pytest.mark.parametrize("ids", [[0, 1, 2, 3], [8, 8, 8, 8], [5, 2, 5, 2], [2, 5, 5, 0]])
def test_in_a_table_the_last_row_of_an_id_wins_and_others_stay(ids: list[int]) -> None:
    objective, x = eager(TABLE), torch.randn(4, 3)
    wanted = torch.ones(9)
    for _ in range(2):
        old = wanted.clone()
        for row, place in enumerate(ids):
            wanted[place] = x[row].sum()
        out = objective(x=x, ids=torch.tensor(ids))
        torch.testing.assert_close(out.total, (wanted[ids] * x.mean(-1) + old[ids]).mean())
        torch.testing.assert_close(objective.state_dict()["state.table.new"], wanted)
        x = x + 1


def test_masked_rows_are_not_written_into_a_table() -> None:
    text = TABLE.replace(
        "main: table(samples=9)", "main(x: real[i, c], ids: int[i], m: bool[i]): table(samples=9, mask=m)"
    )
    objective, x = eager(text), torch.randn(4, 3)
    objective(x=x, ids=torch.tensor([4, 4, 4, 7]), m=torch.tensor([True, True, False, False]))
    wanted = torch.ones(9)
    wanted[4] = x[1].sum()
    torch.testing.assert_close(objective.state_dict()["state.table.new"], wanted)


def test_rows_of_a_table_and_of_a_queue_have_gradients() -> None:
    text = (
        "loss f(x: real[i], ids: int[i]) -> [i]:\n    t[n < 5] = last(u, 2)\n    u = put(t, ids, x^2)\n"
        "    sum[n](u*(n + 1)) + sum[n](push(t, x)*(n + 1)) + 0*x\nobjective main: f\n"
    )
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    out = eager(text)(x=x, ids=torch.tensor([4, 0, 4]))
    assert out.total.item() == (4 * 1 + 2 * (2 + 3 + 4) + 9 * 5) + (1 * 1 + 2 * 2 + 3 * 3 + 2 * 4 + 2 * 5)
    out.total.backward()
    assert x.grad is not None and x.grad.tolist() == [1, 4 + 2, 6 * 5 + 3], "the row that lost has no part in the table"


def test_a_table_indexed_by_a_type_is_written_along_that_axis() -> None:
    text = (
        "loss f(x: real[i], y: int[i] < n) -> [i]:\n    t[d < 2, n] = last(u, 0)\n    u[d, n] = put(t, y, x*(d + 1))\n"
        "    sum[d](u[d, y]) + 0*x\nobjective main: f(n=4)\n"
    )
    objective = eager(text)
    objective(x=torch.tensor([5.0, 7.0]), y=torch.tensor([3, 1]))
    assert objective.state_dict()["state.f.u"].tolist() == [[0, 7, 0, 5], [0, 14, 0, 10]]


# ------------------------------------------------------------------------------------------ clocks
RAMP = "ramp(0, 2, begin=1, end=3)*l1 + mse"


def test_a_schedule_weighs_a_loss() -> None:
    objective = eager(RAMP)
    rows = batch("balancer", 0)
    weights = [objective(rows).terms["l1"].weight.item() for _ in range(5)]
    assert weights == [0, 0, 1, 2, 2]
    assert objective.step == 5 and objective.state_dict()["clock.step"].item() == 5


def test_a_weight_that_hangs_on_the_step_compiles_once() -> None:
    objective, made = eager(RAMP), []
    program = objective.factory.program
    objective.factory.program = lambda *args: made.append(args) or program(*args)  # type: ignore[method-assign]
    for _ in range(4):
        objective(batch("balancer", 0))
    assert len(made) == 1
    del objective.factory.program


@pytest.mark.parametrize("step", [2, 3, 7])
def test_the_step_may_be_given(step: int) -> None:
    objective = eager(f"ramp(0, 2, begin=1, end=3, step={step})*l1 + mse")
    expected = min(max(step - 1, 0), 2)
    assert objective(batch("balancer", 0)).terms["l1"].weight.item() == expected
    assert "clock.step" not in objective.state_dict()


def test_the_trainer_sets_the_epoch() -> None:
    objective = eager("objective main(x: real[b]):\n    l1(x, 0)*(epoch + 1)\n")
    assert objective.epoch == 0
    assert objective(x=torch.ones(2)).total.item() == 1
    objective.epoch = 4
    assert objective(x=torch.ones(2)).total.item() == 5
    fresh = eager("objective main(x: real[b]):\n    l1(x, 0)*(epoch + 1)\n")
    fresh.load_state_dict(objective.state_dict())
    assert fresh.epoch == 4


def test_an_objective_without_time_has_no_clock() -> None:
    objective = eager("l1")
    objective.epoch = 3
    assert (objective.step, objective.epoch, list(objective.state_dict())) == (0, 0, [])


def test_an_input_may_be_called_step() -> None:
    objective = eager(
        "objective main(step: real[b], x: real[b]): l1(x, step) + ramp(0, 1, begin=0, end=2)*mse(x, step)\n"
    )
    rows = {"x": torch.zeros(2), "step": torch.full((2,), 3.0)}
    assert [objective(rows).total.item() for _ in range(3)] == [3, 3 + 4.5, 3 + 9]


# ------------------------------------------------------------------------------------------ the contract
@pytest.mark.parametrize("name", TEXTS)
def test_evaluation_moves_nothing(name: str) -> None:
    objective = eager(TEXTS[name])
    before = totals(objective.eval(), name, range(2))
    assert not [key for key in objective.state_dict() if key.startswith("state.")]
    totals(objective.train(), name, range(3))
    state = {key: value.clone() for key, value in objective.state_dict().items()}
    totals(objective.eval(), name, range(4))
    assert all(torch.equal(state[key], value) for key, value in objective.state_dict().items())
    assert before[0] == totals(eager(TEXTS[name]), name, range(1))[0], "what nothing was stored for starts anew"


@pytest.mark.parametrize("name", TEXTS)
def test_a_run_resumes_bit_for_bit(name: str) -> None:
    whole = totals(eager(TEXTS[name]), name, range(6))
    first, second = eager(TEXTS[name]), eager(TEXTS[name])
    assert totals(first, name, range(3)) == whole[:3]
    second.load_state_dict(first.state_dict())
    assert totals(second, name, range(3, 6)) == whole[3:]


def test_a_run_resumes_in_another_process(tmp_path: Path) -> None:
    objective = eager(MOCO)
    totals(objective, "queue", range(3))
    torch.save(objective.state_dict(), tmp_path / "state.pt")
    script = (
        "import torch, losslang\nfrom tests.runtime.test_state import MOCO, totals\n"
        "objective = losslang.compile(MOCO, backend='eager')\n"
        f"objective.load_state_dict(torch.load({str(tmp_path / 'state.pt')!r}))\n"
        "print([value.hex() for value in totals(objective, 'queue', range(3, 6))])\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == str([value.hex() for value in totals(objective, "queue", range(3, 6))])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))], ids=["copy", "pickle"])
@pytest.mark.parametrize("name", TEXTS)
def test_a_copy_is_the_same_and_independent(name: str, copied: Callable[[Any], Any]) -> None:
    objective = eager(TEXTS[name])
    totals(objective, name, range(2))
    other = copied(objective)
    assert totals(other, name, range(2, 4)) == totals(objective, name, range(2, 4))
    totals(other, name, range(4, 6))
    assert other.step == 6 and objective.step == 4
    changed = [key for key, value in objective.state_dict().items() if not torch.equal(value, other.state_dict()[key])]
    assert any(key.startswith("state.") for key in changed)


def test_terms_keep_their_values_where_others_come_and_go() -> None:
    before, after = eager(DWA), eager(DWA.replace("l1 + 0.5*mse", "huber + mse + 2*l1"))
    totals(before, "balancer", range(2))
    found = after.load_state_dict(before.state_dict())
    assert not found.missing_keys and not found.unexpected_keys
    after(batch("balancer", 2))
    before(batch("balancer", 2))
    for term in ("l1", "mse"):
        key = f"state.paced.before.{term}"
        assert torch.equal(before.state_dict()[key], after.state_dict()[key])


def test_a_state_that_belongs_elsewhere_is_refused() -> None:
    objective = eager(EMA)
    totals(objective, "ema", range(1))
    with pytest.raises(RuntimeError, match="state.drift.m"):
        eager("l1").load_state_dict(objective.state_dict())


def test_micro_batches_store_once_where_all_but_one_are_evaluated() -> None:
    whole, parts = eager(EMA), eager(EMA)
    for step in range(3):
        x = batch("ema", step)["x"]
        whole(x=x)
        for training in (False, False, True):
            parts.train(training)
            parts(x=x)
    assert torch.equal(whole.state_dict()["state.drift.m"], parts.state_dict()["state.drift.m"])
    assert parts.step == 3


@pytest.mark.parametrize("planned", [False, True])
@pytest.mark.parametrize("name", TEXTS)
def test_the_oracle_says_the_same(name: str, planned: bool) -> None:
    of = compiler.check(TEXTS[name])
    of = pipeline.run(of) if planned or of.balancers else of
    objective, state = eager(TEXTS[name]), dict[str, Any]()
    for step in range(3):
        rows = {key: x.double() if x.is_floating_point() else x for key, x in batch(name, step).items()}
        oracle = Oracle({key: x.numpy() for key, x in rows.items()}, state=state, clocks={"step": step})
        values = oracle.evaluate([term.value for term in of.terms])
        for (found, _, _), value in zip(objective(rows).terms.values(), values, strict=True):
            assert found.item() == pytest.approx(float(value), rel=1e-12)
        state = oracle.advance(of.updates)
        for key, value in state.items():
            np.testing.assert_allclose(objective.state[key], value, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", TEXTS)
def test_inductor_gives_what_eager_gives(name: str) -> None:
    one, other = eager(TEXTS[name]), losslang.compile(TEXTS[name])
    for step in range(4):
        rows = {key: x.requires_grad_(x.is_floating_point()) for key, x in batch(name, step).items()}
        torch.testing.assert_close(other(rows).total, one(rows).total, rtol=1e-5, atol=1e-6)
    for key, value in one.state_dict().items():
        torch.testing.assert_close(other.state_dict()[key], value, rtol=1e-5, atol=1e-6)


def test_everything_runs_on_the_meta_device() -> None:
    objective = eager(MOCO)
    rows = {key: value.to("meta") for key, value in batch("queue", 0).items()}
    assert objective(rows).total.is_meta
    assert objective.state_dict()["state.contrast.queue"].is_meta


def test_it_stands_inside_a_users_own_compiled_step() -> None:
    whole, objective = eager(MOCO), eager(MOCO)
    objective(batch("queue", 0))
    whole(batch("queue", 0))
    step = torch.compile(lambda rows: objective(rows).total, backend="eager", fullgraph=True)
    for k in range(1, 4):
        torch.testing.assert_close(step(batch("queue", k)), whole(batch("queue", k)).total)
    assert objective.step == 4
    torch.testing.assert_close(
        objective.state_dict()["state.contrast.queue"], whole.state_dict()["state.contrast.queue"]
    )


def test_precision_may_change() -> None:
    objective = eager(EMA)
    totals(objective, "ema", range(2))
    assert objective(x=batch("ema", 2)["x"].double()).total.dtype == torch.float64
    assert objective.state_dict()["state.drift.m"].dtype == torch.float64
    assert objective(x=batch("ema", 3)["x"].bfloat16()).total.dtype == torch.float32


@pytest.mark.parametrize("text", [*TEXTS.values(), RAMP], ids=[*TEXTS, "ramp"])
def test_equal_texts_have_equal_hashes_and_others_have_not(text: str) -> None:
    digest = compiler.digest(pipeline.run(compiler.check(text)))
    assert digest == compiler.digest(pipeline.run(compiler.check(Source("other", text))))
    assert digest != compiler.digest(pipeline.run(compiler.check(EMA.replace("(m, 0)", "(m, 1)"))))
