"""losslang against the papers' own code: every covered case of the corpus, on the oracle and compiled."""

from __future__ import annotations

import pytest

from tests.golden import corpus, run
from tests.golden.adapters import (
    DIFFERS,
    FINITE_LIMITS,
    GAPS,
    RULES,
    SOURCE_ROUNDING,
    STORED,
    SURROGATES,
    TIES,
    NotCovered,
    adapt,
    identifier,
)
from tests.golden.corpus import Case


def covered() -> list[tuple[str, Case]]:
    """The cases of all losses that have an adapter, but for the gaps."""
    found: list[tuple[str, Case]] = []
    for domain in run.DOMAINS:
        try:
            cases, _ = corpus.load(domain)
        except pytest.skip.Exception:
            continue
        known = [case for case in cases if (domain, case["loss"]) in RULES]
        found += [(domain, case) for case in known if (domain, case["id"]) not in {**GAPS, **DIFFERS}]
    return found


CASES = covered()
IDS = [f"{domain}-{case['id']}" for domain, case in CASES]


@pytest.mark.parametrize("backend", run.BACKENDS)
@pytest.mark.parametrize(("domain", "case"), CASES, ids=IDS)
def test_case(domain: str, case: Case, backend: str) -> None:
    _, arrays = corpus.load(domain)
    run.check(domain, case, arrays, backend)


LEAVING = [(domain, case) for domain, case in CASES if (domain, case["loss"]) in STORED and "aux" in case]


@pytest.mark.parametrize(("domain", "case"), LEAVING, ids=[f"{domain}-{case['id']}" for domain, case in LEAVING])
def test_what_a_call_leaves_behind(domain: str, case: Case) -> None:
    _, arrays = corpus.load(domain)
    run.check_stored(domain, case, arrays)


@pytest.mark.parametrize(("domain", "name"), sorted(GAPS))
def test_a_gap_is_one(domain: str, name: str) -> None:
    cases, arrays = corpus.load(domain)
    with pytest.raises(NotCovered):
        adapt(domain, next(case for case in cases if case["id"] == name), arrays)


@pytest.mark.parametrize(("domain", "name"), sorted(DIFFERS))
def test_a_source_that_differs_does(domain: str, name: str) -> None:
    cases, arrays = corpus.load(domain)
    with pytest.raises(AssertionError, match="off by"):
        run.check(domain, next(case for case in cases if case["id"] == name), arrays, "oracle")


def test_the_corpus_is_there() -> None:
    assert len(CASES) > 250


def test_gradients_are_of_the_cases_own_inputs() -> None:
    for domain, case in CASES:
        _, arrays = corpus.load(domain)
        _, inputs = adapt(domain, case, arrays)
        for name in case["grad_wrt"]:
            own = arrays[case["inputs"][name]]
            assert (inputs[identifier(name)].numpy().reshape(own.shape) == own).all()


def test_what_is_said_of_sources_is_needed() -> None:
    losses, ids = set(RULES), {(domain, case["id"]) for domain, case in CASES}
    assert set(FINITE_LIMITS) | set(SURROGATES) <= losses
    assert set(SOURCE_ROUNDING) | set(TIES) <= ids


def test_an_unknown_parameter_is_not_guessed_at() -> None:
    cases, arrays = corpus.load("image")
    case = next(case for case in cases if case["loss"] == "l1")
    with pytest.raises(NotCovered, match="sharpness"):
        adapt("image", {**case, "params": {**case["params"], "sharpness": 2}}, arrays)
