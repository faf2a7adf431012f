"""The only file that knows the whole order: text, syntax tree, IR, passes, graph, module."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import losslang
from losslang.builder import Term
from losslang.config import reading
from losslang.diagnostics import Diagnostic, LosslangError, LosslangWarning, allowed, did_you_mean, error, nearest
from losslang.ir import nodes as ir
from losslang.ir import ops
from losslang.ir.netspec import NetSpec
from losslang.passes import pipeline
from losslang.sema import settings
from losslang.sema.elaborate import elaborate, elaborated, program
from losslang.sema.files import Search
from losslang.sema.lint import lint
from losslang.sema.review import review
from losslang.sema.settings import Scalar
from losslang.sema.unit import Unit
from losslang.signature import fixed_ranks, needs, signature, slot_specs
from losslang.source import Source, decoded
from losslang.syntax import ast, parser, printer

if TYPE_CHECKING:
    import torch
    from torch import fx, nn

    from losslang.backends.export import Artifact
    from losslang.difference import Difference
    from losslang.explanation import Listed
    from losslang.runtime.module import Objective, Program

Backend = Literal["inductor", "eager"]

Text: TypeAlias = "str | Path | Mapping[str, Any] | Term | Source | Unit"
"""A text, a path to one or to a config, a config, what `losslang.term` builds; for tools, a text with its name."""

Folders: TypeAlias = str | Path | Sequence[str | Path]
"""One folder or several."""


def unit_of(
    text: Text,
    path: Folders = (),
    constants: Mapping[str, object] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Unit:
    """A text, or the content of a file given as a `Path`, and what else its meaning depends on.

    A string is never taken for a path.
    """
    unit = _bare(text)
    folders = tuple(map(Path, [path] if isinstance(path, str | Path) else path))
    return replace(
        unit,
        search=replace(unit.search, folders=(*unit.search.folders, *folders)),
        constants=settings.merged(unit.constants, settings.constants_of(constants or {}, "<constants>")),
        overrides=(*unit.overrides, *settings.overrides_of(overrides or {}, "<overrides>")),
    )


def _bare(text: Text) -> Unit:
    match text:
        case Unit():
            return text
        case Source():
            return Unit(text)
        case Path():
            source = Source(str(text), _text_of(text))
            return reading.from_file(source, text) if reading.is_config(text) else Unit(source, Search(text))
        case str():
            return Unit(Source("<objective>", text))
        case Term():
            return Unit(Source("<python>", str(text)))
        case Mapping():
            return reading.from_mapping(text)
        case _:
            raise TypeError(f"an objective is a text, the Path of a file or a config, not {type(text).__name__}")


def _text_of(file: Path) -> str:
    try:
        return decoded(file.read_bytes())
    except UnicodeDecodeError as problem:
        raise error(
            "LL0105",
            f"{file} is no text in UTF-8: byte {problem.start} belongs to no character",
            expected="a text in UTF-8",
            found=f"the byte 0x{problem.object[problem.start]:02x}",
            hint="save it as UTF-8; weights and checkpoints are named inside a text",
        ) from None


def loaded(source: Source, file: Path) -> Unit:
    """The objective in the text of a file: of a config, or of one of definitions."""
    return reading.from_file(source, file) if reading.is_config(file) else Unit(source, Search(file))


def extended(unit: Unit, folders: Sequence[Path], constants: Sequence[str], overrides: Sequence[str]) -> Unit:
    """A unit with what a command line adds: further folders, ``beta=0.3``, ``terms.focal.gamma=3``."""
    given = [settings.constant_of(text, "--const") for text in constants]
    return replace(
        unit,
        search=replace(unit.search, folders=(*unit.search.folders, *folders)),
        constants=settings.merged(unit.constants, given),
        overrides=(*unit.overrides, *(settings.override_of(text, "--set") for text in overrides)),
    )


def check(
    text: Text,
    *,
    name: str | None = None,
    path: Folders = (),
    constants: Mapping[str, object] | None = None,
    overrides: Mapping[str, object] | None = None,
    **more: Scalar,
) -> ir.Objective:
    """The IR of an objective, before any pass; torch is not needed.

    Args:
        text: an expression, the text of a file, or a `Path` to one.
        name: which objective, where a file holds several.
        path: folders in which the modules lie that the text uses, beside its own.
        constants: what names in the objective stand for: numbers, truth values, choices.
        overrides: new values of parts of the objective: ``{"terms.focal.gamma": 3, "terms.l1.weight": 0.5}``.
        more: further constants: ``check("l1 + beta*mse", beta=0.3)``.

    Raises:
        LosslangError: every error found, with code, place and hint.
    """
    unit = unit_of(text, path, {**(constants or {}), **more}, overrides)
    _check_options(unit, more, CHECK_OPTIONS)
    return elaborate(unit, name)


CHECK_OPTIONS = ("name", "path", "constants", "overrides")
OPTIONS = (*CHECK_OPTIONS, "bind", "backend", "validate", "check_finite", "seed", "allow")
"""What `compile` takes; any other keyword is a constant."""


def _check_options(unit: Unit, more: Mapping[str, object], options: Sequence[str]) -> None:
    """A keyword that the text does not mention, and that is almost an option, is a slip.

    Raises:
        LosslangError: LL0704.
    """
    for name in more:
        near = nearest(name, options)
        if near is not None and not re.search(rf"\b{re.escape(name)}\b", unit.source.text):
            raise error(
                "LL0704",
                f"there is no option '{name}', and the objective mentions no such constant",
                expected="one of " + ", ".join(options),
                found=f"{name}={more[name]!r}",
                hint=f"did you mean '{near}'?",
            )


def compile(
    text: Text,
    *,
    name: str | None = None,
    path: Folders = (),
    constants: Mapping[str, object] | None = None,
    overrides: Mapping[str, object] | None = None,
    bind: Mapping[str, str] | None = None,
    backend: Backend = "inductor",
    validate: bool = True,
    check_finite: bool = False,
    seed: int | None = None,
    allow: Collection[str] = (),
    **more: Scalar,
) -> Objective:
    """An objective as an `nn.Module`.

    Args:
        text: an expression such as ``"0.5*l1 + focal(gamma=2)"``, the text of a file, the `Path` of a ``.loss`` file
            or of a config (YAML, TOML or JSON), a config that was read, or what `losslang.term` builds.
        name: which objective, where a file holds several.
        path: folders in which the modules lie that the text uses, beside its own.
        constants: what names in the objective stand for: numbers, truth values, choices.
        overrides: new values of parts of the objective: ``{"terms.focal.gamma": 3, "terms.l1.weight": 0.5}``.
        bind: input name -> the name it has in your batches.
        backend: ``"inductor"`` compiles a graph as a whole at its first call; ``"eager"`` runs it as it is.
        validate: check values at the first call and shapes at the first call of every new shape.
        check_finite: at every call, name the input or term that is not finite (this waits for the device).
        seed: of random defaults and random starts, so that a resumed run draws what the whole run would have;
            without it torch's own generators draw, as ``torch.manual_seed`` says.
        allow: what is meant, of the warnings that are issued as `LosslangWarning`: a code, or that of one term,
            ``["LL0812", "cls.LL0808"]``.
        more: further constants: ``compile("l1 + beta*mse", beta=0.3)``.

    Raises:
        LosslangError: every error found in the text; later, those of a call (LL05xx) and of weights (LL06xx).
    """
    if backend not in ("inductor", "eager"):
        raise error(
            "LL0308",
            f"there is no backend '{backend}'",
            expected="inductor or eager",
            hint=did_you_mean(backend, ("inductor", "eager")),
        )
    unit = unit_of(text, path, {**(constants or {}), **more}, overrides)
    _check_options(unit, more, OPTIONS)
    unit = unit.complete()
    written = program(unit, name)
    objective = elaborated(written)
    allow = allowed(allow, [term.name for term in objective.terms])
    for one in lint(written, objective, allow):
        warnings.warn(LosslangWarning(one), stacklevel=2)
    return build(
        objective,
        unit,
        allow=allow,
        bind={**dict(unit.bind), **(bind or {})},
        backend=backend,
        validate=validate,
        check_finite=check_finite,
        seed=seed,
    )


def build(
    objective: ir.Objective,
    unit: Unit,
    *,
    bind: Mapping[str, str] | None = None,
    backend: Backend = "inductor",
    validate: bool = True,
    check_finite: bool = False,
    seed: int | None = None,
    allow: Collection[str] = (),
) -> Objective:
    """The module of an elaborated objective."""
    from losslang.runtime.module import Objective

    planned = pipeline.run(objective)
    return Objective(
        " ".join(unit.source.text.split()),
        signature(objective, planned.inputs),
        [term.name for term in planned.terms],
        slot_specs(objective, planned),
        Factory(planned, backend, unit),
        needs=needs(planned),
        places=objective.origin.terms,
        bind=bind,
        validate=validate,
        check_finite=check_finite,
        seed=seed,
        allow=allow,
    )


class Factory:
    """Makes the function of an objective; its networks are loaded once for each precision and device."""

    def __init__(self, objective: ir.Objective, backend: Backend, unit: Unit) -> None:
        self.objective = objective
        self.backend: Backend = backend
        self.unit = unit
        self._networks: dict[tuple[torch.dtype, torch.device], dict[str, nn.Module]] = {}
        self._programs: dict[tuple[object, ...], Program] = {}

    def __deepcopy__(self, memo: object) -> Factory:
        """Copies of a module share what is made: nothing in it is learned."""
        return self

    def __reduce__(self) -> tuple[Callable[[Unit, str, Backend], Factory], tuple[Unit, str, Backend]]:
        """Pickled as its text and those of its modules, which say everything."""
        return _factory, (self.unit, self.objective.name, self.backend)

    def networks(self, dtype: torch.dtype, device: torch.device) -> dict[str, nn.Module]:
        """The feature networks by the text of their spec."""
        if (dtype, device) not in self._networks:
            loaded = load_networks(self.objective)
            self._networks[dtype, device] = {spec: net.to(device, dtype) for spec, net in loaded.items()}
        return self._networks[dtype, device]

    def graph(self, dims: Mapping[str, int], dtype: torch.dtype, device: torch.device) -> fx.GraphModule:
        """The fx graph for the number of dimensions of each input."""
        from losslang.lowering.to_fx import lower, ranks

        counted = ranks(self.objective.inputs, dims)
        return lower(self.objective, counted, dtype, self.networks(dtype, device))

    def program(self, dims: Mapping[str, int], dtype: torch.dtype, device: torch.device) -> Program:
        """The function that a module calls."""
        from losslang.backends.inprocess import BACKENDS

        key = (*sorted(dims.items()), dtype, device)
        if key not in self._programs:
            self._programs[key] = BACKENDS[self.backend](self.graph(dims, dtype, device))
        return self._programs[key]


def _factory(unit: Unit, name: str, backend: Backend) -> Factory:
    """The factory of a text, for `pickle`."""
    return Factory(pipeline.run(check(unit, name=name)), backend, unit)


def load_networks(objective: ir.Objective) -> dict[str, nn.Module]:
    """The feature networks that an objective names.

    Raises:
        LosslangError: LL06xx where weights cannot be had or do not fit.
    """
    specs = network_specs(objective)
    if not specs:
        return {}
    from losslang.runtime import nets

    codes = {"unknown": "LL0601", "missing": "LL0602", "hash": "LL0603", "mismatch": "LL0604"}
    with_heads = {node.spec for node in ir.topological(objective.roots()) if isinstance(node, ir.Heads)}
    loaded: dict[str, nets.FeatureNet] = {}
    for spec in specs:
        try:
            loaded[str(spec)] = nets.build(nets.NetSpec(*dataclasses.astuple(spec)))
            if spec in with_heads:
                _ = loaded[str(spec)].heads
        except nets.WeightsError as problem:
            place = objective.origin.networks.get(str(spec))
            raise error(codes[problem.kind], problem.message, place, hint=problem.hint or None) from problem
    return {**loaded}


def network_specs(objective: ir.Objective) -> list[NetSpec]:
    """The feature networks that an objective names, each once."""
    nodes = ir.topological(objective.roots())
    return list(dict.fromkeys(node.spec for node in nodes if isinstance(node, ir.Net | ir.Heads)))


# ------------------------------------------------------------------------------------------ standalone files
def export(
    objective: Objective | Text,
    folder: str | Path,
    *,
    name: str | None = None,
    dims: Mapping[str, int] | None = None,
) -> Path:
    """Write an objective as ``objective.py``, which needs torch only, and describe it in ``objective.json``.

    Args:
        objective: what `compile` gave, or what `compile` takes.
        folder: where to; it is made if it is not there.
        name: which objective, where a file holds several.
        dims: input -> how many dimensions it has, for inputs with ``...`` in their type. The file then takes
            this number only; without it, it takes any.

    Returns:
        The path of ``objective.py``.
    """
    made = artifact(objective, name=name, dims=dims)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    (target / "objective.json").write_text(made.json(), encoding="utf-8")
    path = target / "objective.py"
    path.write_text(made.python(), encoding="utf-8")
    return path


def artifact(
    objective: Objective | Text, *, name: str | None = None, dims: Mapping[str, int] | None = None
) -> Artifact:
    """What `export` writes, as texts. No weights of any network are needed for it."""
    import torch

    from losslang.backends.export import Artifact
    from losslang.lowering.to_fx import graph_of, network_names
    from losslang.runtime import nets
    from losslang.runtime.module import Objective

    module = objective if isinstance(objective, Objective) else compile(objective, name=name, backend="eager")
    factory = module.factory
    assert isinstance(factory, Factory)
    planned = factory.objective
    fixed = fixed_ranks(planned, dims or {})
    ranks = {axis: fixed.get(axis, 1) for node in planned.inputs for axis in node.dims if axis.rest}
    heads = {str(node.spec) for node in ir.topological(planned.roots()) if isinstance(node, ir.Heads)}
    specs = {str(spec): nets.NetSpec(*dataclasses.astuple(spec)) for spec in network_specs(planned)}
    names = network_names(specs)
    rows = next((term.value.axes for term in planned.terms if term.value.axes), ())
    learned = dict(module.terms.named_parameters())
    graph, problems = graph_of(planned, ranks, torch.float32, names)
    return Artifact(
        name=planned.name,
        source=factory.unit.source.text,
        digest=digest(planned),
        version=losslang.__version__,
        inputs=module.signature.inputs,
        models=module.signature.models,
        lists=module.signature.lists,
        bind=module.bind,
        ranks={
            node.name: sum(ranks.get(axis, 1) for axis in node.dims)
            for node in planned.inputs
            if any(axis in fixed for axis in node.dims)
        },
        terms=module.term_names,
        slots=tuple(slot_specs(planned, planned)),
        learned={key: parameter.detach().item() for key, parameter in learned.items() if not parameter.dim()},
        needs=module.needs,
        networks={names[text]: (spec, text in heads) for text, spec in specs.items()},
        rows=tuple(f"*{axis.name}" if axis.rest else axis.name for axis in rows),
        graph=graph,
        problems=problems,
        dtype=torch.float32,
    )


def content_hash(text: Text, *, name: str | None = None, path: Folders = ()) -> str:
    """A hash of what an objective means, the same for texts that differ in words only.

    That is: layout, comments, the order of terms, the names of bindings and of axes, defaults that are written out, the
    text, mapping or Python that it is said in. Names of terms and inputs count, since state and batches go by them.

    Raises:
        LosslangError: every error found in the text.
    """
    from losslang.difference import canonical_form
    from losslang.ir import canonical

    return canonical.digest(canonical_form(unit_of(text, path), name))


def diff(
    first: Text, second: Text, *, names: tuple[str | None, str | None] = (None, None), path: Folders = ()
) -> Difference:
    """Whether two objectives are one function, and otherwise which terms, weights, parameters and inputs differ.

    Args:
        first: what `compile` takes.
        second: likewise.
        names: which objectives, where the files hold several.
        path: folders in which the modules lie that they use.

    Raises:
        LosslangError: every error found in one of the texts.
    """
    from losslang import difference

    return difference.compare(unit_of(first, path), unit_of(second, path), names)


def objectives(text: Text) -> list[str]:
    """The names of the objectives that a text holds; one expression is ``objective``."""
    tree = unit_of(text).parsed()
    if not isinstance(tree, ast.Module):
        return ["objective"]
    return [i.name for i in tree.items if isinstance(i, ast.Definition) and i.keyword == "objective"]


def digest(objective: ir.Objective) -> str:
    """A hash of what is computed: the same for every text, process and machine that gives the same IR."""
    parts = [ops.signature(root) for root in objective.roots()]
    parts += [f"{node.name}: {node.type_text}" for node in objective.inputs]
    parts += [term.name for term in objective.terms]
    parts += [f"{update.key}: {', '.join(axis.name for axis in update.dims)}" for update in objective.updates]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


# ------------------------------------------------------------------------------------------ texts
def parse(text: Text) -> ast.Expression | ast.Module:
    """The syntax tree of a text: an expression, or a module of definitions."""
    return unit_of(text).parsed()


def format(text: Text) -> str:
    """The text in the one layout: a file, or an expression on one line."""
    unit = unit_of(text)
    source = unit.source
    if unit.tree is not None:
        tree = unit.parsed()
        return printer.print_module(tree) if isinstance(tree, ast.Module) else printer.print_expression(tree) + "\n"
    return printer.format_source(source) if parser.is_module(source) else printer.format_expression(source)


def from_config(config: Mapping[str, Any]) -> str:
    """The text of an objective that a config holds: the mapping that YAML, TOML or JSON gives.

    Constants and the names of inputs in batches are no part of a text; `compile` takes the config itself.

    Raises:
        LosslangError: LL07xx for what is wrong with the config, and syntax errors.
    """
    unit = reading.from_mapping(config)
    return unit.source.text if unit.tree is None else format(unit).rstrip("\n")


def to_config(
    text: Text,
    *,
    name: str | None = None,
    path: Folders = (),
    constants: Mapping[str, object] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> dict[str, Any]:
    """An objective as a mapping of terms, weights, parameters and passes, for YAML, TOML or JSON.

    `compile` takes it as it takes the text. The arguments are those of `check`; overrides are in the result.

    Raises:
        LosslangError: every error found in the text.
    """
    from losslang.config.write import config_of

    unit = unit_of(text, path, constants, overrides)
    elaborate(unit, name)
    return config_of(unit, name)


def diagnose(
    text: Text, *, name: str | None = None, path: Folders = (), allow: Collection[str] = ()
) -> list[Diagnostic]:
    """Every error and warning of an objective, or of all definitions of a file; torch is not needed.

    Args:
        text: an expression, the text of a file, or a `Path` to one.
        name: one objective of several.
        path: folders in which the modules lie that the text uses, beside its own.
        allow: warnings that are meant, as in `compile`.
    """
    meant = allowed(allow)
    try:
        unit = unit_of(text, path)
    except LosslangError as problem:  # bytes that are no text, a config without an objective
        return [*problem.diagnostics]
    return review(unit, name, meant)


def explain(name: str) -> str:
    """What a name of the library, a network or an error code means, for a reader.

    Raises:
        LosslangError: LL0201 where there is no such name.
    """
    from losslang import explanation

    return explanation.explain(name)


def explain_objective(text: Text, *, name: str | None = None) -> str:
    """The terms of an objective, its inputs, what it learns and what the passes made of it."""
    from losslang import explanation

    plain = check(text, name=name)
    return explanation.explain_objective(pipeline.run(plain), plain)


def catalog(family: str | None = None) -> list[Listed]:
    """What the library holds: family, keyword, name, signature and one sentence each."""
    from losslang import explanation

    return explanation.catalog(family)


def tree_text(text: Text) -> str:
    """The syntax tree, one node on each line."""
    from losslang import explanation

    return explanation.dump(parse(text)) + "\n"


def ir_text(text: Text, *, name: str | None = None, after: str | None = None) -> str:
    """The IR as losslang: as elaborated, or after a pass."""
    from losslang.ir.printer import print_objective

    objective = check(text, name=name)
    return print_objective(objective if after is None else pipeline.run(objective, after))


def latex_text(text: Text) -> str:
    """As LaTeX: an expression and the formula of each loss that it names, or every definition of a file."""
    from losslang.sema.modules import LIBRARY_ONLY
    from losslang.syntax.latex import latex

    tree = parse(text)
    if isinstance(tree, ast.Module):
        items = [item for item in tree.items if not isinstance(item, ast.Use)]
        formulas = [item if isinstance(item, ast.Definition) else item.value for item in items]
    else:
        named = dict.fromkeys(node.name for node in ast.walk(tree) if isinstance(node, ast.Name))
        found = [item for name in named if isinstance(item := LIBRARY_ONLY.find(name), ast.Definition)]
        formulas = [tree, *found]
    return "\n\n".join(map(latex, formulas)) + "\n"


def fx_text(text: Text, *, name: str | None = None, dims: Mapping[str, int] | None = None) -> str:
    """The fx graph, an operation on each line; ``...`` is one dimension, unless ``dims`` says otherwise."""
    return f"{artifact(text, name=name, dims=dims).graph}\n"
