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
    tree: ast.Module | ast.Expression | None = None
    """What is meant where that is no text: the mapping form of a config."""
    bind: tuple[tuple[str, str], ...] = ()
    """Inputs and the names that they have in batches, as a config says them."""

    def parsed(self) -> ast.Module | ast.Expression:
        """The file or the expression that it is."""
        if self.tree is not None:
            return self.tree
        read = parser.parse_module if parser.is_module(self.source) else parser.parse_expression
        return read(self.source)

    def complete(self) -> Unit:
        """The unit with the text of every module that it uses: from then on no file is read."""
        if self.search.texts is not None:
            return self
        module = self.parsed() if "use" in self.source.text or self.tree is not None else None
        known = environment(module, self.search) if isinstance(module, ast.Module) else Environment()
        return replace(self, search=replace(self.search, texts=known.texts))


def unit_of(text: Source | Unit) -> Unit:
    """A text alone, or with what belongs to it."""
    return Unit(text) if isinstance(text, Source) else text
