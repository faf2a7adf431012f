"""The command line, called in this process but for two tests: what it prints, and its exit codes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import losslang
from losslang import cli, codes, compiler, diagnostics, explanation
from losslang.sema.modules import library
from losslang.source import folder
from losslang.testing import laws

Call = Callable[..., tuple[int, str, str]]

OWN = """\
loss mine(pred, target: real[b, d]) -> [b]:
    sum[d]((pred - target)^2)

objective first(pred, target: real[b, d]):
    mine(pred, target)

objective second(pred, target: real[b, d]):
    l1(pred, target)
"""


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs the command line; exit code, standard output, standard error."""

    def run(*argv: str | Path) -> tuple[int, str, str]:
        code = cli.main([str(word) for word in argv])
        held = capsys.readouterr()
        return code, held.out, held.err

    return run


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.loss"
    path.write_text(OWN, encoding="utf-8")
    return path


# ------------------------------------------------------------------------------------------ check
def test_check_says_ok(call: Call, own: Path) -> None:
    assert call("check", "-e", "0.5*l1 + focal(gamma=2)") == (0, "ok\n", "")
    assert call("check", own)[:2] == (0, "ok\n")


def test_check_shows_the_place_and_the_fix(call: Call) -> None:
    code, out, _ = call("check", "-e", "0.5*l1 + focal(gama=2)")
    assert code == 1
    assert "error[LL0202]: loss focal has no parameter 'gama'" in out
    assert "^^^^^^" in out
    assert "did you mean 'gamma'?" in out
    assert out.endswith("\n1 error\n")


def test_check_reports_every_definition_of_a_file(call: Call, own: Path) -> None:
    own.write_text(OWN.replace("sum[d]", "sum[k]").replace("l1(pred", "l3(pred"), encoding="utf-8")
    code, out, _ = call("check", own, "--format", "json")
    found = json.loads(out)
    assert code == 1
    assert {one["code"] for one in found} == {"LL0204", "LL0201"}
    assert {one["file"] for one in found} == {str(own)}


def test_check_of_one_objective(call: Call, own: Path) -> None:
    assert call("check", own, "--name", "second")[0] == 0
    code, out, _ = call("check", own, "--name", "secnd")
    assert (code, "did you mean 'second'?" in out) == (1, True)


@pytest.mark.parametrize("family", sorted({entry.family for entry in library()}))
def test_check_finds_no_fault_in_the_library(family: str) -> None:
    assert compiler.diagnose(folder("stdlib") / f"{family}.loss") == []


def test_check_for_github(call: Call) -> None:
    code, out, _ = call("check", "-e", "focl", "--format", "github")
    assert code == 1
    place = "::error file=<expression>,line=1,col=1,endLine=1,endColumn=5,title=LL0201::"
    assert out.startswith(f"{place}there is no loss 'focl'%0A")
    assert out.endswith("%0Ahint: did you mean 'focal'?\n")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_fixes_are_applied_to_a_file(call: Call, own: Path, newline: str) -> None:
    wrong = OWN.replace("^2", "**2").replace("l1(pred", "hubr(pred").replace("    mine(", "    mine(7, ")
    own.write_text(wrong, encoding="utf-8", newline=newline)
    code, out, _ = call("check", own, "--fix")
    assert code == 1
    assert "error[LL0208]" in out and out.endswith("\n1 error\n")
    mended = wrong.replace("**2", "^2").replace("hubr", "huber").replace("\n", newline)
    assert own.read_bytes().decode() == mended


def test_fixes_are_shown(call: Call, own: Path) -> None:
    wrong = OWN.replace("l1(pred", "hubr(pred")
    own.write_text(wrong, encoding="utf-8")
    code, out, _ = call("check", own, "--diff")
    assert code == 1
    assert "-    hubr(pred, target)\n+    huber(pred, target)\n" in out
    assert own.read_text(encoding="utf-8") == wrong


def test_fixes_of_a_config(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text("lr: 0.1\nobjective: l1 + fcl(gama=2)  # ours\n", encoding="utf-8")
    assert call("check", path, "--fix")[0] == 1
    assert path.read_text(encoding="utf-8") == "lr: 0.1\nobjective: l1 + fcl(gama=2)  # ours\n"
    path.write_text("lr: 0.1\nobjective: l1 + focall(gama=2)  # ours\n", encoding="utf-8")
    assert call("check", path, "--fix")[:2] == (0, "ok\n")
    assert path.read_text(encoding="utf-8") == "lr: 0.1\nobjective: l1 + focal(gamma=2)  # ours\n"


def test_what_the_terminal_cannot_show_is_no_traceback() -> None:
    command = [sys.executable, "-m", "losslang.cli", "check", "-e", "λ + 損 + \udcff"]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii:strict"})
    assert done.returncode == 1 and b"error[LL" in done.stdout and not done.stderr


def test_colours_are_for_a_terminal(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in call("check", "-e", "focl")[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in call("check", "-e", "focl")[1]


def test_an_expression_may_begin_with_a_minus_sign(call: Call) -> None:
    assert call("check", "-e", "-ssim(pred, target)")[0] == 0


# ------------------------------------------------------------------------------------------ configs
def test_a_config_is_a_file(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text("lr: 0.1\nobjective: l1 + foca(gamma=2)  # ours\n", encoding="utf-8")
    code, out, _ = call("check", path)
    assert code == 1
    assert f"{path}:2:17" in out  # the line of the config


def test_a_folded_objective(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "train.yml"
    path.write_text("objective: >\n  l1\n  + focal(gamma=2)\nbind: {pred: recon}\n", encoding="utf-8")
    assert call("check", path)[0] == 0
    assert "recon" in call("run", path)[1]


@pytest.mark.parametrize(
    "text",
    ["", "a: b", "objective: 3", "objective: [l1]", "a: [", "- l1", "!!python/none x", "objective: \t- {"],
)
def test_a_config_without_an_objective(call: Call, tmp_path: Path, text: str) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(text, encoding="utf-8")
    code, out, _ = call("check", path)
    assert (code, "error[LL07" in out) == (1, True)


CONFIGS = {
    "yaml": "lr: 0.1\nobjective:\n  terms: {cls: {loss: focal, gamma: 2}, rec: l1}\nbind: {pred: recon}\n",
    "toml": 'lr = 0.1\n[objective.terms]\ncls = { loss = "focal", gamma = 2 }\nrec = "l1"\n[bind]\npred = "recon"\n',
    "json": '{"objective": {"terms": {"cls": {"loss": "focal", "gamma": 2}, "rec": "l1"}},\n"bind": {"pred": "recon"}}',
}


@pytest.mark.parametrize("suffix", CONFIGS)
@pytest.mark.parametrize("command", ["check", "compile", "explain", "run"])
def test_configs_stand_wherever_a_file_does(call: Call, tmp_path: Path, suffix: str, command: str) -> None:
    path = tmp_path / f"train.{suffix}"
    path.write_text(CONFIGS[suffix], encoding="utf-8")
    assert call(command, path, "--set", "terms.cls.gamma=3")[0] == 0
    code, out, err = call(command, path, "--set", "terms.cl.gamma=3")
    assert (code, "did you mean 'cls'?" in out + err) == (1, True)
    if command == "run":
        assert "recon" in call(command, path)[1]


@pytest.mark.parametrize("suffix", CONFIGS)
def test_a_config_is_mended(call: Call, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"train.{suffix}"
    path.write_text(CONFIGS[suffix].replace("gamma", "gamm").replace("focal", "focl"), encoding="utf-8")
    assert call("check", path, "--fix")[0] == 0
    assert path.read_text(encoding="utf-8") == CONFIGS[suffix]


# ------------------------------------------------------------------------------------------ modules
USES = "use mine\n\nobjective o(): special\n"
SPECIAL = "loss special(pred, target: real[b]) -> [b]: abs(pred - target)\n"


def test_modules_lie_beside_the_file(call: Call, tmp_path: Path) -> None:
    (tmp_path / "mine.loss").write_text(SPECIAL, encoding="utf-8")
    (tmp_path / "main.loss").write_text(USES, encoding="utf-8")
    (tmp_path / "train.yaml").write_text(f"objective: |\n  {USES.replace(chr(10), chr(10) + '  ')}", encoding="utf-8")
    for name in ("main.loss", "train.yaml"):
        for command in ("check", "compile", "explain", "run"):
            assert call(command, tmp_path / name)[0] == 0


def test_modules_in_declared_folders(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.loss").write_text(SPECIAL, encoding="utf-8")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "main.loss").write_text(USES, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert call("check", "deep/main.loss")[0] == 1
    assert call("check", "deep/main.loss", "--path", ".")[0] == 0
    assert call("check", "-e", USES)[0] == 1
    assert call("check", "-e", USES, "--path", tmp_path)[0] == 0


def test_an_error_in_a_module_points_there(call: Call, tmp_path: Path) -> None:
    (tmp_path / "mine.loss").write_text(SPECIAL.replace("abs", "asb"), encoding="utf-8")
    (tmp_path / "main.loss").write_text(USES, encoding="utf-8")
    found = json.loads(call("check", tmp_path / "main.loss", "--format", "json")[1])
    assert [(one["file"], one["line"]) for one in found] == [(str(tmp_path / "mine.loss"), 1)]


# ------------------------------------------------------------------------------------------ settings
@pytest.mark.parametrize("command", ["check", "compile", "explain", "run"])
def test_constants_and_overrides(call: Call, command: str) -> None:
    options = ("--const", "beta=0.3", "--set", "terms.mse.weight=0.25", "--set", "terms.focal.gamma=3")
    assert call(command, "-e", "beta*l1 + mse + focal", *options)[0] == 0
    assert call(command, "-e", "beta*l1 + mse", "--const", "beta=0.3", "--const", "gama=1")[0] == 1
    assert call(command, "-e", "l1 + mse", "--set", "terms.mes.weight=0.3")[0] == 1


def test_settings_are_seen_in_the_ir(call: Call) -> None:
    out = call("compile", "-e", "beta*l1 + mse", "--const", "beta=0.3", "--set", "terms.mse.weight=0.25")[1]
    assert "0.3*l1 + 0.25*mse" in out


def test_an_error_in_a_setting_points_into_it(call: Call) -> None:
    out = call("check", "-e", "focal", "--set", "terms.focal.gamma=-1")[1]
    assert "--> --set:1:19\n1 | terms.focal.gamma=-1\n  |                   ^^\n" in out


# ------------------------------------------------------------------------------------------ wrong calls
@pytest.mark.parametrize("command", ["check", "compile", "explain", "run"])
def test_files_that_cannot_be_read(call: Call, tmp_path: Path, command: str) -> None:
    binary = tmp_path / "binary.loss"
    binary.write_bytes(b"loss \xff\xfe\x00")
    folder = tmp_path / "folder.loss"
    folder.mkdir()
    for path in (tmp_path / "missing.loss", binary, folder):
        code, out, err = call(command, path)
        assert (code, out) == (2, "")
        assert err.startswith("losslang: ") and str(path) in err
        assert "Traceback" not in err


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["nonsense"],
        ["check"],
        ["check", "a.loss", "-e", "l1"],
        ["check", "l1 + mse"],
        ["check", "-e"],
        ["check", "-e", "l1", "--fix"],
        ["check", "missing.loss", "--fix"],
        ["compile", "-e", "l1", "--emit", "c"],
        ["compile", "-e", "l1", "--dims", "pred"],
        ["compile", "-e", "l1", "--emit", "fx", "--after", "share"],
        ["compile", "-e", "l1", "-o", "/dev/null/x"],
        ["fmt"],
        ["fmt", "missing.loss"],
        ["run", "-e", "l1", "--input", "missing.npz"],
        ["run", "-e", "l1", "--input", "batch.txt"],
    ],
)
def test_wrong_calls(call: Call, argv: list[str]) -> None:
    code, _, err = call(*argv)
    assert code == (1 if argv == ["check", "-e"] else 2)
    assert "Traceback" not in err


@pytest.mark.parametrize("text", ["", " ", "(" * 5000, "l1 +", "\x00", "'", "l1 as", "l1 | ", "-" * 9000])
def test_texts_that_do_not_parse(call: Call, text: str) -> None:
    for command in ("check", "compile", "explain", "run", "fmt"):
        code, out, err = call(command, "-e", text)
        assert code == 1
        assert "error[LL" in out + err


@pytest.mark.parametrize("text", ["1..2", "é" * 300, "1e999*l1", "auto", "none", "-1", "l1(1, 2)"])
def test_texts_that_mean_nothing(call: Call, text: str) -> None:
    for command in ("check", "compile", "explain", "run"):
        code, out, err = call(command, "-e", text)
        assert code == 1
        assert "error[LL" in out + err


def test_an_interrupt_is_quiet(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(compiler, "diagnose", interrupt)
    assert call("check", "-e", "l1") == (130, "", "")


# ------------------------------------------------------------------------------------------ compile
def test_compile_prints_the_ir(call: Call) -> None:
    code, out, _ = call("compile", "-e", "l1 + mse")
    assert code == 0
    assert out.startswith("objective objective(pred, target: real[b, ...]):\n")
    assert "l1 = mean[b, ...](abs(d))" in out
    assert "total(" in call("compile", "-e", "l1 + mse", "--after", "share")[1]


def test_an_unknown_pass(call: Call) -> None:
    code, _, err = call("compile", "-e", "l1", "--after", "shar")
    assert (code, "did you mean 'share'?" in err) == (1, True)


@pytest.mark.parametrize(
    ("emit", "part"),
    [
        ("ast", "Sum\n"),
        ("ir", "l1 = mean[b, ...]"),
        ("fx", "call_function[target=torch.abs]"),
        ("python", "# term: l1"),
        ("latex", r"\mathrm{mse}"),
        ("json", '"terms": ['),
    ],
)
def test_what_can_be_emitted(call: Call, emit: str, part: str) -> None:
    code, out, _ = call("compile", "-e", "0.5*l1 + mse", "--emit", emit)
    assert code == 0
    assert part in out


def test_compile_writes_the_artifact(call: Call, own: Path, tmp_path: Path) -> None:
    code, out, _ = call("compile", own, "--name", "first", "-o", tmp_path / "made")
    assert code == 0
    assert out.split() == [str(tmp_path / "made" / f"objective.{end}") for end in ("py", "json")]
    assert "The objective 'first'" in (tmp_path / "made" / "objective.py").read_text(encoding="utf-8")


def test_fixed_dimensions(call: Call) -> None:
    assert '"logits": ("b", "c", "rest_1")' in call("compile", "-e", "ce", "--emit", "python", "--dims", "logits=3")[1]
    assert call("compile", "-e", "ce", "--emit", "python", "--dims", "logits=1")[0] == 1


# ------------------------------------------------------------------------------------------ explain and list
def test_explain_a_loss(call: Call) -> None:
    code, out, _ = call("explain", "l1")
    assert code == 0
    for part in ("The absolute error.", "l1(pred, target: real[b, ...]) -> [b, ...]", r"\lvert \mathrm{pred}",
                 "lipschitz(pred, 1)", "= 1.25", "grad_pred[b, ...] = ", "Laplace"):  # fmt: skip
        assert part in out


@pytest.mark.parametrize("name", [*library().entries, "vgg16", "squeeze"])
def test_explain_everything(name: str) -> None:
    text = losslang.explain(name)
    assert text.endswith("\n")
    assert "None" not in text


@pytest.mark.parametrize("code", diagnostics.CODES)
def test_explain_a_code(call: Call, code: str) -> None:
    out = call("explain", code.lower())[1]
    assert out == f"{code}: {diagnostics.CODES[code]}\n\n{codes.EXPLANATIONS[code]}\n"
    assert len(codes.EXPLANATIONS[code]) > 60
    assert all(len(line) <= 120 for line in out.split("\n"))


def test_every_code_is_explained() -> None:
    assert list(codes.EXPLANATIONS) == list(diagnostics.CODES)


def test_only_checked_properties_are_shown() -> None:
    checked = set(explanation.CHECKED)
    assert checked == laws.KNOWN - {"example"}


def test_explain_an_objective(call: Call) -> None:
    code, out, _ = call("explain", "-e", "focal(gamma=2) + 0.5*infonce(tau=auto) | uncertainty")
    assert code == 0
    for part in ("infonce (weight 0.5)", "uncertainty over focal, infonce", "logits: logit[b, c, ...]",
                 "infonce.tau: starts at 0.1, stays > 0", "After all passes"):  # fmt: skip
        assert part in out


def test_explain_an_unknown_name(call: Call) -> None:
    for name, hint in (("focl", "did you mean 'focal'?"), ("LL0399", "did you mean 'LL03")):
        code, out, err = call("explain", name)
        assert (code, out) == (1, "")
        assert hint in err


def test_list(call: Call) -> None:
    code, out, _ = call("list")
    assert code == 0
    assert "  l1(pred, target: real[b, ...]) -> [b, ...]\n      The absolute error.\n" in out
    assert "networks\n  vgg16" in out
    rows = json.loads(call("list", "--family", "regression", "--format", "json")[1])
    assert {row["family"] for row in rows} == {"regression"}
    assert {"l1", "mse"} <= {row["name"] for row in rows}
    assert "did you mean 'metric'?" in call("list", "--family", "metrics")[2]


# ------------------------------------------------------------------------------------------ fmt
def test_fmt(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.loss"
    path.parent.mkdir()
    path.write_text("objective  a( ):\n    l1+mse\n", encoding="utf-8")
    assert call("fmt", "--check", tmp_path) == (1, f"would change {path}\n", "")
    assert call("fmt", tmp_path) == (0, f"formatted {path}\n", "")
    assert path.read_text(encoding="utf-8") == "objective a(): l1 + mse\n"
    assert call("fmt", "--check", tmp_path) == (0, "", "")
    assert call("fmt", "-e", "l1+0.5 * mse") == (0, "l1 + 0.5*mse\n", "")


def test_fmt_shows_what_would_change(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "a.loss"
    path.write_text("objective  a( ):  # ours\n    l1+mse\n", encoding="utf-8")
    code, out, _ = call("fmt", "--diff", path)
    assert (code, "-objective  a( ):  # ours\n-    l1+mse\n+objective a():  # ours\n+    l1 + mse\n" in out) == (
        0,
        True,
    )
    assert call("fmt", "--diff", "--check", path)[0] == 1
    assert "a( )" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("objective  a( ):\n    l1+mse\n", "objective a(): l1 + mse\n"),
        ("l1+0.5 * mse # why\n", "l1 + 0.5*mse  # why\n"),
        ("# above\nl1 # inside\n  +mse\n# below\n", "# above\n# inside\nl1 + mse  # below\n"),
        ("l1\n\n", "l1\n"),
    ],
)
def test_fmt_of_standard_input(call: Call, monkeypatch: pytest.MonkeyPatch, text: str, wanted: str) -> None:
    def fed(text: str) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    fed(text)
    assert call("fmt", "-") == (0, wanted, "")
    fed(text)
    assert call("fmt", "-", "--check")[:2] == (1, "would change <stdin>\n")
    fed(wanted)
    assert call("fmt", "-", "--check") == (0, "", "")
    fed(wanted)
    assert call("fmt", "-") == (0, wanted, "")
    fed("l1 +")
    assert call("fmt", "-")[0] == 1


def test_fmt_leaves_configs_alone(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text("objective: l1\n", encoding="utf-8")
    assert (call("fmt", path)[0], path.read_text(encoding="utf-8")) == (2, "objective: l1\n")


def test_fmt_of_what_does_not_parse(call: Call, tmp_path: Path) -> None:
    (tmp_path / "a.loss").write_text("loss a(:\n", encoding="utf-8")
    (tmp_path / "b.loss").write_text("objective  b():  l1\n", encoding="utf-8")
    code, out, err = call("fmt", tmp_path)
    assert code == 1
    assert "formatted" in out and "error[LL" in err


# ------------------------------------------------------------------------------------------ hash, diff
def test_hash(call: Call, own: Path, tmp_path: Path) -> None:
    config = tmp_path / "train.json"
    config.write_text(json.dumps({"objective": "mse + 0.5*l1"}), encoding="utf-8")
    one = call("hash", "-e", "0.5*l1 + mse")[1].split()[0]
    assert len(one) == 64 and call("hash", config)[1] == f"{one}  {config}\n"
    lines = call("hash", own)[1].splitlines()
    assert [line.split()[1] for line in lines] == [f"{own}:first", f"{own}:second"]
    assert call("hash", own, "--name", "second")[1].split()[0] == lines[1].split()[0] != lines[0].split()[0]
    assert call("hash", "-e", "0.5*l1 + mse", "--set", "terms.l1.weight=1")[1].split()[0] != one
    assert call("hash", "-e", "focl")[0] == 1 and call("hash")[0] == 2


def test_diff(call: Call, own: Path, tmp_path: Path) -> None:
    assert call("diff", "-e", "l1 + mse", "-e", "mse + l1") == (0, "the same formula\n", "")
    assert call("diff", "-e", "l1 + mse", "-e", "mse + 2*l1")[:2] == (1, "different\n  term l1: weight 1 -> 2\n")
    assert call("diff", own, own, "--name", "first", "--name", "second")[0] == 1
    assert call("diff", own, own, "--name", "first")[0] == 0
    config = tmp_path / "train.yaml"
    config.write_text("terms: {l1: {loss: l1, weight: 2}, mse: mse}\n", encoding="utf-8")
    assert call("diff", config, "-e", "mse + 2*l1")[0] == 0
    found = json.loads(call("diff", config, "-e", "mse + l1", "--format", "json")[1])
    assert found == {
        "same": False,
        "by": None,
        "changes": [{"what": "weight", "of": "l1", "name": None, "before": "2", "after": "1"}],
    }


@pytest.mark.parametrize(
    "argv",
    [["-e", "l1"], ["-e", "l1", "-e", "mse", "-e", "ce"], ["-e", "l1", "-e", "focl"], ["missing.loss", "-e", "l1"]],
)
def test_diff_of_what_cannot_be_compared(call: Call, argv: list[str]) -> None:
    code, out, err = call("diff", *argv)
    assert (code, out, bool(err)) == (2, "", True)


# ------------------------------------------------------------------------------------------ run
def test_run_on_a_made_up_batch(call: Call) -> None:
    code, out, _ = call("run", "-e", "focal + infonce(tau=auto) | uncertainty", "--check-finite")
    assert code == 0
    for part in ("total ", "  focal    value", "gradient norms", "  logits ", "  terms.infonce.tau "):
        assert part in out
    assert out == call("run", "-e", "focal + infonce(tau=auto) | uncertainty")[1]
    assert out != call("run", "-e", "focal + infonce(tau=auto) | uncertainty", "--seed", "1")[1]


@pytest.mark.parametrize("suffix", ["npz", "pt"])
def test_run_on_a_file(call: Call, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"batch.{suffix}"
    arrays = {"pred": np.array([1.0, 2.0], np.float32), "target": np.array([1.5, 4.0], np.float32)}
    if suffix == "npz":
        np.savez(path, **arrays)  # pyright: ignore[reportArgumentType]
    else:
        torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, path)
    code, out, _ = call("run", "-e", "l1", "--input", path)
    assert (code, out.split("\n")[0]) == (0, "total 1.25")


def test_a_batch_that_does_not_fit(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "batch.npz"
    np.savez(path, pred=np.zeros(2))
    code, _, err = call("run", "-e", "l1", "--input", path)
    assert (code, "LL0501" in err) == (1, True)
    path.write_bytes(b"PK nonsense")
    assert call("run", "-e", "l1", "--input", path)[0] == 2


def test_rows_can_be_run(call: Call) -> None:
    assert call("run", "-e", "l1(reduce=none)")[0] == 0


# ------------------------------------------------------------------------------------------ processes
def test_check_needs_no_torch_and_answers_at_once() -> None:
    code = "import sys; from losslang.cli import main; main(sys.argv[1:]); sys.exit('torch' in sys.modules)"
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, "check", "-e", "focal + l1"], check=False, capture_output=True)
    assert done.returncode == 0
    assert time.perf_counter() - started < 5  # 0.3 s where nothing else runs


def test_a_broken_pipe_is_quiet() -> None:
    command = f"{sys.executable} -m losslang.cli list | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("adversarial\n", "")
