"""Frozen feature networks for perceptual losses: VGG-16, AlexNet and SqueezeNet 1.1 as LPIPS taps them.

Architectures and state-dict keys are torchvision's; taps, input scaling and linear heads are those of
Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018
(github.com/richzhang/PerceptualSimilarity). This file needs torch and Python's own library only: its text
goes into exported objectives as it is.
"""

import hashlib
import http.client
import json
import math
import os
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeVar, cast

import torch
import torch.hub
from torch import Tensor, nn
from torch.nn import functional

Tensors = Mapping[str, Tensor]
Shapes = Mapping[str, tuple[int, ...]]


class WeightsError(Exception):
    """Weights that cannot be had or do not fit; the compiler makes a diagnostic of it."""

    def __init__(self, kind: Literal["missing", "hash", "mismatch", "unknown"], message: str, hint: str = "") -> None:
        super().__init__(kind, message, hint)
        self.kind = kind
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


@dataclass(frozen=True)
class NetSpec:
    """A network and its weights: ``public`` (downloaded), ``path`` (a file) or ``random`` (from a seed)."""

    name: str
    weights: str = "public"
    seed: int | None = None
    path: str | None = None

    def __post_init__(self) -> None:
        given = {"public": (True, True), "random": (False, True), "path": (True, False)}.get(self.weights)
        if given != (self.seed is None, self.path is None):
            raise ValueError(f"weights={self.weights!r} does not go with seed={self.seed}, path={self.path!r}")

    def __str__(self) -> str:
        source = {
            "public": "",
            "random": f"(weights=random(seed={self.seed}))",
            "path": f"(weights={json.dumps(self.path, ensure_ascii=False)})",
        }
        return self.name + source[self.weights]

    def canonical(self) -> "NetSpec":
        """The same network under its full name: equal specs are one network."""
        return replace(self, name=ALIASES.get(self.name, self.name))


# ------------------------------------------------------------------------------------------------------------
# The networks as data


@dataclass(frozen=True)
class Layer:
    """One entry of torchvision's ``features``; its place in the tuple is its number in the state dict."""

    kind: Literal["conv", "fire", "relu", "pool"]
    out: int = 0
    kernel: int = 3
    stride: int = 1
    pad: int = 1
    squeeze: int = 0
    ceil: bool = False
    tap: bool = False

    def convs(self, channels: int) -> Iterator[tuple[str, tuple[int, int, int, int]]]:
        """Name inside the layer and weight shape [out, in, k, k] of each of its convolutions."""
        if self.kind == "conv":
            yield "", (self.out, channels, self.kernel, self.kernel)
        if self.kind == "fire":
            yield "squeeze.", (self.squeeze, channels, 1, 1)
            yield "expand1x1.", (self.out // 2, self.squeeze, 1, 1)
            yield "expand3x3.", (self.out // 2, self.squeeze, 3, 3)


@dataclass(frozen=True)
class File:
    """A public file; ``sha256`` may be its digest's start, since torchvision's names have eight digits."""

    name: str
    url: str
    sha256: str


@dataclass(frozen=True)
class Net:
    """A network: its short name, its layers up to the last tap, its public weights and LPIPS heads."""

    alias: str
    layers: tuple[Layer, ...]
    file: File
    head: File

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each feature map it returns."""
        outs = 0
        taps: list[int] = []
        for layer in self.layers:
            outs = layer.out or outs
            taps += [outs] if layer.tap else []
        return tuple(taps)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each weight, by torchvision's state-dict key and in its order."""
        shapes: dict[str, tuple[int, ...]] = {}
        channels = 3
        for index, layer in enumerate(self.layers):
            for name, shape in layer.convs(channels):
                shapes[f"features.{index}.{name}weight"] = shape
                shapes[f"features.{index}.{name}bias"] = shape[:1]
            channels = layer.out or channels
        return shapes

    @property
    def head_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape [1, c, 1, 1] of each linear head, by the lpips package's key."""
        return {f"lin{k}.model.1.weight": (1, c, 1, 1) for k, c in enumerate(self.channels)}


_RELU, _TAP = Layer("relu"), Layer("relu", tap=True)


def _conv(out: int, *, tap: bool = False) -> tuple[Layer, ...]:
    return Layer("conv", out), _TAP if tap else _RELU


def _fire(out: int, squeeze: int, *, tap: bool = False) -> Layer:
    return Layer("fire", out, squeeze=squeeze, tap=tap)


def _pool(kernel: int, *, ceil: bool = False) -> Layer:
    return Layer("pool", kernel=kernel, stride=2, ceil=ceil)


def _torchvision(name: str) -> File:
    digits = name.removesuffix(".pth").rpartition("-")[2]
    return File(name, f"https://download.pytorch.org/models/{name}", digits)


def _lpips(net: str, sha256: str) -> File:
    """A file of lpips v0.1 at a fixed commit; the digests are of the files in that commit."""
    root = "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity"
    url = f"{root}/082bb24f84c091ea94de2867d34c4544f68e0963/lpips/weights/v0.1/{net}.pth"
    return File(f"lpips-v0.1-{net}-{sha256[:8]}.pth", url, sha256)


NETS: dict[str, Net] = {
    "vgg16": Net(
        "vgg",
        (
            *(*_conv(64), *_conv(64, tap=True), _pool(2)),
            *(*_conv(128), *_conv(128, tap=True), _pool(2)),
            *(*_conv(256), *_conv(256), *_conv(256, tap=True), _pool(2)),
            *(*_conv(512), *_conv(512), *_conv(512, tap=True), _pool(2)),
            *(*_conv(512), *_conv(512), *_conv(512, tap=True)),
        ),
        _torchvision("vgg16-397923af.pth"),
        _lpips("vgg", "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868"),
    ),
    "alexnet": Net(
        "alex",
        (
            *(Layer("conv", 64, kernel=11, stride=4, pad=2), _TAP, _pool(3)),
            *(Layer("conv", 192, kernel=5, pad=2), _TAP, _pool(3)),
            *(*_conv(384, tap=True), *_conv(256, tap=True), *_conv(256, tap=True)),
        ),
        _torchvision("alexnet-owt-7be5be79.pth"),
        _lpips("alex", "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0"),
    ),
    "squeezenet1_1": Net(
        "squeeze",
        (
            *(Layer("conv", 64, stride=2, pad=0), _TAP, _pool(3, ceil=True)),
            *(_fire(128, 16), _fire(128, 16, tap=True), _pool(3, ceil=True)),
            *(_fire(256, 32), _fire(256, 32, tap=True), _pool(3, ceil=True)),
            *(_fire(384, 48, tap=True), _fire(384, 48, tap=True)),
            *(_fire(512, 64, tap=True), _fire(512, 64, tap=True)),
        ),
        _torchvision("squeezenet1_1-b8a52dc0.pth"),
        _lpips("squeeze", "4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76"),
    ),
}
"""Every network by its full name."""

ALIASES: dict[str, str] = {net.alias: name for name, net in NETS.items()}
"""Short names, and the full names they stand for."""


def _find(name: str) -> Net:
    full = ALIASES.get(name, name)
    if full not in NETS:
        known = ", ".join(f"{name} ({net.alias})" for name, net in NETS.items())
        raise WeightsError("unknown", f"unknown network '{name}'", f"known networks: {known}")
    return NETS[full]


# ------------------------------------------------------------------------------------------------------------
# The networks as modules

M = TypeVar("M", bound="FeatureNet")


class Frozen(nn.Module):
    """A module without parameters, whose buffers no state dict holds: they can be made again.

    A checkpoint of an objective keeps what was learned.
    """

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = False) -> None:
        """As in `nn.Module` but never persistent, also where torch.fx registers what a graph names."""
        super().register_buffer(name, tensor, persistent=False)


class Scaling(Frozen):
    """LPIPS's ScalingLayer: an image in [-1, 1] to ImageNet's zero mean and unit variance, per channel."""

    SHIFT = (-0.030, -0.088, -0.188)
    SCALE = (0.458, 0.448, 0.450)

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, values in (("shift", self.SHIFT), ("scale", self.SCALE)):
            buffer = torch.tensor(values, dtype=torch.float32, device="cpu").view(1, 3, 1, 1)
            self.register_buffer(name, buffer)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Scaling":
        """Round the constants anew for each dtype, so that float64 does not inherit float32's rounding."""
        super()._apply(fn, recurse)
        for name, values in (("shift", self.SHIFT), ("scale", self.SCALE)):
            old = self.get_buffer(name)
            setattr(self, name, torch.tensor(values, dtype=old.dtype, device=old.device).view(1, 3, 1, 1))
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Image [B, 3, H, W] to image [B, 3, H, W]."""
        return (x - self.shift) / self.scale


class Conv(Frozen):
    """A convolution with frozen weight [O, I, k, k] and bias [O]."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weights: Tensors, prefix: str, stride: int = 1, pad: int = 0) -> None:
        super().__init__()
        self.stride, self.pad = stride, pad
        self.register_buffer("weight", weights[prefix + "weight"])
        self.register_buffer("bias", weights[prefix + "bias"])

    def forward(self, x: Tensor) -> Tensor:
        """[B, I, H, W] to [B, O, H', W']."""
        return functional.conv2d(x, self.weight, self.bias, self.stride, self.pad)


class Fire(nn.Module):
    """SqueezeNet's block: squeeze to few channels, expand by 1x1 and 3x3 convolutions side by side."""

    def __init__(self, weights: Tensors, prefix: str) -> None:
        super().__init__()
        self.squeeze = Conv(weights, prefix + "squeeze.")
        self.expand1x1 = Conv(weights, prefix + "expand1x1.")
        self.expand3x3 = Conv(weights, prefix + "expand3x3.", pad=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, I, H, W] to [B, O, H, W]."""
        x = functional.relu(self.squeeze(x))
        return torch.cat((functional.relu(self.expand1x1(x)), functional.relu(self.expand3x3(x))), 1)


def _module(layer: Layer, weights: Tensors, prefix: str) -> nn.Module:
    match layer.kind:
        case "conv":
            return Conv(weights, prefix, layer.stride, layer.pad)
        case "fire":
            return Fire(weights, prefix)
        case "relu":
            return nn.ReLU()
        case "pool":
            return nn.MaxPool2d(layer.kernel, layer.stride, ceil_mode=layer.ceil)


class FeatureNet(Frozen):
    """A frozen network that maps an image in [-1, 1] to the feature maps of its taps.

    It is always in evaluation mode, has no parameters and adds nothing to a state dict; ``to`` moves it as
    usual. Gradients flow to the image. Its buffers under ``features`` have torchvision's names; the linear
    heads are the buffers ``head0``, ``head1``, ... once ``heads`` was asked for.
    """

    def __init__(self, spec: NetSpec, weights: Tensors, heads: Sequence[Tensor] | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.net = _find(spec.name)
        self.scaling = Scaling().to(next(iter(weights.values())))
        self.features = nn.Sequential(
            *(_module(layer, weights, f"features.{k}.") for k, layer in enumerate(self.net.layers))
        )
        if heads is not None:
            self._attach(heads)
        self.eval()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Image [B, 3, H, W] in [-1, 1] to one map [B, c, h, w] per tap."""
        x = self.scaling(x)
        taps: list[Tensor] = []
        for layer, module in zip(self.net.layers, self.features, strict=True):
            x = module(x)
            if layer.tap:
                taps.append(x)
        return tuple(taps)

    @property
    def heads(self) -> tuple[Tensor, ...]:
        """LPIPS's non-negative weight [c] of each channel of each tap; loaded when first asked for."""
        if not hasattr(self, "head0"):
            self._attach(heads(self.spec))
        return tuple(self.get_buffer(f"head{k}") for k in range(len(self.net.channels)))

    def _attach(self, heads: Sequence[Tensor]) -> None:
        like = next(self.features.buffers())
        with torch.inference_mode(False):
            for k, head in enumerate(heads):
                self.register_buffer(f"head{k}", head.to(like))

    def train(self: M, mode: bool = True) -> M:
        """Stays in evaluation mode whatever the objective around it does."""
        return super().train(False)


# ------------------------------------------------------------------------------------------------------------
# Where weights come from


def build(spec: NetSpec) -> FeatureNet:
    """The network of ``spec`` on the CPU, in float32 or its file's float64; raises `WeightsError`.

    Weights are read once: networks of one spec share them until one is moved. Each call returns a module of
    its own, so that an objective that changes device or dtype takes no other objective's network along.
    """
    # Tensors made in inference mode could never take part in a backward pass.
    with torch.inference_mode(False):
        return FeatureNet(spec, _weights(spec.canonical(), _stamp(spec)))


def heads(spec: NetSpec) -> list[Tensor]:
    """The linear heads [c] of LPIPS v0.1, one per tap; seeded and non-negative for random weights.

    A file at ``path`` may hold them under the lpips package's keys; otherwise the public ones go with it.
    """
    with torch.inference_mode(False):
        return list(_heads(spec.canonical(), _stamp(spec)))


def _stamp(spec: NetSpec) -> tuple[int, int] | None:
    """Changes when the file at ``path`` does, so that a cached network does not outlive its file."""
    if spec.path is None or not Path(spec.path).expanduser().is_file():
        return None
    stat = Path(spec.path).expanduser().stat()
    return stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=4)
def _weights(spec: NetSpec, stamp: tuple[int, int] | None) -> dict[str, Tensor]:
    net = _find(spec.name)
    if spec.seed is not None:
        return _random(net.shapes, spec.seed)
    path = Path(spec.path).expanduser() if spec.path else _public(net.file, net)
    return _select(_read(path, net), net.shapes, path)


@lru_cache(maxsize=8)
def _heads(spec: NetSpec, stamp: tuple[int, int] | None) -> tuple[Tensor, ...]:
    net = _find(spec.name)
    if spec.seed is not None:
        keys = [_key(spec.seed, "heads", k) for k in range(len(net.channels))]
        return tuple((_uniform(c, key) + 1) / 2 for c, key in zip(net.channels, keys, strict=True))
    path = Path(spec.path).expanduser() if spec.path else _public(net.head, net)
    state = _read(path, net)
    if spec.path and not net.head_shapes.keys() & state.keys():
        path = _public(net.head, net)
        state = _read(path, net)
    return tuple(head.flatten() for head in _select(state, net.head_shapes, path).values())


def _read(path: Path, net: Net) -> dict[object, object]:
    """The entries of a checkpoint, read without running any code that it might carry."""
    if not path.is_file():
        raise WeightsError("missing", f"no weights for {net.alias}: there is no file {path}", _seeded(net))
    try:
        state = cast(object, torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:
        # torch raises whatever its readers raise. Its text is left out: it advises to load the file unsafely.
        raise WeightsError(
            "mismatch",
            f"{path} is no checkpoint of tensors alone ({type(error).__name__})",
            "save one with torch.save(net.state_dict(), path)",
        ) from None
    if not isinstance(state, Mapping):
        raise WeightsError("mismatch", f"{path} holds a {type(state).__name__}, not a state dict")
    return dict(cast("Mapping[object, object]", state))


def _select(state: Mapping[object, object], shapes: Shapes, path: Path) -> dict[str, Tensor]:
    """The wanted entries in float32 (float64 stays), shapes checked; others (a classifier's) are left."""
    chosen: dict[str, Tensor] = {}
    for key, shape in shapes.items():
        value = state.get(key)
        if not isinstance(value, Tensor):
            first = ", ".join(str(name) for name in list(state)[:3]) or "nothing"
            raise WeightsError("mismatch", f"{path} has no tensor {key}", f"the file begins with: {first}")
        if tuple(value.shape) != shape:
            found = list(value.shape)
            raise WeightsError("mismatch", f"{key} in {path} has shape {found}, the network needs {list(shape)}")
        if not value.is_floating_point():
            raise WeightsError("mismatch", f"{key} in {path} has dtype {value.dtype}, not a floating one")
        chosen[key] = value.detach().to(torch.promote_types(value.dtype, torch.float32)).contiguous()
    return chosen


def _seeded(net: Net) -> str:
    return f"for tests and trials, seeded weights need no file: net={net.alias}(weights=random(seed=0))"


# Public files: looked for in $LOSSLANG_CACHE, then where torch.hub and torchvision keep theirs; downloaded to
# the first of these. The digest is checked at each load: a cache is a folder that others may have written to.


def _folders() -> list[Path]:
    hub = Path(torch.hub.get_dir()) / "checkpoints"
    own = os.environ.get("LOSSLANG_CACHE")
    return [Path(own).expanduser(), hub] if own else [hub]


def _public(file: File, net: Net) -> Path:
    folders = _folders()
    for folder in folders:
        path = folder / file.name
        if path.is_file():
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            _verify(digest, file, str(path), "delete the file: it is downloaded anew")
            return path
    try:
        return _download(file, folders[0])
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        folder = folders[0]
        raise WeightsError(
            "missing",
            f"no weights for {net.alias}: {file.name} is not in {folder} and cannot be downloaded ({error})",
            f"put {file.url} there under that name, or set LOSSLANG_CACHE to its folder; {_seeded(net)}",
        ) from error


def _download(file: File, folder: Path) -> Path:
    """The file in ``folder``: whole and checked from the moment that it has its name there."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{file.name}.{uuid.uuid4().hex}.part"
    request = urllib.request.Request(file.url, headers={"User-Agent": "losslang"})
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(request, timeout=30) as answer, part.open("xb") as stream:
            while block := answer.read(1 << 20):
                digest.update(block)
                stream.write(block)
        _verify(digest.hexdigest(), file, file.url, "try again; a proxy may have answered in its place")
        part.replace(folder / file.name)
    finally:
        part.unlink(missing_ok=True)
    return folder / file.name


def _verify(digest: str, file: File, place: str, hint: str) -> None:
    if not digest.startswith(file.sha256):
        found = digest[: len(file.sha256)]
        raise WeightsError("hash", f"{place} is not the file expected: sha256 {found}, not {file.sha256}", hint)


# Seeded weights: an integer hash of (seed, tensor, element), so that they are the same on every machine and
# torch version, and no random generator is touched.

_MASK = 0xFFFFFFFF
Bits = TypeVar("Bits", int, Tensor)


def _mix(x: Bits) -> Bits:
    """T. Mueller's hash of 32-bit integers; its multiplier is small enough that no product leaves 64 bits."""
    x = (x ^ (x >> 16)) * 0x45D9F3B & _MASK
    x = (x ^ (x >> 16)) * 0x45D9F3B & _MASK
    return x ^ (x >> 16)


def _key(seed: int, kind: str, number: int) -> int:
    """Where the numbers of one tensor begin."""
    key = 0
    for word in (seed & _MASK, seed >> 32 & _MASK, *kind.encode(), number):
        key = _mix(key + word + 0x9E3779B9 & _MASK)
    return key


def _uniform(count: int, key: int) -> Tensor:
    """``count`` float32 values in [-1, 1), multiples of 2^-23: exact, whatever the machine."""
    values = torch.empty(count, dtype=torch.float32, device="cpu")
    for start in range(0, count, 1 << 15):
        end = min(count, start + (1 << 15))
        index = torch.arange(start, end, dtype=torch.int64, device="cpu")
        values[start:end] = (_mix(index + key & _MASK) >> 8) - (1 << 23)
    return values.div_(1 << 23)


def _random(shapes: Shapes, seed: int) -> dict[str, Tensor]:
    """He-uniform weights (bound sqrt(6 / fan in)) and biases within 0.1."""
    weights: dict[str, Tensor] = {}
    for number, (key, shape) in enumerate(shapes.items()):
        bound = 0.1 if len(shape) == 1 else math.sqrt(6 / math.prod(shape[1:]))
        values = _uniform(math.prod(shape), _key(seed, "weights", number))
        weights[key] = values.mul_(torch.tensor(bound, dtype=torch.float32, device="cpu")).view(shape)
    return weights
