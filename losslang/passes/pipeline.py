"""The passes in order. Each is a function from objective to objective; the IR is checked after every one."""

from __future__ import annotations

from collections.abc import Callable

from losslang.diagnostics import did_you_mean, error
from losslang.ir.nodes import Objective
from losslang.ir.spec import verify
from losslang.passes.balance import balance
from losslang.passes.guard import guard
from losslang.passes.lift_state import lift_state
from losslang.passes.share import share
from losslang.passes.shift import shift
from losslang.passes.simplify import simplify
from losslang.passes.stabilise import stabilise

Pass = Callable[[Objective], Objective]

# simplify comes first, so that lift_state and balance see folded weights; balance needs the free slots of
# lift_state (a balancer's own); stabilise sees the total with the balancer in it; share comes after it, since
# stabilise gives equal things equal forms; shift takes apart the logsumexps that share compares; guard reads the
# filters of everything, so it comes last.
PASSES: tuple[Pass, ...] = (simplify, lift_state, balance, stabilise, share, shift, guard)

NAMES = tuple(step.__name__ for step in PASSES)


def run(objective: Objective, after: str | None = None, skip: frozenset[str] = frozenset()) -> Objective:
    """Run the pipeline up to and including ``after``, without the passes in ``skip`` (`-O0`: simplify).

    Raises:
        LosslangError: LL0206 for a pass that does not exist.
    """
    if after is not None and after not in NAMES:
        raise error(
            "LL0206",
            f"there is no pass '{after}'",
            expected=", ".join(NAMES),
            hint=did_you_mean(after, NAMES),
        )
    verify(objective)
    for step in PASSES:
        if step.__name__ not in skip:
            objective = step(objective)
            verify(objective)
        if step.__name__ == after:
            break
    return objective
