"""From the parse tree of the grammar to the classes of `ast`: one method for each rule or alias."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

from lark import Token, Tree

from losslang.diagnostics import LosslangError, error
from losslang.source import Source, Span
from losslang.syntax import ast

Parts: TypeAlias = list[Any]
"""What lark hands over for a rule: tokens, None for what is absent, and the nodes built from the parts."""

DIGITS = 300
"""Longest whole number: beyond it no float holds the value."""


class Builder:
    """Builds the nodes of one text; ``offset`` is where the parsed stretch begins in the source."""

    def __init__(self, source: Source, offset: int = 0) -> None:
        self.source = source
        self.offset = offset

    def build(self, tree: Tree[Token]) -> Any:
        """The node for a parse tree; iterative, parts before wholes."""
        built: dict[int, Any] = {}
        for part in tree.iter_subtrees():
            parts = [built.pop(id(child)) if isinstance(child, Tree) else child for child in part.children]
            method: Callable[[Parts], Any] = getattr(self, f"on_{part.data}")
            built[id(part)] = method(parts)
        return built[id(tree)]

    def span(self, first: Token | ast.Node, last: Token | ast.Node | None = None) -> Span:
        """From the start of one part to the end of another."""
        last = first if last is None else last
        start = first.span.start if isinstance(first, ast.Node) else self.offset + (first.start_pos or 0)
        end = last.span.end if isinstance(last, ast.Node) else self.offset + (last.end_pos or 0)
        return Span(self.source, start, end)

    # ------------------------------------------------------------------------------------ files
    def on_file(self, parts: Parts) -> ast.Module:
        """`ast.Module` without the documentation of the file."""
        items = tuple(part for part in parts if isinstance(part, ast.Node))
        whole = Span(self.source, self.offset, len(self.source.text))
        return ast.Module(items, span=whole)  # pyright: ignore[reportArgumentType]

    def on_path(self, parts: Parts) -> Parts:
        return parts

    def on_use(self, parts: Parts) -> ast.Use:
        word, path, alias = parts
        span = self.span(word, path[-1] if alias is None else alias)
        return ast.Use(tuple(map(str, path)), None if alias is None else str(alias), span=span)

    def on_alias(self, parts: Parts) -> ast.Alias:
        *decorators, name, value = parts
        span = self.span(decorators[0] if decorators else name, value)
        return ast.Alias(str(name), value, tuple(decorators), span=span)

    def on_definition(self, parts: Parts) -> ast.Definition:
        *decorators, keyword, name, group, signature, result, suite = parts
        axes, normaliser = result or (None, None)
        bindings, value = self._statements(suite)
        return ast.Definition(
            str(keyword),
            str(name),
            () if group is None else group.axes,
            signature or (),
            axes,
            normaliser,
            bindings,
            value,
            tuple(decorators),
            span=self.span(decorators[0] if decorators else keyword, value),
        )

    def on_decorator(self, parts: Parts) -> ast.Decorator:
        at, name, arguments = parts
        inside, last = arguments or ((), name)
        return ast.Decorator(str(name), inside, span=self.span(at, last))

    def on_signature(self, parts: Parts) -> tuple[ast.Parameter, ...]:
        """The parameters; bare names take the type and default of the first one after them that has any."""
        parameters: list[ast.Parameter] = []
        following = ast.Parameter("", None, None)
        for parameter in reversed([part for part in parts if part is not None]):
            if parameter.type is None and parameter.default is None:
                parameter = replace(parameter, type=following.type, default=following.default)
            else:
                following = parameter
            parameters.append(parameter)
        return tuple(reversed(parameters))

    def on_parameter(self, parts: Parts) -> ast.Parameter:
        name, kind, default = parts
        last = default or kind or name
        return ast.Parameter(str(name), kind, default, span=self.span(name, last))

    def on_result(self, parts: Parts) -> tuple[ast.Axes, ast.Expression | None]:
        return parts[0], parts[1]

    def on_suite(self, parts: Parts) -> list[ast.Binding | ast.Expression]:
        return [part for part in parts if isinstance(part, ast.Node)]  # pyright: ignore[reportReturnType]

    def _statements(self, suite: list[ast.Binding | ast.Expression]) -> tuple[tuple[ast.Binding, ...], ast.Expression]:
        *before, result = suite
        bindings = tuple(line for line in before if isinstance(line, ast.Binding))
        if len(bindings) < len(before):
            raise self._idle_line(suite)
        if isinstance(result, ast.Binding):
            raise error(
                "LL0101",
                "the last line of a body is its result, and this one is a binding",
                result.span,
                expected="an expression",
                found=f"the binding of '{result.name}'",
                hint=f"add a line '{result.name}', or remove '{result.name} ='",
            )
        return bindings, result

    def _idle_line(self, suite: list[ast.Binding | ast.Expression]) -> LosslangError:
        """A line that is neither a binding nor the result: mostly the next one was meant to carry it on."""
        at, line = next((i, line) for i, line in enumerate(suite) if not isinstance(line, ast.Binding))
        follower = suite[at + 1]
        hint = "give it a name: name = expression"
        if isinstance(follower, ast.Unary | ast.Sum) and follower.span.text.startswith("-"):
            hint = "a line that begins with '-' starts a new expression; put brackets round the whole of it"
        return error(
            "LL0101",
            "only the last line of a body may stand without a name",
            line.span,
            expected="a binding 'name = expression'",
            found="an expression",
            hint=hint,
        )

    def on_binding(self, parts: Parts) -> ast.Binding:
        target, value = parts
        name, axes = self._target(target)
        return ast.Binding(name, axes, value, span=self.span(target, value))

    def _target(self, target: ast.Expression) -> tuple[str, ast.Axes | None]:
        if isinstance(target, ast.Name):
            return target.name, None
        if isinstance(target, ast.Index) and isinstance(target.base, ast.Name):
            axes = tuple(self._defined_axis(item) for item in target.items)
            span = Span(self.source, target.base.span.end, target.span.end)
            return target.base.name, ast.Axes(axes, target.filter, span=span)
        raise error(
            "LL0101",
            "this cannot be given a value",
            target.span,
            expected="a name, or a name with axes: 'name[i, j]'",
            found=f"'{_shortened(target.span.text)}'",
            hint="'==' compares" if not isinstance(target, ast.Call) else "a function is defined with 'fn'",
        )

    def _defined_axis(self, item: ast.Expression | ast.Rest | ast.NamedIndex) -> ast.Axis:
        match item:
            case ast.Name(name):
                return ast.Axis(name, span=item.span)
            case ast.Rest():
                return _as_axis(item)
            case ast.Compare((ast.Name(name), bound), ("<",)):
                return ast.Axis(name, bound=bound, span=item.span)
            case ast.NamedIndex(name, ast.Number(int(size))):
                return ast.Axis(name, size, span=item.span)
            case _:
                raise error(
                    "LL0101",
                    "the left side of a binding names its axes",
                    item.span,
                    expected="the name of an axis",
                    found=f"'{_shortened(item.span.text)}'",
                )

    # ------------------------------------------------------------------------------------ types
    def on_type_only(self, parts: Parts) -> ast.Type:
        return next(part for part in parts if isinstance(part, ast.Node))  # pyright: ignore[reportReturnType]

    def on_function(self, parts: Parts) -> ast.FunctionType:
        parameter, result = parts
        return ast.FunctionType(parameter, result, span=self.span(parameter, result))

    def on_choice(self, parts: Parts) -> ast.ChoiceType:
        return ast.ChoiceType(tuple(map(str, parts)), span=self.span(parts[0], parts[-1]))

    def on_tensor(self, parts: Parts) -> ast.TensorType:
        kind = parts[0]
        groups = [part for part in parts if isinstance(part, ast.Axes)]
        bounds = tuple(part for part in parts if isinstance(part, ast.Bound))
        optional = any(isinstance(part, Token) and part.type == "OPTIONAL" for part in parts)
        last = [part for part in parts if part is not None][-1]
        axes = tuple(group.axes for group in groups)
        return ast.TensorType(str(kind), axes, optional, bounds, span=self.span(kind, last))

    def on_bound(self, parts: Parts) -> ast.Bound:
        *op, value = parts
        return ast.Bound(str(op[0]) if op else "in", value, span=self.span(op[0] if op else value, value))

    def on_group(self, parts: Parts) -> ast.Axes:
        return ast.Axes(tuple(_as_axis(part) for part in parts[1:-1]), span=self.span(parts[0], parts[-1]))

    def on_axes(self, parts: Parts) -> ast.Axes:
        opener, *axes, condition, closer = parts
        return ast.Axes(tuple(map(_as_axis, axes)), condition, span=self.span(opener, closer))

    def on_sized_axis(self, parts: Parts) -> ast.Axis:
        name, size = parts
        number = None if size is None else self._whole(size)
        return ast.Axis(str(name), number, span=self.span(name, size or name))

    def on_bounded_axis(self, parts: Parts) -> ast.Axis:
        name, _, bound = parts
        return ast.Axis(str(name), bound=bound, span=self.span(name, bound))

    def on_fixed_axis(self, parts: Parts) -> ast.Axis:
        return ast.Axis(None, self._whole(parts[0]), span=self.span(parts[0]))

    def on_rest(self, parts: Parts) -> ast.Rest:
        dots, name = parts
        return ast.Rest("" if name is None else str(name), span=self.span(dots, name or dots))

    # ------------------------------------------------------------------------------------ expressions
    def on_expression(self, parts: Parts) -> ast.Expression:
        return parts[0]

    def on_pipe(self, parts: Parts) -> ast.Pipe:
        value, name, arguments = parts
        inside, last = arguments or ((), name)
        return ast.Pipe(value, str(name), inside, span=self.span(value, last))

    def on_conditional(self, parts: Parts) -> ast.Conditional:
        return ast.Conditional(*parts, span=self.span(parts[0], parts[-1]))

    def on_or(self, parts: Parts) -> ast.Binary:
        return ast.Binary("or", *parts, span=self.span(parts[0], parts[1]))

    def on_and(self, parts: Parts) -> ast.Binary:
        return ast.Binary("and", *parts, span=self.span(parts[0], parts[1]))

    def on_not(self, parts: Parts) -> ast.Unary:
        return ast.Unary("not", parts[1], span=self.span(parts[0], parts[1]))

    def on_compare(self, parts: Parts) -> ast.Compare:
        ops = tuple(map(str, parts[1::2]))
        return ast.Compare(tuple(parts[0::2]), ops, span=self.span(parts[0], parts[-1]))

    def on_member(self, parts: Parts) -> ast.Member:
        return ast.Member(*parts, span=self.span(parts[0], parts[1]))

    def on_range(self, parts: Parts) -> ast.Range:
        return ast.Range(*parts, span=self.span(parts[0], parts[1]))

    def on_sum(self, parts: Parts) -> ast.Sum:
        signs = ["+", *map(str, parts[1::2])]
        return ast.Sum(tuple(zip(signs, parts[0::2], strict=True)), span=self.span(parts[0], parts[-1]))

    def on_labelled(self, parts: Parts) -> ast.Labelled:
        value, name = parts
        return ast.Labelled(value, str(name), span=self.span(value, name))

    def on_product(self, parts: Parts) -> ast.Binary:
        left, op, right = parts
        return ast.Binary(str(op), left, right, span=self.span(left, right))

    def on_negative(self, parts: Parts) -> ast.Unary:
        return ast.Unary("-", parts[1], span=self.span(parts[0], parts[1]))

    def on_power(self, parts: Parts) -> ast.Binary:
        return ast.Binary("^", *parts, span=self.span(parts[0], parts[1]))

    def on_call(self, parts: Parts) -> ast.Call:
        callee, (arguments, closer) = parts
        if isinstance(callee, ast.Number | ast.String):
            raise self._not_callable(callee)
        return ast.Call(callee, arguments, span=self.span(callee, closer))

    def on_index(self, parts: Parts) -> ast.Index:
        base, _, *items, condition, closer = parts
        if isinstance(base, ast.Number | ast.String):
            raise self._not_callable(base)
        return ast.Index(base, tuple(items), condition, span=self.span(base, closer))

    def _not_callable(self, node: ast.Number | ast.String) -> LosslangError:
        what = "number" if isinstance(node, ast.Number) else "text"
        after = Span(self.source, node.span.end, node.span.end + 1)
        return error(
            "LL0101",
            f"an operator is missing after the {what} {node.span.text}",
            after,
            expected="an operator",
            found=f"'{after.text}'",
            hint=f"write {node.span.text}*(...) for the product" if what == "number" else None,
        )

    def on_named_item(self, parts: Parts) -> ast.NamedIndex:
        return ast.NamedIndex(str(parts[0]), parts[1], span=self.span(parts[0], parts[1]))

    def on_arguments(self, parts: Parts) -> tuple[tuple[ast.Argument, ...], Token]:
        """The arguments, and the bracket that closes them."""
        return tuple(map(_as_argument, (part for part in parts[1:-1] if part is not None))), parts[-1]

    def on_named_argument(self, parts: Parts) -> ast.Argument:
        name, value = parts
        return ast.Argument(value, str(name), span=self.span(name, value))

    def on_name(self, parts: Parts) -> ast.Name:
        return ast.Name(str(parts[0]), span=self.span(parts[0]))

    def on_string(self, parts: Parts) -> ast.String:
        return ast.String(parts[0][1:-1], span=self.span(parts[0]))

    def on_parentheses(self, parts: Parts) -> ast.Expression:
        """The node inside; its place takes in the brackets, which is what a caret line should show."""
        opener, node, closer = parts
        return replace(node, span=self.span(opener, closer))

    def on_list(self, parts: Parts) -> ast.ListOf:
        items = tuple(part for part in parts[1:-1] if part is not None)
        return ast.ListOf(items, span=self.span(parts[0], parts[-1]))

    def on_number(self, parts: Parts) -> ast.Number:
        token = parts[0]
        if token.type == "INT":
            return ast.Number(self._whole(token), span=self.span(token))
        value = float(token)
        if value == float("inf"):
            raise self._too_large(token)
        return ast.Number(value, span=self.span(token))

    def _whole(self, token: Token) -> int:
        if len(token) > DIGITS:
            raise self._too_large(token)
        return int(token)

    def _too_large(self, token: Token) -> LosslangError:
        return error("LL0101", "this number is too large", self.span(token), hint="infinity is written 'inf'")


def _as_axis(part: ast.Axis | ast.Rest) -> ast.Axis:
    return ast.Axis(f"...{part.name}", span=part.span) if isinstance(part, ast.Rest) else part


def _as_argument(part: ast.Argument | ast.Expression) -> ast.Argument:
    return part if isinstance(part, ast.Argument) else ast.Argument(part, span=part.span)


def _shortened(text: str) -> str:
    first = text.split("\n", 1)[0]
    return first if len(first) <= 40 else first[:37] + "..."
