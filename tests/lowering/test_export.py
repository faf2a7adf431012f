"""The standalone file: it runs where losslang is not, and gives what the module in this process gives."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import types
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import losslang
from losslang import batches, compiler
from losslang.sema.modules import library
from losslang.testing.models import stand_in
from tests.passes.programs import STATEFUL, call_of

SQUEEZE = "squeeze(weights=random(seed=0))"
WHOLE = f"0.5*lpips({SQUEEZE}) + focal(gamma=2) + infonce(tau=auto) + 0.1*l1 | uncertainty"


def module_of(text: str) -> Any:
    """The exported class, made from its text."""
    module = types.ModuleType(f"exported_{next(_numbers)}")
    sys.modules[module.__name__] = module  # dataclasses look their module up
    exec(compile(text, "objective.py", "exec"), module.__dict__)
    return module


_numbers: Iterator[int] = count()


def gradients(total: Tensor, batch: dict[str, Tensor], module: nn.Module) -> list[Tensor | None]:
    leaves = [x for x in batch.values() if x.requires_grad] + list(module.parameters())
    if not total.requires_grad:  # what reaches nothing but a model that has no parameters
        return [None] * len(leaves)
    return list(torch.autograd.grad(total.sum(), leaves, allow_unused=True))


def assert_same(
    objective: Any, exported: Any, batch: dict[str, Tensor], rtol: float = 1e-5, models: Mapping[str, Any] | None = None
) -> None:
    """Total, terms and gradients agree, of the same draws."""
    torch.manual_seed(0)
    mine = objective({**batch, **(models or {})})
    torch.manual_seed(0)
    theirs = exported({**batch, **(models or {})})
    torch.testing.assert_close(theirs.total, mine.total, rtol=rtol, atol=1e-7, equal_nan=True)
    assert list(theirs.terms) == list(mine.terms)
    for name, term in mine.terms.items():
        torch.testing.assert_close(tuple(theirs.terms[name]), tuple(term), rtol=rtol, atol=1e-7, equal_nan=True)
        assert not theirs.terms[name].value.requires_grad
    pairs = zip(gradients(theirs.total, batch, exported), gradients(mine.total, batch, objective), strict=True)
    for found, wanted in pairs:
        assert (found is None) == (wanted is None)
        if found is not None:
            torch.testing.assert_close(found, wanted, rtol=rtol, atol=1e-7, equal_nan=True)


def batch_of(objective: Any, dtype: torch.dtype, rest: tuple[int, ...] = ()) -> dict[str, Tensor]:
    """A made-up batch, with more dimensions where the signature has ``...``."""
    batch = batches.made_up(objective)
    for spec in objective.signature:
        x = batch[spec.name]
        place = next((place for place, dim in enumerate(spec.dims) if dim.rest), None)
        if place is not None and rest:
            for extent in reversed(rest):
                x = x.unsqueeze(place).repeat_interleave(extent, place)
            if x.is_floating_point() and spec.kind not in ("prob", "image"):
                x = x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
        batch[spec.name] = x.to(dtype).requires_grad_() if x.is_floating_point() else x
    return batch


def losses() -> list[str]:
    """A text for each loss of the library."""
    return [call_of(entry) for entry in library() if entry.keyword == "loss"]


@pytest.mark.parametrize("text", losses())
def test_every_loss_of_the_library(text: str) -> None:
    objective = losslang.compile(text, backend="eager", allow=["LL0810"])  # any numbers do
    exported = module_of(compiler.artifact(objective).python()).Objective()
    models = {model.name: stand_in(model, {"c": 5, "h": 64, "w": 64}).function for model in losslang.check(text).models}
    assert_same(objective, exported, batch_of(objective, torch.float64), rtol=1e-9, models=models)
    if "squeeze" not in text:
        # logarithms of a spectrum near its floor have no digits in float32
        dtype = torch.float64 if "stft" in text else torch.float32
        assert_same(objective, exported, batch_of(objective, dtype, rest=(2, 3)), models=models)


def test_it_runs_where_losslang_cannot_be_imported(tmp_path: Path) -> None:
    objective = losslang.compile(WHOLE, backend="eager")
    with torch.no_grad():
        for parameter in objective.parameters():
            parameter.add_(0.25)
    batch = batch_of(objective, torch.float32)
    path = compiler.export(objective, tmp_path)
    held = {"batch": {k: x.detach() for k, x in batch.items()}, "state": objective.state_dict()}
    torch.save(held, tmp_path / "held.pt")
    script = """
import sys
sys.path.append(".")
sys.modules["losslang"] = None  # importing it fails, however it is installed
try:
    import losslang
except ImportError:
    pass
else:
    sys.exit("losslang can be imported")
import torch
from objective import Objective
held = torch.load("held.pt")
objective = Objective()
objective.load_state_dict(held["state"])
batch = {k: x.requires_grad_() if x.is_floating_point() else x for k, x in held["batch"].items()}
out = objective(**batch)
out.backward()
assert not any(module for name, module in sys.modules.items() if name.startswith("losslang"))
torch.save({"total": out.total, "terms": {n: tuple(t) for n, t in out.terms.items()},
            "grads": [x.grad for x in batch.values()] + [p.grad for p in objective.parameters()]}, "out.pt")
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = torch.load(tmp_path / "out.pt")
    mine = objective(batch)
    torch.testing.assert_close(found["total"], mine.total)
    for name, term in mine.terms.items():
        torch.testing.assert_close(found["terms"][name], tuple(term))
    mine.total.backward()
    wanted = [x.grad for x in batch.values()] + [p.grad for p in objective.parameters()]
    for theirs, ours in zip(found["grads"], wanted, strict=True):
        assert (theirs is None) == (ours is None)
        if ours is not None:
            torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-6)
    assert path == tmp_path / "objective.py"


def test_checkpoints_load_both_ways() -> None:
    objective = losslang.compile("infonce(tau=auto) + l1 | uncertainty", backend="eager")
    exported = module_of(compiler.artifact(objective).python()).Objective()
    assert list(exported.state_dict()) == list(objective.state_dict())
    assert "terms.infonce.tau" in exported.state_dict()
    torch.nn.init.constant_(exported.terms["infonce.tau"], -1.5)
    objective.load_state_dict(exported.state_dict())
    assert objective.learned()["infonce.tau"] == pytest.approx(0.22313016)


@pytest.mark.parametrize("rest", [(), (2, 3)])
@pytest.mark.parametrize("text", STATEFUL)
def test_time_chance_and_learned_tensors(text: str, rest: tuple[int, ...]) -> None:
    objective = losslang.compile(text, backend="eager")
    exported = module_of(compiler.artifact(objective).python()).Objective()
    exported.load_state_dict(objective.state_dict())
    batch = batch_of(objective, torch.float32, rest)
    for step in range(3):
        found: list[Tensor] = []
        for module in (objective, exported):
            torch.manual_seed(step)
            found.append(module(batch).total)
        torch.testing.assert_close(*found)
    assert list(exported.state_dict()) == list(objective.state_dict())
    for mine, theirs in zip(objective.state_dict().values(), exported.state_dict().values(), strict=True):
        torch.testing.assert_close(theirs, mine)
    other = losslang.compile(text, backend="eager")
    other.load_state_dict(exported.state_dict())
    before = {key: value.clone() for key, value in exported.state_dict().items()}
    torch.manual_seed(3)
    wanted = exported.eval()(batch).total
    torch.manual_seed(3)
    torch.testing.assert_close(other.eval()(batch).total, wanted)
    assert all(torch.equal(before[key], value) for key, value in exported.state_dict().items())


def test_learned_tensors_start_at_random_numbers() -> None:
    text = "loss f(x: real[b, c=50], s: real[c] = auto(normal(2, 0.1))) -> [b, c]: s*x\nobjective main: f\n"
    first = module_of(compiler.artifact(text).python()).Objective()
    (parameter,) = first.parameters()
    assert parameter.shape == (50,) and 1.9 < parameter.mean() < 2.1 and parameter.std() > 0.05


def test_a_stored_value_of_another_batch_is_an_error() -> None:
    text = "loss f(x: real[b]) -> [b]: x - last(x, 0)\nobjective main: f\n"
    exported = module_of(compiler.artifact(text).python()).Objective()
    exported(x=torch.ones(3))
    with pytest.raises(ValueError, match=r"stored with shape \(3,\)"):
        exported(x=torch.ones(4))


def test_rows_keep_their_shape() -> None:
    objective = losslang.compile("2*focal(reduce=none)", backend="eager")
    exported = module_of(compiler.artifact(objective).python()).Objective()
    for rest in ((), (3,), (2, 3)):
        batch = batch_of(objective, torch.float32, rest)
        assert exported(batch).total.shape == (4, *rest)
        assert_same(objective, exported, batch)


def test_fixed_dimensions() -> None:
    objective = losslang.compile("focal", backend="eager")
    text = compiler.artifact(objective, dims={"logits": 3}).python()
    assert "merged" not in text
    exported = module_of(text).Objective()
    assert_same(objective, exported, batch_of(objective, torch.float32, rest=(7,)))
    with pytest.raises(ValueError, match="'logits' has 2 dimensions, expected 3"):
        exported(batch_of(objective, torch.float32))


@pytest.mark.parametrize(("dims", "code"), [({"logit": 2}, "LL0502"), ({"logits": 1}, "LL0503"),
                                            ({"logits": 2, "labels": 3}, "LL0503")])  # fmt: skip
def test_dimensions_that_do_not_fit(dims: dict[str, int], code: str) -> None:
    with pytest.raises(losslang.LosslangError) as caught:
        compiler.artifact("focal", dims=dims)
    assert caught.value.diagnostics[0].code == code


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": None}, "missing: labels"),
        ({"extra": torch.zeros(1)}, "no term takes extra"),
        ({"labels": torch.zeros(3, dtype=torch.long)}, "axis b of 'labels'"),
        ({"logits": torch.zeros(4)}, "'logits' has 1 dimensions, expected 2 or more"),
    ],
)
def test_a_call_that_does_not_fit(change: dict[str, Tensor | None], message: str) -> None:
    objective = losslang.compile("ce", backend="eager")
    exported = module_of(compiler.artifact(objective).python()).Objective()
    given = {**batches.made_up(objective), **change}
    with pytest.raises(ValueError, match=message):
        exported(**{name: x for name, x in given.items() if x is not None})


def test_names_of_the_batch_and_awkward_ones() -> None:
    bind = {"pred": "total", "target": "image/left"}
    objective = losslang.compile("l1 + mse as lambda2", backend="eager", bind=bind)
    exported = module_of(compiler.artifact(objective).python()).Objective()
    batch = {"total": torch.randn(4), "image/left": torch.randn(4)}
    torch.testing.assert_close(exported(batch).total, objective(batch).total)


def test_the_text() -> None:
    """Short enough to be read here: what a user is given for a plain objective."""
    objective = losslang.compile("ce + 0.1*l1", backend="eager")
    text = compiler.artifact(objective, dims={"logits": 2, "pred": 1}).python()
    body = text[text.index('weight and the share."""') : text.index("class Term")]
    assert (
        body.split("\n", 1)[1].rstrip()
        == """\
        # term: ce
        logits = logits.to(dtype)
        chosen = torch.where(indices(logits, logits.shape[1]) == labels[:, None], logits, 0.0)
        peak_logits = largest(logits, [1]).detach()
        log_logits = torch.log(torch.exp(logits - peak_logits[:, None]).sum(1))
        ce = -(chosen.sum(1) - peak_logits - log_logits).sum(0) / max(logits.shape[0], 1)

        # term: l1
        pred = pred.to(dtype)
        target = target.to(dtype)
        l1 = torch.abs(pred - target).sum(0) / max(pred.shape[0], 1)

        # total
        total = ce + 0.1 * l1

        # results
        values = torch.stack([ce, l1]).detach()
        weights = torch.stack([logits.new_full((), 1.0, dtype=dtype),
            logits.new_full((), 0.1, dtype=dtype)]).detach()
        return total, values, weights, shares(values, weights)"""
    )
    assert "    ce + 0.1*l1\n" in (ast.get_docstring(ast.parse(text)) or "")


def test_the_description(tmp_path: Path) -> None:
    compiler.export("infonce(tau=auto)", tmp_path)
    held = json.loads((tmp_path / "objective.json").read_text(encoding="utf-8"))
    assert held["source"] == "infonce(tau=auto)"
    assert held["terms"] == ["infonce"]
    assert held["parameters"]["terms.infonce.tau"]["init"] == pytest.approx(-2.302585)
    assert held["versions"] == {"losslang": losslang.__version__, "torch": torch.__version__}


def test_equal_objectives_have_equal_hashes() -> None:
    first, second = (
        compiler.artifact("ce + 2*l1"),
        compiler.artifact("# a comment\nce() + 2 * l1(pred, target)"),
    )
    assert first.digest == second.digest
    assert first.digest != compiler.artifact("ce + 3*l1").digest


def test_no_weights_are_needed_to_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("losslang.runtime.nets._download", lambda *_: pytest.fail("it downloads"))
    assert 'build(NetSpec("vgg16", "public"))' in compiler.artifact("lpips(vgg16)").python()


def test_lists_of_tensors_and_of_numbers() -> None:
    """A list in the batch is a list to the file too; written numbers keep their type."""
    text = (
        "loss matching(fake, real: real[l][b, ...], n: int[l] = [1, 2], k: int[q] = 1):\n"
        "    mean[l](n*mean[b, ...](abs(fake[l] - real[l])))\n\n"
        "loss chosen(x: real[i, q], k: int[q]) -> [i]: sum[q](x*k)\n\n"
        "objective main(): matching + chosen(k=[2, 0, 1])"
    )
    objective = losslang.compile(text, backend="eager")
    exported = module_of(compiler.artifact(objective).python()).Objective()
    lists = {"fake": [torch.randn(3, 2), torch.randn(4)], "real": (torch.randn(3, 2), torch.randn(4))}
    batch = {**lists, "x": torch.randn(5, 3)}
    mine, theirs = objective(batch), exported(batch)
    torch.testing.assert_close(theirs.total, mine.total)
    assert list(theirs.terms) == list(mine.terms)
    with pytest.raises(ValueError, match="'fake' is no list of 2"):
        exported({**batch, "fake": lists["fake"][:1]})
