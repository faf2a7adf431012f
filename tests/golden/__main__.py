"""``make golden``: how much of the corpus losslang covers, and how much of that agrees, by domain."""

from __future__ import annotations

import sys
from collections import Counter

import pytest

from tests.golden import corpus, run
from tests.golden.adapters import DIFFERS, RULES, NotCovered, adapt


def main() -> int:
    """Print a table, what is not covered and what disagrees; 1 if anything disagrees."""
    print(f"{'domain':<16}{'cases':>7}{'covered':>9}" + "".join(f"{name:>15}" for name in run.BACKENDS))
    missing: dict[str, list[str]] = {}
    problems: list[str] = []
    for domain in run.DOMAINS:
        cases, _ = corpus.load(domain)
        known, agree = _run(domain, problems)
        missing[domain] = sorted({case["loss"] for case in cases if (domain, case["loss"]) not in RULES})
        numbers = "".join(f"{agree[name]:>15}" for name in run.BACKENDS)
        print(f"{domain:<16}{len(cases):>7}{known:>9}{numbers}")
    print("\nlosses without an adapter:")
    for domain, losses in missing.items():
        print(f"  {domain} ({len(losses)}): {', '.join(losses)}")
    print("\n" + ("\n".join(problems) if problems else "nothing disagrees"))
    return int(any("disagrees" in problem for problem in problems))


def _run(domain: str, problems: list[str]) -> tuple[int, Counter[str]]:
    """How many cases of a domain are covered, and how many agree on each backend."""
    cases, arrays = corpus.load(domain)
    known, agree = 0, Counter[str]()
    for case in cases:
        if (domain, case["loss"]) not in RULES:
            continue
        if (domain, case["id"]) in DIFFERS:
            problems.append(f"{domain} {case['id']} is not the paper's: {DIFFERS[domain, case['id']]}")
            continue
        try:
            adapt(domain, case, arrays)
        except (NotCovered, pytest.skip.Exception) as reason:
            problems.append(f"{domain} {case['id']} is not covered: {reason}")
            continue
        known += 1
        for backend in run.BACKENDS:
            try:
                run.check(domain, case, arrays, backend)
                agree[backend] += 1
            except Exception as problem:
                problems.append(f"{domain} {case['id']} disagrees on {backend}: {str(problem)[:300]}")
    return known, agree


if __name__ == "__main__":
    sys.exit(main())
