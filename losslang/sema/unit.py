"""What is compiled: a text, where the modules that it uses are looked for, and what the caller adds to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from losslang.sema.files import Search
from losslang.sema.modules import Environment, environment
from losslang.sema.settings import Constant, Override
from losslang.source import Source
from losslang.syntax import ast, parser


@dataclass(frozen=True)
class Unit:
    """A text with all that its meaning depends on."""

    source: Source
    search: Search = field(default_factory=Search)
    constants: tuple[Constant, ...] = ()
    overrides: tuple[Override, ...] = ()

    def module(self) -> ast.Module | None:
        """The file that the text is; None where it is one expression."""
        return parser.parse_module(self.source) if parser.is_module(self.source) else None

    def complete(self) -> Unit:
        """The unit with the text of every module that it uses: from then on no file is read."""
        if self.search.texts is not None:
            return self
        module = self.module() if "use" in self.source.text else None
        known = Environment() if module is None else environment(module, self.search)
        return replace(self, search=replace(self.search, texts=known.texts))


def unit_of(text: Source | Unit) -> Unit:
    """A text alone, or with what belongs to it."""
    return Unit(text) if isinstance(text, Source) else text
