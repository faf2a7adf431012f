"""YAML with the places of its values. Nothing is constructed: a config is data."""

from __future__ import annotations

import re
from typing import Any, cast

import yaml

from losslang.config.tree import Entry, Node, aligned, mapping, scalar, unreadable
from losslang.source import Source, Span

_TAG = "tag:yaml.org,2002:"
_SCALARS = {"null": "null", "bool": "bool", "int": "int", "float": "float", "str": "str"}


def read(source: Source) -> Node:
    """The tree of a YAML text.

    Raises:
        LosslangError: LL0706 where it is no YAML, LL0708 for a key that is given twice.
    """
    try:
        root = cast(Any, yaml).compose(source.text, yaml.SafeLoader)
        return _Reader(source).node(root) if root is not None else mapping((), Span(source, 0, 0))
    except yaml.MarkedYAMLError as problem:
        mark = cast(Any, problem.problem_mark or problem.context_mark)
        at = mark.index if mark is not None else 0
        why = " ".join(part for part in (problem.context, problem.problem) if part)
        raise unreadable("YAML", why, Span(source, at, at + 1)) from None
    except yaml.YAMLError as problem:
        at = getattr(problem, "position", 0)
        why = str(getattr(problem, "reason", "it cannot be read"))
        raise unreadable("YAML", why, Span(source, at, at + 1)) from None
    except (RecursionError, ValueError):
        raise unreadable("YAML", "it nests too deeply, or within itself", Span(source, 0, 1)) from None


class _Reader:
    """Turns the nodes of one document into a tree; what is used twice (an anchor) is one node."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.known: dict[int, Node] = {}
        self.open: set[int] = set()
        self.construct = yaml.constructor.SafeConstructor()

    def node(self, node: Any) -> Node:
        """The tree of a node."""
        if id(node) in self.open:
            raise ValueError("an anchor within itself")
        if id(node) not in self.known:
            self.open.add(id(node))
            self.known[id(node)] = self._read(node)
            self.open.remove(id(node))
        return self.known[id(node)]

    def span(self, node: Any) -> Span:
        """Where a node stands, without the white space behind a block."""
        start, end = node.start_mark.index, node.end_mark.index
        return Span(self.source, start, start + len(self.source.text[start:end].rstrip()))

    def _read(self, node: Any) -> Node:
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        span = self.span(node)
        if isinstance(node, yaml.SequenceNode):
            return Node(tuple(map(self.node, cast("list[Any]", node.value))), span, "list")
        return self._mapping(node, span)

    def _mapping(self, node: Any, span: Span) -> Node:
        entries: list[Entry] = []
        merged: list[Entry] = []
        for key, value in node.value:
            if key.tag == f"{_TAG}merge":
                merged += self._merged(value)
            else:
                name = key.value if isinstance(key, yaml.ScalarNode) else "?"
                entries.append(Entry(str(name), self._inner(key), self.node(value)))
        own = mapping(entries, span)
        names = {entry.key for entry in entries}
        more = {entry.key: entry for entry in reversed(merged) if entry.key not in names}
        return Node((*own.entries, *reversed(more.values())), span, "mapping") if more else own

    def _inner(self, key: Any) -> Span:
        """Where a key stands, without its quotes."""
        span = self.span(key)
        quoted = isinstance(key, yaml.ScalarNode) and key.style in ("'", '"')
        return Span(self.source, span.start + 1, span.end - 1) if quoted else span

    def _merged(self, value: Any) -> list[Entry]:
        """The entries behind ``<<``: of one mapping, or of several, of which the first counts."""
        held = self.node(value)
        return [entry for one in held.several for entry in one]

    def _scalar(self, node: Any) -> Node:
        span, style = self.span(node), node.style
        tag = str(node.tag).removeprefix(_TAG)
        if tag not in _SCALARS:
            date = tag in ("timestamp", "value") and style is None
            return self._text(node, span) if date else Node(str(node.value), span, tag)
        if tag == "str":
            return self._text(node, span)
        value = getattr(self.construct, f"construct_yaml_{tag}")(node)
        return scalar(value, span)

    def _text(self, node: Any, span: Span) -> Node:
        if node.style in ("|", ">"):
            return self._block(span)
        text, start, end = self.source.text, node.start_mark.index, node.end_mark.index
        quote = 0 if node.style is None else 1
        escapes = node.style == '"'
        places = aligned(text, start + quote, end - quote, node.value, escapes=escapes)
        return scalar(node.value, span, places, plain=node.style is None)

    def _block(self, span: Span) -> Node:
        """A block of lines without its margin. Folded ones keep their line breaks: a comment ends with its line."""
        text = self.source.text
        start = text.find("\n", span.start, span.end) + 1
        if not start:
            return scalar("", span)
        lines = text[start : span.end].split("\n")
        digit = re.match(r"[|>][-+]?([1-9])", text[span.start : start])
        margin = min((len(line) - len(line.lstrip(" ")) for line in lines if line.strip()), default=0)
        if digit is not None:
            margin = min(margin, self._indent(span.start) + int(digit.group(1)))
        chars: list[str] = []
        places: list[int] = []
        for line in lines:
            cut = min(margin, len(line) - len(line.lstrip(" ")))
            end = start + len(line) + 1
            chars.append(text[start + cut : end])
            places += range(start + cut, min(end, len(text)))
            start = end
        value = "".join(chars)[: len(places)].rstrip("\n")
        return scalar(value, span, tuple(places[: len(value)]))

    def _indent(self, at: int) -> int:
        """How far the line of a place is indented."""
        line = self.source.text[self.source.text.rfind("\n", 0, at) + 1 : at]
        return len(line) - len(line.lstrip(" "))
