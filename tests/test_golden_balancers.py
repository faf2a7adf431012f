"""Balancers against their papers' own code: the sequences of the corpus, step by step."""

from __future__ import annotations

import pytest

from tests.golden import corpus, sequences
from tests.golden.adapters import NotCovered
from tests.golden.corpus import Case


def covered() -> list[Case]:
    """The cases that an adapter takes."""
    try:
        cases, _ = corpus.load(sequences.DOMAIN)
    except pytest.skip.Exception:
        return []
    found: list[Case] = []
    for case in cases:
        try:
            sequences.script(case)
        except NotCovered:
            continue
        found.append(case)
    return found


CASES = covered()


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_case(case: Case) -> None:
    _, arrays = corpus.load(sequences.DOMAIN)
    sequences.run(case, arrays)


def test_the_corpus_is_there() -> None:
    assert {case["loss"] for case in CASES} == set(sequences.RULES)
