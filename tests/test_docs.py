"""The documents are true: every fenced losslang text in them compiles, every link leads somewhere."""

from __future__ import annotations

import re
import shlex
from functools import partial
from pathlib import Path

import pytest
import yaml

import losslang
from losslang import cli, compiler

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]


def blocks(language: str) -> list[tuple[str, str]]:
    """The fenced texts of a language, with the page they are on."""
    found: list[tuple[str, str]] = []
    for page in PAGES:
        texts = re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        found += [(page.name, text) for text in texts]
    return found


EXPRESSIONS = [(page, line) for page, text in blocks("losslang") for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize(("page", "text"), EXPRESSIONS)
def test_every_expression_compiles(page: str, text: str) -> None:
    assert compiler.check(text.partition("  #")[0]).terms, page
    assert not compiler.diagnose(text), page


@pytest.mark.parametrize(("page", "text"), blocks("losslang-file"))
def test_every_file_compiles(page: str, text: str) -> None:
    assert compiler.check(text).terms, page
    assert not compiler.diagnose(text), page


@pytest.mark.parametrize(("page", "text"), blocks("yaml"))
def test_every_config_compiles(page: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    assert compiler.check(tmp_path / "config.yaml").terms, page
    if "#" not in text:  # of a folded text, other readers make one line, in which a comment has no end
        assert compiler.check(yaml.safe_load(text)).terms, page


@pytest.mark.parametrize(("page", "text"), blocks("losslang-files"))
def test_files_that_use_each_other_compile(page: str, text: str, tmp_path: Path) -> None:
    first, *rest = re.split(r"^--- (.+)\n", text, flags=re.MULTILINE)
    for name, content in {"main.loss": first, **dict(zip(rest[::2], rest[1::2], strict=True))}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    assert compiler.check(tmp_path / "main.loss").terms, page


def test_the_quick_start_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The README's programs, one after the other as a reader would type them, without waiting for inductor."""
    config = next(text for page, text in blocks("yaml") if page == "README.md")
    (tmp_path / "config.yaml").write_text(config, encoding="utf-8")
    own = next(text for page, text in blocks("losslang-file") if page == "README.md")
    (tmp_path / "mine.loss").write_text(own, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(losslang, "compile", partial(losslang.compile, backend="eager"))
    names: dict[str, object] = {}
    for page, text in blocks("python"):
        if page == "README.md" and "out = objective(pred=pred" not in text:
            exec(compile(text, "README.md", "exec"), names)


@pytest.mark.parametrize(("page", "text"), [(page, text) for page, text in blocks("python") if page == "language.md"])
def test_the_programs_of_the_language_run(page: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losslang, "compile", partial(losslang.compile, backend="eager"))
    exec(compile(text, page, "exec"), {})


CALLS = [
    shlex.split(line, comments=True)
    for page, text in blocks("sh")
    if page == "language.md"
    for line in text.splitlines()
]


@pytest.mark.parametrize("words", [words for words in CALLS if words], ids=" ".join)
def test_every_command_of_the_language_answers(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert words[0] == "losslang" and "-e" in words
    assert cli.main(words[1:]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([\w./-]+)\)", page.read_text(encoding="utf-8")):
        if "/" in target or "." in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
