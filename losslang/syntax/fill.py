"""Lines of limited width out of pieces of text, with the places where a line may break between them."""

from __future__ import annotations

from dataclasses import dataclass

WIDTH = 110
FARTHEST = 60
"""Lines within a bracket begin beneath its inside, unless that is farther right than this."""

# A place to break is a piece by itself; where no line breaks it is a blank. Lower ones are preferred.
COMMA, BAR, IF, OR, AND, COMPARED, MINUS, PLUS, TIMES = map(chr, range(9))
_BREAKS = frozenset({COMMA, BAR, IF, OR, AND, COMPARED, MINUS, PLUS, TIMES})
_ANYWHERE = frozenset({BAR, PLUS, TIMES})
"""Before ``| + * /`` a line may break where no bracket is open, too."""
_BLANKS = str.maketrans(dict.fromkeys(_BREAKS, " "))


@dataclass(frozen=True, slots=True)
class _Cut:
    """A place to break: the piece, and the columns of the brackets open there."""

    at: int
    columns: tuple[int, ...]
    rank: tuple[int, int]


def flat(pieces: list[str]) -> str:
    """All pieces on one line."""
    return "".join(pieces).translate(_BLANKS)


def fill(pieces: list[str], indent: int, hanging: int, width: int = WIDTH) -> str:
    """The pieces on lines of at most ``width`` where possible; breaks outside brackets are preferred.

    The last possible break is taken, but the first ``|``: terms and passes do not mix on a line.

    ``indent`` is the column of the first line, ``hanging`` that of lines that go on outside all brackets.
    """
    lines: list[str] = []
    start, column, columns = 0, indent, ()
    while True:
        cut = _cut(pieces, start, column, columns, width)
        stop = len(pieces) if cut is None else cut.at
        lines.append(" " * column + flat(pieces[start:stop]))
        if cut is None:
            return "\n".join(lines)
        start, columns = cut.at + 1, cut.columns
        column = hanging if not columns else columns[-1] if columns[-1] <= FARTHEST else hanging + 4


def wants_brackets(pieces: list[str], indent: int) -> bool:
    """Whether brackets round a value help: it is too long, and best broken where only brackets allow it."""
    first = _cut(pieces, 0, indent, (), WIDTH)
    if first is None:
        return len(flat(pieces)) + indent > WIDTH
    within = _cut(pieces, 0, indent, (0,), WIDTH)
    return bool(first.columns) and within is not None and len(within.columns) == 1


def _cut(pieces: list[str], start: int, column: int, columns: tuple[int, ...], width: int) -> _Cut | None:
    """Where a line that begins at a piece must end; None where the rest fits or cannot be broken."""
    best: _Cut | None = None
    for at in range(start, len(pieces)):
        piece = pieces[at]
        if piece in _BREAKS and at > start and (piece in _ANYWHERE or columns) and (column <= width or best is None):
            rank = (len(columns), _rank(piece))
            first_bar = best is not None and rank == best.rank == (0, ord(BAR))
            if best is None or (rank <= best.rank and not first_bar):
                best = _Cut(at, columns, rank)
        column += len(piece)
        if piece in ("(", "["):
            columns = (*columns, column)
        elif piece in (")", "]"):
            columns = columns[:-1]
        if column > width and best is not None:
            return best
    return None


def _rank(piece: str) -> int:
    return ord(MINUS if piece == PLUS else BAR if piece == COMMA else piece)
