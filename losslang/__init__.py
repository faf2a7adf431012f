"""losslang: a declarative language and compiler for training objectives.

    objective = losslang.compile("0.5*lpips(vgg16) + focal(gamma=2)")
    out = objective(pred=pred, target=target, logits=logits, labels=labels)
    out.total.backward()

Names are loaded on first use: importing the package costs nothing, and torch comes with the first tensor.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from losslang.builder import balancer, term
    from losslang.compiler import check, compile, explain, format, from_config, parse, to_config
    from losslang.diagnostics import Diagnostic, LosslangError, LosslangWarning
    from losslang.runtime.module import Objective

__version__ = "0.1.0"

__all__ = [
    "Diagnostic",
    "LosslangError",
    "LosslangWarning",
    "Objective",
    "__version__",
    "balancer",
    "check",
    "compile",
    "explain",
    "format",
    "from_config",
    "parse",
    "term",
    "to_config",
]

_HOMES = {
    "Diagnostic": "losslang.diagnostics",
    "LosslangError": "losslang.diagnostics",
    "LosslangWarning": "losslang.diagnostics",
    "Objective": "losslang.runtime.module",
    "balancer": "losslang.builder",
    "check": "losslang.compiler",
    "compile": "losslang.compiler",
    "explain": "losslang.compiler",
    "format": "losslang.compiler",
    "from_config": "losslang.compiler",
    "parse": "losslang.compiler",
    "term": "losslang.builder",
    "to_config": "losslang.compiler",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'losslang' has no attribute '{name}'")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
