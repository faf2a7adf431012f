"""Modules: what ``use`` brings, where it may look, and what a wrong one gets."""

from __future__ import annotations

import os
import pickle
import re
from pathlib import Path

import pytest
import torch

import losslang
from losslang import compiler
from losslang.diagnostics import CODES, Diagnostic, LosslangError, render
from losslang.passes import pipeline
from losslang.source import Source, folder
from losslang.syntax import ast
from tests.front.test_diagnostics import rendered

HERE = Path(__file__).parent
ERRORS = sorted((HERE / "errors" / "files").glob("LL*.loss"))

MINE = """\
fn doubled(x): 2*x

loss special(pred, target: real[b, ...], slack: real = 0.1) -> [b, ...]:
    relu(abs(doubled(pred) - target) - slack)

lenient = special(slack=1)
rest = 1 - similar

fn similar(pred, target: real[b, ...]): exp(-(pred - target)^2)

balancer evenly(loss, w: real[k]): sum[k](w*loss)/sum[k](w)

objective own(): special
"""


def lay(folder: Path, **texts: str) -> Path:
    """Files of definitions by stem (``a__b`` lies in folder a); the path of ``main``."""
    for name, text in texts.items():
        path = folder / (name.replace("__", "/") + ".loss")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "main.loss"


def problems(path: Path) -> tuple[Diagnostic, ...]:
    try:
        pipeline.run(losslang.check(path))
    except LosslangError as problem:
        return problem.diagnostics
    return ()


def same(a: object, b: object) -> bool:
    return compiler.digest(a) == compiler.digest(b)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------ what is wrong
def parts(path: Path) -> tuple[dict[str, str], str]:
    """The files of a fixture by name, its own first, and the wanted messages: ``--- name`` begins another file."""
    text, _, wanted = path.read_text("utf-8").partition("\n---\n")
    first, *rest = re.split(r"^--- (.+)\n", text + "\n", flags=re.MULTILINE)
    return {path.name: first, **dict(zip(rest[::2], rest[1::2], strict=True))}, wanted


@pytest.mark.parametrize("path", ERRORS, ids=lambda path: path.stem)
def test_errors(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, update_golden: bool) -> None:
    files, wanted = parts(path)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    found = problems(Path(path.name))
    shown = rendered(tuple(found))
    assert path.name[:6] in {diagnostic.code for diagnostic in found}
    for diagnostic in found:
        assert diagnostic.code in CODES and (diagnostic.expected or diagnostic.found or diagnostic.hint)
        assert diagnostic.span is not None and diagnostic.span.source.name in files
    if update_golden:
        path.write_text(f"{path.read_text('utf-8').partition(chr(10) + '---' + chr(10))[0]}\n---\n{shown}\n", "utf-8")
    else:
        assert shown == wanted.rstrip("\n")


def test_every_code_of_modules_has_a_fixture() -> None:
    assert {path.name[:6] for path in ERRORS} >= {"LL0209", "LL0701", "LL0702", "LL0703"}


# ------------------------------------------------------------------------------------------ what is right
def test_use_brings_definitions_in(tmp_path: Path) -> None:
    main = lay(tmp_path, main="use mine\n\nobjective o(): special + evenly_not | evenly\n", mine=MINE)
    main.write_text("use mine\n\nobjective o(): special + mse | evenly\n")
    alone = MINE.replace("objective own(): special", "objective o(): special + mse | evenly")
    assert same(losslang.check(main), losslang.check(alone))


@pytest.mark.parametrize("use", ["use mine as m", "use ./mine.loss as m"])
def test_as_qualifies(tmp_path: Path, use: str) -> None:
    main = lay(tmp_path, main=f"{use}\n\nobjective o(): m.special(slack=0.2) + mse | m.evenly\n", mine=MINE)
    alone = MINE.replace("objective own(): special", "objective o(): special(slack=0.2) + mse | evenly")
    found = losslang.check(main)
    assert same(found, losslang.check(alone))
    assert [term.name for term in found.terms] == ["special", "mse"]


@pytest.mark.parametrize("form", ["use mine\n\nobjective o(): {}\n", "use mine as m\n\nobjective o(): m.{}\n"])
@pytest.mark.parametrize("name", ["lenient", "rest"])
def test_an_alias_of_a_module_is_read_in_the_module(tmp_path: Path, form: str, name: str) -> None:
    main = lay(tmp_path, main=form.format(name), mine=MINE)
    alone = MINE.replace("objective own(): special", f"objective o(): {name} as {name}")
    found = losslang.check(main)
    wanted = losslang.check(alone)
    assert [t.value for t in found.terms] == [t.value for t in wanted.terms]


def test_a_family_of_the_library_can_be_named() -> None:
    found = losslang.check("use image as im\n\nobjective o(): 1 - im.ssim + im.tv(pred)\n")
    assert same(found, losslang.check("1 - ssim + tv(pred)"))
    assert losslang.check("use image\n\nobjective o(): 1 - ssim\n").terms


def test_modules_of_modules(tmp_path: Path) -> None:
    main = lay(
        tmp_path,
        main="use a.first\nuse a.second as s\n\nobjective o(): one(x=pred) + s.two(x=pred)\n",
        a__first="use ./base.loss\nuse other\n\nloss one(x: real[b]) -> [b]: base(x) + other(x)\n",
        a__second="use a.base as q\n\nloss two(x: real[b]) -> [b]: q.base(x)\n",
        a__base="fn base(x): x^2\n",
        other="fn other(x): abs(x)\n",
    )
    found = losslang.check(main)
    wanted = losslang.check(
        "loss one(x: real[b]) -> [b]: x^2 + abs(x)\n\nloss two(x: real[b]) -> [b]: x^2\n\n"
        "objective o(): one(x=pred) + two(x=pred)\n"
    )
    assert same(found, wanted)


def test_a_module_does_not_see_the_text_that_uses_it(tmp_path: Path) -> None:
    main = lay(
        tmp_path,
        main="use mine\n\nfn helper(x): x\n\nobjective o(): special\n",
        mine="loss special(x: real[b]) -> [b]: helper(x)\n",
    )
    (found,) = problems(main)
    assert found.code == "LL0201" and found.span is not None and found.span.source.name == str(tmp_path / "mine.loss")


def test_helpers_may_have_the_names_of_the_library_s(tmp_path: Path) -> None:
    text = "fn unit(x): x/2\n\nloss special(x: real[b]) -> [b]: unit(x)\n"
    found = losslang.check(text + "\nobjective o(): special\n")
    assert same(found, losslang.check("loss special(x: real[b]) -> [b]: x/2\n\nobjective o(): special\n"))
    assert same(found, losslang.check(lay(tmp_path, main="use mine\n\nobjective o(): special\n", mine=text)))
    with pytest.raises(LosslangError, match="LL0703"):
        losslang.check("fn focal(x): x\n\nobjective o(): l1\n")


def test_only_what_is_used_is_parsed(tmp_path: Path) -> None:
    broken = "loss fine(x: real[b]) -> [b]: x\n\nloss broken(x: real[b]) -> [b]:\n    2 x\n"
    main = lay(tmp_path, main="use mine\n\nobjective o(): fine\n", mine=broken)
    assert problems(main) == ()
    main.write_text("use mine\n\nobjective o(): broken\n")
    (found,) = problems(main)
    assert found.code == "LL0101" and [label.text for label in found.labels] == ["used here"]


# ------------------------------------------------------------------------------------------ where it looks
def test_a_text_alone_reads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(tmp_path, mine=MINE)
    monkeypatch.chdir(tmp_path)
    for use in ("mine", "./mine.loss"):
        with pytest.raises(LosslangError, match="path="):
            losslang.check(f"use {use}\n\nobjective o(): special\n")


@pytest.mark.parametrize("form", [str, Path, lambda path: [path], lambda path: [path / "none", str(path)]])
def test_declared_folders(tmp_path: Path, form: object) -> None:
    lay(tmp_path, mine=MINE, deep__more="loss more(x: real[b]) -> [b]: x\n")
    text = "use mine\nuse ./deep/more.loss as m\n\nobjective o(): special + m.more(x=pred)\n"
    assert losslang.check(text, path=form(tmp_path)).terms  # type: ignore[operator]
    objective = losslang.compile(text, path=tmp_path, backend="eager")
    assert objective(pred=torch.zeros(3), target=torch.ones(3)).total.item() == pytest.approx(0.9)


def test_the_first_folder_wins(tmp_path: Path) -> None:
    lay(tmp_path, a__mine="loss m(x: real[b]) -> [b]: x\n", b__mine="loss m(x: real[b]) -> [b]: 2*x\n")
    text = "use mine\n\nobjective o(): m\n"
    one = losslang.check(text, path=[tmp_path / "a", tmp_path / "b"])
    assert same(one, losslang.check(text, path=tmp_path / "a"))
    assert not same(one, losslang.check(text, path=tmp_path / "b"))


@pytest.mark.parametrize("target", ["secret.loss", "folder/secret.loss", "."])
def test_no_link_leads_out(tmp_path: Path, target: str) -> None:
    outside = tmp_path / "outside"
    lay(outside, secret="loss secret(x: real[b]) -> [b]: x\n", folder__secret="loss secret(x: real[b]) -> [b]: x\n")
    main = lay(tmp_path / "inside", main="use link\n\nobjective o(): l1 + secret(x=pred)\n")
    (tmp_path / "inside" / ("link" if target == "." else "link.loss")).symlink_to(outside / target)
    if target == ".":
        main.write_text("use link.secret\n\nobjective o(): secret\n")
    (found,) = problems(main)
    assert found.code == "LL0702" and "outside/" not in render([found])
    assert losslang.check(main, path=outside).terms


def test_links_within_the_path_are_followed(tmp_path: Path) -> None:
    main = lay(tmp_path, main="use link\n\nobjective o(): special\n", deep__mine=MINE)
    (tmp_path / "link.loss").symlink_to(tmp_path / "deep" / "mine.loss")
    assert problems(main) == ()


def test_links_in_a_circle(tmp_path: Path) -> None:
    main = lay(tmp_path, main="use link\n\nobjective o(): l1\n")
    (tmp_path / "link.loss").symlink_to(tmp_path / "link.loss")
    assert {one.code for one in problems(main)} <= {"LL0209", "LL0702"} and problems(main)


@pytest.mark.parametrize("path", ["../secret.loss", "../../x.loss", "./../secret.loss", "/etc/passwd", "//etc/x.loss"])
def test_nothing_outside_is_opened(tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(tmp_path, secret="loss secret(x: real[b]) -> [b]: x\n")
    main = lay(tmp_path / "inside", main=f"use {path}\n\nobjective o(): l1\n")

    read_bytes = Path.read_bytes

    def opened(self: Path) -> bytes:
        assert self == main, f"{self} was opened"
        return read_bytes(self)

    monkeypatch.setattr(Path, "read_bytes", opened)
    assert problems(main)


def test_a_module_that_cannot_be_read(tmp_path: Path) -> None:
    main = lay(tmp_path, main="use mine\n\nobjective o(): l1\n")
    (tmp_path / "mine.loss").write_bytes(b"loss \xff\xfe")
    (found,) = problems(main)
    assert found.code == "LL0209" and "UTF-8" in found.message
    (tmp_path / "mine.loss").unlink()
    (tmp_path / "mine.loss").mkdir()
    assert [one.code for one in problems(main)] == ["LL0209"]


def test_the_library_may_be_read_as_a_file() -> None:
    for path in sorted(folder("stdlib").glob("*.loss")):
        assert compiler.diagnose(path) == []


# ------------------------------------------------------------------------------------------ afterwards
def test_a_module_is_kept_with_the_objective(tmp_path: Path) -> None:
    main = lay(tmp_path, main="use mine\n\nobjective o(): special\n", mine=MINE)
    objective = losslang.compile(main, backend="eager")
    saved = pickle.dumps(objective)
    (tmp_path / "mine.loss").unlink()
    os.chdir("/")
    batch = {"pred": torch.rand(5), "target": torch.rand(5)}
    assert torch.equal(pickle.loads(saved)(batch).total, objective(batch).total)


def test_a_module_can_be_exported(tmp_path: Path) -> None:
    main = lay(tmp_path, main="use mine\n\nobjective o(): special\n", mine=MINE)
    assert "class Objective" in compiler.artifact(main).python()


def test_names_are_printed_as_written() -> None:
    text = "use a.b as c\nuse ./d.loss\nuse ../e/f.loss as g\n\nobjective o(): c.x(y)*2 + z | c.p\n"
    assert (
        losslang.format(text)
        == "use a.b as c\nuse ./d.loss\nuse ../e/f.loss as g\n\nobjective o(): c.x(y)*2 + z | c.p\n"
    )
    tree = losslang.parse(Source("a", text))
    assert isinstance(tree, ast.Module)
    assert [item.target for item in tree.items if isinstance(item, ast.Use)] == ["a.b", "./d.loss", "../e/f.loss"]
