"""What can be said about a file's definitions before any of them is used: names, axes, and that none needs itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from losslang.diagnostics import Diagnostic, Label, LosslangError
from losslang.sema.resolve import sort_of
from losslang.source import Span
from losslang.syntax import ast

RESERVED = ("auto", "epoch", "false", "inf", "none", "pi", "step", "true")
"""Words of the language that would mean something else as a name."""


def check(module: ast.Module) -> None:
    """Check every definition of a file.

    Raises:
        LosslangError: LL0205 (a name twice), LL0210 and LL0211 (what needs itself), LL0309, LL0703 (a name of the
            language); all of them together.
    """
    found = [one for problems in faults(module).values() for one in problems]
    if found:
        raise LosslangError(found)


def faults(module: ast.Module) -> dict[str, list[Diagnostic]]:
    """What is wrong with each definition of a file, by its name; those without fault are left out."""
    items = [item for item in module.items if not isinstance(item, ast.Use)]
    found = {item.name: list(_item(item)) for item in items}
    if not any(found.values()):
        hint = "a repeated step is a fold: iterate[x = start, n](step)"
        for circle, problem in _cycles(_module_graph(module), "LL0210", hint):
            found |= {name: [problem] for name in circle}
    return {name: problems for name, problems in found.items() if problems}


def _is_builtin(name: str) -> bool:
    """Whether the language itself has a function of that name; a formula means the same in every file."""
    from losslang.sema.chance import WORDS
    from losslang.sema.evaluate import is_builtin

    return is_builtin(name) and name not in WORDS  # those mean something in a default only


def _item(item: ast.Definition | ast.Alias) -> Iterator[Diagnostic]:
    if item.name in RESERVED:
        yield Diagnostic(
            "LL0205",
            f"'{item.name}' is a word of the language",
            item.span,
            expected="another name",
            hint=f"call it my_{item.name}",
        )
    elif _is_builtin(item.name) and not item.span.source.library:
        yield Diagnostic(
            "LL0703",
            f"'{item.name}' is a function of the language",
            item.span,
            expected="one meaning for each name",
            hint=f"call it my_{item.name}",
        )
    if isinstance(item, ast.Definition):
        yield from _names(item)
        hint = "the value of the call before is last(x, init); nothing else may refer to itself"
        graph = {b.name: (b.span, _references(b.value)) for b in item.bindings}
        for _, problem in _cycles(graph, "LL0211", hint):
            yield problem
        if item.keyword == "objective":
            yield from _inputs(item)


def _names(definition: ast.Definition) -> Iterator[Diagnostic]:
    """A name has one value per call; an axis stands once in a type."""
    seen: dict[str, Span] = {}
    for node in (*definition.parameters, *definition.bindings):
        if node.name in seen:
            yield Diagnostic(
                "LL0205",
                f"'{node.name}' is defined twice in {definition.name}",
                node.span,
                expected="one value for each name",
                labels=(Label(seen[node.name], "first here"),),
                hint="give the second another name",
            )
        seen.setdefault(node.name, node.span)
    for parameter in definition.parameters:
        if not isinstance(parameter.type, ast.TensorType):
            continue
        for group in parameter.type.groups:
            named = [axis.name for axis in group if axis.name is not None]
            twice = next((name for name in named if named.count(name) > 1), None)
            if twice is not None:
                yield Diagnostic(
                    "LL0205",
                    f"'{parameter.name}' has the axis '{twice}' twice",
                    parameter.span,
                    expected="a name of its own for each axis",
                    hint="axes of equal extent have two names: real[i, j]",
                )


def _inputs(definition: ast.Definition) -> Iterator[Diagnostic]:
    """An objective takes what a batch can hold."""
    for parameter in definition.parameters:
        if sort_of(parameter) not in ("tensor", "number", "model"):
            yield Diagnostic(
                "LL0309",
                f"an objective takes tensors, numbers and models; '{parameter.name}' is none of them",
                parameter.span,
                expected="a type such as real[b, ...]",
                hint="name the loss or the network where it is used",
            )


# ------------------------------------------------------------------------------------------ what needs itself
Graph = Mapping[str, tuple[Span, set[str]]]


def _module_graph(module: ast.Module) -> Graph:
    return {item.name: (item.span, needs(item)) for item in module.items if not isinstance(item, ast.Use)}


def needs(item: ast.Definition | ast.Alias) -> set[str]:
    """The names that a definition refers to, but for its own."""
    if isinstance(item, ast.Alias):
        return _references(item.value)
    own = {node.name for node in (*item.parameters, *item.bindings)}
    parts: list[object] = [item.value, item.result, item.normaliser, *item.bindings]
    parts += [parameter.default for parameter in item.parameters]
    return {name for part in parts for name in _references(part)} - own


def _references(part: object) -> set[str]:
    """The names in a part of the tree; what ``last`` reads is of the call before, and its first value is not."""
    found: set[str] = set()
    stack = [part]
    while stack:
        node = stack.pop()
        match node:
            case ast.Name(name=name):
                found.add(name)
            case ast.Call(callee=ast.Name(name="last"), arguments=arguments):
                stack += arguments[1:]
            case ast.Call() if bound := ast.bound_names(node):
                inside = {name for argument in node.arguments for name in _references(argument.value)}
                found |= inside - bound
                stack += ast.bound_values(node)
            case ast.Call(callee=ast.Index(base=base, items=items, filter=condition)):  # a bracket names axes
                limits = [operand for item in items if isinstance(item, ast.Compare) for operand in item.operands[1:]]
                stack += [base, condition, *limits, *(argument.value for argument in node.arguments)]
            case ast.Node():
                stack += ast.children(node)
            case _:
                pass
    return found


def _cycles(graph: Graph, code: str, hint: str) -> Iterator[tuple[list[str], Diagnostic]]:
    """Each circle of names, and its error."""
    done: set[str] = set()
    for start in graph:
        circle = _circle(graph, start, done)
        if circle:
            chain = " -> ".join([*circle, circle[0]])
            problem = Diagnostic(
                code,
                f"'{circle[0]}' needs itself" + (f": {chain}" if len(circle) > 1 else ""),
                graph[circle[0]][0],
                expected="names that stand for something already known",
                labels=tuple(
                    Label(graph[name][0], f"needs '{circle[(n + 1) % len(circle)]}'")
                    for n, name in enumerate(circle)
                    if n
                ),
                hint=hint,
            )
            yield circle, problem


def _circle(graph: Graph, start: str, done: set[str]) -> list[str]:
    """The first circle that is met from a name; depth first, without recursion."""
    if start in done:
        return []
    path = [start]
    iterators = [_following(graph, start)]
    while path:
        following = next(iterators[-1], None)
        if following is None:
            done.add(path.pop())
            iterators.pop()
        elif following in path:
            done.update(path)
            return path[path.index(following) :]
        elif following not in done:
            path.append(following)
            iterators.append(_following(graph, following))
    return []


def _following(graph: Graph, name: str) -> Iterator[str]:
    return iter(sorted(graph[name][1] & graph.keys()))
