"""Every definition of the standard library is documented, has a source, and does what its decorators say."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from losslang.sema import wellformed
from losslang.sema.modules import LIBRARY_ONLY, Entry, library
from losslang.source import Source, folder
from losslang.syntax import ast, parser
from losslang.testing.laws import EXAMPLE, Law, check, laws_of

ENTRIES = {entry.name: entry for entry in library() if entry.keyword != "balancer"}
LAWS = [law for entry in ENTRIES.values() for law in laws_of(entry.item, LIBRARY_ONLY)]

MINERS = ("every_triplet", "violating", "semihard", "easy", "every_pair", "informative")
"""Conditions on distances or similarities: an example says all there is to say."""


def names(*keywords: str) -> list[str]:
    return [entry.name for entry in ENTRIES.values() if entry.keyword in keywords]


def claims(name: str) -> list[str]:
    return [law.name for law in LAWS if law.subject.name == name]


def paper(entry: Entry) -> ast.Decorator:
    found = [d for d in entry.item.decorators if d.name == "paper"]
    assert len(found) == 1, f"{entry.name} needs one @paper"
    return found[0]


def title(law: Law) -> str:
    return f"{law.subject.name}-{law.text.removeprefix('@')}"


@pytest.mark.parametrize("law", LAWS, ids=title)
def test_it_does_what_it_says(law: Law) -> None:
    check(law)


@pytest.mark.parametrize("name", [entry.name for entry in library()])
def test_it_is_documented(name: str) -> None:
    entry = library().entries[name]
    first = entry.item.doc.partition("\n")[0]
    assert first and first[0].isupper() or first.startswith("log("), "the ## line is a sentence"
    assert ". " in entry.item.doc or entry.item.doc.rstrip().endswith("."), "the ## lines are sentences"


@pytest.mark.parametrize("name", [*names("loss"), "ssim"])
def test_it_names_its_source(name: str) -> None:
    decorator = paper(ENTRIES[name])
    given = {argument.name: argument.value for argument in decorator.arguments}
    assert isinstance(given.pop(None), ast.String), "the title comes first"
    assert set(given) <= {"arxiv", "authors", "year", "eq"}
    assert "arxiv" in given or {"authors", "year"} <= set(given), "how to find it"


@pytest.mark.parametrize("name", ENTRIES)
def test_it_has_an_example(name: str) -> None:
    assert EXAMPLE in claims(name)


@pytest.mark.parametrize("name", [name for name in ENTRIES if name not in MINERS])
def test_it_has_a_property(name: str) -> None:
    assert set(claims(name)) - {EXAMPLE}


def test_names_are_unique_over_files() -> None:
    found = Counter[str]()
    for path in folder("stdlib").glob("*.loss"):
        chunks = parser.index_module(Source(path.name, path.read_text(encoding="utf-8")))
        found.update(chunk[1] for chunk in chunks if chunk[0] != "use")
    assert [name for name, count in found.items() if count > 1] == []
    assert set(found) == {entry.name for entry in library()}


@pytest.mark.parametrize("path", sorted(folder("stdlib").glob("*.loss")), ids=lambda path: path.stem)
def test_every_file_is_well_formed(path: Path) -> None:
    wellformed.check(parser.parse_module(Source(path.name, path.read_text(encoding="utf-8"))))


def test_every_file_is_a_family() -> None:
    assert library().families() == {path.stem for path in folder("stdlib").glob("*.loss")}
    assert {"classification", "contrastive", "image", "prelude", "regression"} <= library().families()
    assert library().entries["focal"].family == "classification"
