"""Feature networks: LPIPS as its authors compute it, seeded weights, and every way that weights go wrong."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import http.server
import operator
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from losslang.ir import netspec
from losslang.runtime import nets
from losslang.runtime.nets import FeatureNet, NetSpec, WeightsError
from tests.golden import corpus

RANDOM = NetSpec("squeeze", "random", seed=0)
NAMES = list(nets.NETS)


@pytest.fixture(autouse=True)
def no_cache() -> Iterator[None]:
    """Every test reads its own files."""
    yield
    nets._weights.cache_clear()
    nets._heads.cache_clear()


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty folders for weights instead of the user's; the first to be looked at."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("LOSSLANG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def image(size: int = 33, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, 3, size, size, generator=generator, dtype=torch.float64).mul(2).sub(1).to(dtype)


def checkpoint(name: str = "squeeze", seed: int = 1) -> dict[str, Tensor]:
    """A full torchvision checkpoint: the features and a classifier."""
    weights = nets._random(nets._find(name).shapes, seed)
    return {
        **weights,
        "classifier.1.weight": torch.zeros(10, 512, 1, 1),
        "classifier.1.bias": torch.zeros(10),
    }


def failure(act: Callable[[], object]) -> WeightsError:
    with pytest.raises(WeightsError) as caught:
        act()
    return caught.value


# Golden: LPIPS in plain torch from these features


@cache
def golden_net(alias: str, seed: int) -> FeatureNet:
    """The network with the corpus's stand-in weights, which go over the convolutions in order."""
    uniform = corpus.module("image", "weights.py").hash_uniform
    weights: dict[str, Tensor] = {}
    for number, (key, shape) in enumerate(nets._find(alias).shapes.items()):
        bound = 0.1 if len(shape) == 1 else (6 / torch.Size(shape[1:]).numel()) ** 0.5
        values = 2 * uniform(torch.Size(shape).numel(), seed * 1000 + number) - 1
        weights[key] = (values * bound).view(shape)
    return FeatureNet(NetSpec(alias), weights)


def lpips(net: FeatureNet, heads: list[Tensor], a: Tensor, b: Tensor, spatial: bool) -> Tensor:
    """The mean over the batch of the distance of images [B, 3, H, W]."""
    total = torch.zeros((), dtype=a.dtype)
    for f, g, head in zip(net(a), net(b), heads, strict=True):
        f, g = (x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10) for x in (f, g))
        per_pixel = ((f - g).square() * head.view(1, -1, 1, 1)).sum(1, keepdim=True)
        if spatial:
            per_pixel = functional.interpolate(per_pixel, a.shape[2:], mode="bilinear", align_corners=False)
        total = total + per_pixel.mean()
    return total


def golden_heads(params: dict[str, Any], channels: tuple[int, ...]) -> list[Tensor]:
    if not params.get("lpips", True):
        return [torch.ones(c, dtype=torch.float64) for c in channels]
    trained = corpus.third_party("image", "lpips_heads.npz")
    prefix = f"v{params['version']}/{params['net']}"
    return [torch.from_numpy(trained[f"{prefix}/lin{k}"]).double() for k in range(len(channels))]


def lpips_cases() -> list[str]:
    root = corpus.folder()
    if root is None or not (root / "image" / "cases.json").is_file():
        return ["no corpus"]
    return [case["id"] for case in corpus.load("image")[0] if case["loss"] == "lpips"]


@pytest.mark.parametrize("name", lpips_cases())
def test_lpips_is_the_authors(name: str) -> None:
    cases, arrays = corpus.load("image")
    case = next(case for case in cases if case["id"] == name)
    params = case["params"]
    net = copy.copy(golden_net(params["net"], params["backbone_seed"]))
    if params["version"] == "0.0":
        net._modules = {**net._modules, "scaling": nn.Identity()}
    inputs = {key: torch.from_numpy(arrays[array]).requires_grad_() for key, array in case["inputs"].items()}
    a, b = (2 * x - 1 if params["normalize"] else x for x in (inputs["in0"], inputs["in1"]))
    value = lpips(net, golden_heads(params, net.net.channels), a, b, params.get("spatial", False))
    gradients = torch.autograd.grad(value, [inputs[key] for key in case["grad_wrt"]])
    corpus.assert_close(case, value.detach(), arrays[case["value"]])
    for key, gradient in zip(case["grad_wrt"], gradients, strict=True):
        corpus.assert_close(case, gradient, arrays[case["grad"][key]], key)


# The table


def test_keys_are_torchvisions() -> None:
    both = ("weight", "bias")
    fires = [f"{k}.{part}" for k in (3, 4, 6, 7, 9, 10, 11, 12) for part in ("squeeze", "expand1x1", "expand3x3")]
    expected = {
        "vgg16": [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28],
        "alexnet": [0, 3, 6, 8, 10],
        "squeezenet1_1": [0, *fires],
    }
    for name, places in expected.items():
        keys = [f"features.{place}.{kind}" for place in places for kind in both]
        assert list(nets.NETS[name].shapes) == keys
        net = nets.build(NetSpec(name, "random", seed=0))
        assert [key for key, _ in net.named_buffers() if key.startswith("features")] == keys


def test_sizes_are_torchvisions() -> None:
    counts = {name: sum(torch.Size(s).numel() for s in net.shapes.values()) for name, net in nets.NETS.items()}
    assert counts == {"vgg16": 14_714_688, "alexnet": 2_469_696, "squeezenet1_1": 722_496}


def test_the_front_half_knows_the_same_networks() -> None:
    assert {name: net.channels for name, net in nets.NETS.items()} == netspec.TAPS
    assert nets.ALIASES == netspec.ALIASES
    fields = [(field.name, field.default) for field in dataclasses.fields(NetSpec)]
    assert fields == [(field.name, field.default) for field in dataclasses.fields(netspec.NetSpec)]


@pytest.mark.parametrize("kind", [NetSpec, netspec.NetSpec])
def test_specs_print_as_losslang(kind: type[NetSpec]) -> None:
    assert str(kind("squeeze")) == "squeeze"
    assert str(kind("squeeze", "random", seed=0)) == "squeeze(weights=random(seed=0))"
    assert str(kind("vgg16", "path", path='my "vgg".pth')) == r'vgg16(weights="my \"vgg\".pth")'
    assert kind("vgg").canonical() == kind("vgg16")
    assert len({kind("vgg").canonical(), kind("vgg16")}) == 1
    for wrong in (("vgg", "random"), ("vgg", "path"), ("vgg", "public", 3), ("vgg", "best")):
        with pytest.raises(ValueError, match="weights="):
            kind(*wrong)


def test_a_spec_crosses_from_the_front_half() -> None:
    assert NetSpec(*dataclasses.astuple(netspec.NetSpec("squeeze", "random", 0))) == RANDOM


# The module


@pytest.mark.parametrize("name", NAMES)
def test_maps_have_the_channels_of_the_table(name: str) -> None:
    net = nets.build(NetSpec(name, "random", seed=0))
    maps = net(image(65))
    assert tuple(m.shape[1] for m in maps) == nets.NETS[name].channels == tuple(len(h) for h in net.heads)
    assert all(m.isfinite().all() and (m >= 0).all() and m.std() > 0.1 for m in maps)
    assert nets.NETS[name].layers[-1].tap, "nothing is computed past the last tap"


def test_it_is_frozen() -> None:
    net = nets.build(RANDOM)
    outer = nn.Sequential(net).train(True).requires_grad_(True)
    assert not any(module.training for module in net.modules())
    assert list(outer.parameters()) == []
    x = image().requires_grad_()
    sum(m.sum() for m in net(x)).backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert not any(buffer.requires_grad for buffer in net.buffers())


def test_it_adds_nothing_to_a_state_dict() -> None:
    outer = nn.Sequential(nn.Linear(2, 2), nets.build(RANDOM))
    assert outer[1].heads
    assert list(outer.state_dict()) == ["0.weight", "0.bias"]
    outer.load_state_dict(outer.state_dict(), strict=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_it_moves(dtype: torch.dtype) -> None:
    net = nets.build(RANDOM)
    assert len(net.heads) == 7
    exact = copy.deepcopy(net).to(torch.float64)(image(dtype=torch.float64))
    net.to(dtype)
    assert {buffer.dtype for buffer in net.buffers()} == {dtype}
    for found, expected in zip(net(image(dtype=dtype)), exact, strict=True):
        assert found.dtype == dtype
        assert (found.double() - expected).norm() <= 50 * torch.finfo(dtype).eps * expected.norm()


def test_scaling_is_exact_after_any_move() -> None:
    net = nets.build(RANDOM).to(torch.bfloat16).to(torch.float64)
    assert net.scaling.shift.flatten().tolist() == [-0.030, -0.088, -0.188]
    assert net.scaling.scale.flatten().tolist() == [0.458, 0.448, 0.450]


def test_networks_share_weights_until_one_moves() -> None:
    first, second = nets.build(RANDOM), nets.build(dataclasses.replace(RANDOM, name="squeezenet1_1"))
    places = [net.get_buffer("features.0.weight").data_ptr() for net in (first, second)]
    assert places[0] == places[1]
    first.to(torch.float64)
    assert {buffer.dtype for buffer in second.buffers()} == {torch.float32}


def test_it_survives_deepcopy_and_pickle() -> None:
    net = nets.build(RANDOM)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert all(torch.equal(a, b) for a, b in zip(twin(image()), net(image()), strict=True))


def test_built_in_inference_mode_it_still_takes_part_in_autograd() -> None:
    with torch.inference_mode():
        net = nets.build(RANDOM)
        assert net.heads
    x = image().requires_grad_()
    loss = sum((m * h.view(1, -1, 1, 1)).sum() for m, h in zip(net(x), net.heads, strict=True))
    assert isinstance(loss, Tensor)
    loss.backward()


def test_it_needs_no_default_device_or_dtype() -> None:
    with torch.device("meta"):
        net = nets.build(RANDOM)
    assert {buffer.device.type for buffer in net.buffers()} == {"cpu"}


@pytest.mark.parametrize("name", NAMES)
def test_it_compiles_whole(name: str) -> None:
    net = nets.build(NetSpec(name, "random", seed=0))
    compiled = torch.compile(net, fullgraph=True, backend="eager")
    assert all(torch.equal(a, b) for a, b in zip(compiled(image()), net(image()), strict=True))


def test_it_traces() -> None:
    class Weighted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nets.build(RANDOM)
            assert self.net.heads

        def forward(self, x: Tensor) -> list[Tensor]:
            maps = self.net(x)
            return [m * h.view(1, -1, 1, 1) for m, h in zip(maps, self.net.heads, strict=True)]

    module = Weighted()
    traced = fx.symbolic_trace(module)
    assert all(torch.equal(a, b) for a, b in zip(traced(image()), module(image()), strict=True))


@pytest.mark.parametrize("heads_first", [False, True])
@pytest.mark.parametrize("root", [nn.Module, dict])
def test_it_is_a_call_in_a_graph(heads_first: bool, root: type[nn.Module] | type[dict[str, Any]]) -> None:
    net = nets.build(RANDOM)
    expected = (*net(image())[::6], net.heads[1])
    graph = fx.Graph()
    x = graph.placeholder("x")
    head = graph.get_attr("net.head1") if heads_first else None
    maps = graph.call_module("net", (x,))
    picked = tuple(graph.call_function(operator.getitem, (maps, k)) for k in (0, 6))
    graph.output((*picked, head or graph.get_attr("net.head1")))
    holder = root()
    if isinstance(holder, dict):
        holder.update({"net": net, "net.head1": net.head1})
    else:
        holder.net = net
    module = fx.GraphModule(holder, graph)
    compiled = torch.compile(module, fullgraph=True, backend="eager")
    assert all(torch.equal(a, b) for a, b in zip(module(image()), expected, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(compiled(image()), expected, strict=True))
    assert list(module.state_dict()) == []


# Seeded weights


def mixed(x: int) -> int:
    for _ in range(2):
        x = (x ^ (x >> 16)) * 0x45D9F3B % 2**32
    return x ^ (x >> 16)


def test_seeded_weights_are_pinned() -> None:
    digests = {
        name: hashlib.sha256(
            b"".join(v.numpy().astype("<f4").tobytes() for v in nets._random(net.shapes, 7).values())
        ).hexdigest()[:16]
        for name, net in nets.NETS.items()
    }
    assert digests == {
        "vgg16": "2f32ba7be7f92449",
        "alexnet": "e8e43d43d92bcb73",
        "squeezenet1_1": "1119de5256a4700a",
    }
    heads = torch.cat(nets.heads(NetSpec("alex", "random", seed=7)))
    assert (heads[:3] * 2**24).tolist() == [5758338, 972157, 165501]


def test_seeded_weights_follow_their_definition() -> None:
    count, key = 70_000, nets._key(3, "weights", 0)
    values = nets._uniform(count, key)
    for place in (0, 1, 32_767, 32_768, count - 1):
        assert values[place].item() == ((mixed((place + key) % 2**32) >> 8) - 2**23) / 2**23


def test_seeded_weights_are_uniform() -> None:
    weights = nets.build(NetSpec("alex", "random", seed=0)).get_buffer("features.3.weight")
    bound = (6 / (64 * 25)) ** 0.5
    assert 0.999 * bound < weights.abs().max() <= bound
    assert abs(weights.mean()) < 0.01 * bound
    assert abs(weights.std() - bound / 3**0.5) < 0.01 * bound


def test_seeded_heads_are_non_negative() -> None:
    heads = torch.cat(nets.heads(NetSpec("vgg", "random", seed=0)))
    assert heads.min() >= 0
    assert heads.max() < 1
    assert abs(heads.mean() - 0.5) < 0.02


def test_seeds_differ_and_leave_the_global_generator_alone() -> None:
    state = torch.get_rng_state()
    seeds = (0, 1, -1, 2**40, 2**40 + 1)
    firsts = {
        nets.build(NetSpec("squeeze", "random", s)).get_buffer("features.0.weight")[0, 0, 0, 0].item() for s in seeds
    }
    assert len(firsts) == len(seeds)
    assert torch.equal(state, torch.get_rng_state())


# Weights from a file


def test_a_full_checkpoint_loads_from_a_path(tmp_path: Path) -> None:
    path = tmp_path / "squeeze.pth"
    torch.save(checkpoint(seed=3), path)
    net = nets.build(NetSpec("squeeze", "path", path=str(path)))
    twin = nets.build(NetSpec("squeeze", "random", seed=3))
    assert all(torch.equal(a, b) for a, b in zip(net(image()), twin(image()), strict=True))


def test_a_path_may_hold_the_heads(tmp_path: Path) -> None:
    path = tmp_path / "squeeze.pth"
    lins = {key: torch.rand(shape) for key, shape in nets._find("squeeze").head_shapes.items()}
    torch.save({**checkpoint(), **lins}, path)
    net = nets.build(NetSpec("squeeze", "path", path=str(path)))
    assert [h.shape for h in net.heads] == [(c,) for c in netspec.TAPS["squeezenet1_1"]]
    assert torch.equal(net.heads[0], lins["lin0.model.1.weight"].flatten())


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "squeeze.pth"
    spec = NetSpec("squeeze", "path", path=str(path))
    firsts: list[Tensor] = []
    for seed in (3, 4):
        torch.save({**checkpoint(seed=seed), "note": torch.zeros(seed)}, path)
        firsts.append(nets.build(spec).get_buffer("features.0.weight"))
    assert not torch.equal(*firsts)


def test_half_precision_checkpoints_become_float32(tmp_path: Path) -> None:
    path = tmp_path / "squeeze.pth"
    torch.save({key: value.half() for key, value in checkpoint().items()}, path)
    net = nets.build(NetSpec("squeeze", "path", path=str(path)))
    assert {buffer.dtype for buffer in net.buffers()} == {torch.float32}


def without(state: dict[str, Tensor], key: str) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if name != key}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda s: without(s, "features.3.squeeze.bias"), "has no tensor features.3.squeeze.bias"),
        (lambda s: {**s, "features.0.bias": torch.zeros(3)}, "has shape [3], the network needs [64]"),
        (lambda s: {**s, "features.0.bias": torch.zeros(64, dtype=torch.int8)}, "not a floating one"),
        (lambda s: {**s, "features.0.bias": "zeros"}, "has no tensor features.0.bias"),
        (lambda s: list(s.values()), "holds a list, not a state dict"),
        (lambda s: {}, "has no tensor features.0.weight"),
    ],
)
def test_what_does_not_fit_is_named(
    content: Callable[[dict[str, Tensor]], object], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "squeeze.pth"
    torch.save(content(checkpoint()), path)
    error = failure(lambda: nets.build(NetSpec("squeeze", "path", path=str(path))))
    assert error.kind == "mismatch"
    assert str(path) in error.message
    assert message in error.message


class Malicious:
    """Writes a file when it is unpickled carelessly."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("save", [torch.save, lambda thing, path: path.write_bytes(pickle.dumps(thing))])
def test_a_pickle_runs_no_code(save: Callable[[object, Path], object], tmp_path: Path) -> None:
    path, trace = tmp_path / "squeeze.pth", tmp_path / "ran"
    save({**checkpoint(), "extra": Malicious(trace)}, path)
    error = failure(lambda: nets.build(NetSpec("squeeze", "path", path=str(path))))
    assert error.kind == "mismatch"
    assert "no checkpoint of tensors alone" in error.message
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 nor a zip"])
def test_rubbish_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "squeeze.pth"
    path.write_bytes(content)
    assert failure(lambda: nets.build(NetSpec("squeeze", "path", path=str(path)))).kind == "mismatch"


def test_a_missing_path_is_named() -> None:
    error = failure(lambda: nets.build(NetSpec("vgg", "path", path="nowhere/vgg.pth")))
    assert error.kind == "missing"
    assert "nowhere/vgg.pth" in error.message.replace("\\", "/")
    assert "net=vgg(weights=random(seed=0))" in error.hint


def test_an_unknown_network_is_named() -> None:
    error = failure(lambda: nets.build(NetSpec("vgg99")))
    assert (error.kind, error.message) == ("unknown", "unknown network 'vgg99'")
    assert "squeezenet1_1 (squeeze)" in error.hint
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == f"{error.message}\n  hint: {error.hint}"


# Public weights, from a server on this machine


class Server:
    """Serves a folder and counts what it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        folder.mkdir()
        asked = self.asked

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args: Any) -> None:
                super().__init__(*args, directory=str(folder))

            def log_message(self, format: str, *args: Any) -> None:
                asked.append(self.path)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def file(self, name: str, state: object) -> nets.File:
        """Puts a checkpoint on the server, named after its digest in the way of torchvision."""
        path = self.folder / "part"
        torch.save(state, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
        path.replace(self.folder / f"{name}-{digest}.pth")
        return nets.File(f"{name}-{digest}.pth", f"{self.url}/{name}-{digest}.pth", digest)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def server(tmp_path: Path, caches: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that has weights and heads of squeeze, and the table pointing to it."""
    running = Server(tmp_path / "server")
    net = nets.NETS["squeezenet1_1"]
    lins = {key: torch.full(shape, 0.5) for key, shape in net.head_shapes.items()}
    net = dataclasses.replace(net, file=running.file("squeezenet1_1", checkpoint()), head=running.file("lin", lins))
    monkeypatch.setitem(nets.NETS, "squeezenet1_1", net)
    yield running
    running.close()


def forget() -> None:
    nets._weights.cache_clear()
    nets._heads.cache_clear()


def test_public_weights_are_downloaded_once(server: Server, caches: Path) -> None:
    spec = NetSpec("squeeze")
    maps = nets.build(spec)(image())
    expected = nets.build(NetSpec("squeeze", "random", seed=1))(image())
    assert all(torch.equal(a, b) for a, b in zip(maps, expected, strict=True))
    assert len(server.asked) == 1, "heads are fetched when they are needed"
    assert nets.build(spec).heads[0].tolist() == [0.5] * 64
    for _ in range(2):
        forget()
        assert nets.build(spec).heads
    net = nets.NETS["squeezenet1_1"]
    assert server.asked == [f"/{net.file.name}", f"/{net.head.name}"]
    assert sorted(path.name for path in caches.iterdir()) == sorted([net.file.name, net.head.name])


def test_torchvisions_own_download_is_used(server: Server, caches: Path) -> None:
    name = nets.NETS["squeezenet1_1"].file.name
    hub = Path(torch.hub.get_dir()) / "checkpoints"
    hub.mkdir(parents=True)
    (server.folder / name).rename(hub / name)
    nets.build(NetSpec("squeeze"))
    assert server.asked == []
    assert not caches.exists()


def test_without_a_cache_of_its_own_it_writes_to_the_hub(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOSSLANG_CACHE")
    nets.build(NetSpec("squeeze"))
    assert [path.name for path in (Path(torch.hub.get_dir()) / "checkpoints").iterdir()] == [
        nets.NETS["squeezenet1_1"].file.name
    ]


def test_an_altered_download_is_refused_and_not_kept(server: Server, caches: Path) -> None:
    (server.folder / nets.NETS["squeezenet1_1"].file.name).write_bytes(b"captive portal")
    error = failure(lambda: nets.build(NetSpec("squeeze")))
    assert error.kind == "hash"
    assert nets.NETS["squeezenet1_1"].file.sha256 in error.message
    assert list(caches.iterdir()) == []


def test_an_altered_file_in_the_cache_is_refused(server: Server, caches: Path) -> None:
    nets.build(NetSpec("squeeze"))
    forget()
    path = caches / nets.NETS["squeezenet1_1"].file.name
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    error = failure(lambda: nets.build(NetSpec("squeeze")))
    assert error.kind == "hash"
    assert str(path) in error.message
    assert "delete the file" in error.hint


def test_heads_that_do_not_fit_are_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    net = nets.NETS["squeezenet1_1"]
    lins = {key: torch.ones(shape[1]) for key, shape in net.head_shapes.items()}
    monkeypatch.setitem(nets.NETS, "squeezenet1_1", dataclasses.replace(net, head=server.file("flat", lins)))
    error = failure(lambda: nets.heads(NetSpec("squeeze")))
    assert error.kind == "mismatch"
    assert "[1, 64, 1, 1]" in error.message


@pytest.mark.parametrize("case", ["not there", "nobody listens", "no folder"])
def test_no_weights_and_no_network(case: str, server: Server, caches: Path) -> None:
    file = nets.NETS["squeezenet1_1"].file
    if case == "not there":
        (server.folder / file.name).unlink()
    elif case == "nobody listens":
        server.close()
    else:
        caches.write_text("a file where the folder should be")
    error = failure(lambda: nets.build(NetSpec("squeeze")))
    assert error.kind == "missing"
    assert file.name in error.message
    assert str(caches) in error.message
    assert file.url in error.hint
    assert "LOSSLANG_CACHE" in error.hint
    assert "net=squeeze(weights=random(seed=0))" in error.hint


def test_a_broken_download_leaves_nothing(caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __enter__(self) -> Broken:
            return self

        def __exit__(self, *_: object) -> None: ...

        def read(self, _: int) -> bytes:
            raise TimeoutError("the line went dead")

    monkeypatch.setattr(nets.urllib.request, "urlopen", lambda *_, **__: Broken())
    error = failure(lambda: nets.build(NetSpec("alex")))
    assert error.kind == "missing"
    assert "the line went dead" in error.message
    assert list(caches.iterdir()) == []


def test_public_files_are_well_named() -> None:
    for net in nets.NETS.values():
        assert net.file.url.endswith(f"/{net.file.name}")
        assert net.file.name == f"{net.file.name.rpartition('-')[0]}-{net.file.sha256}.pth"
        assert len(net.file.sha256) == 8
        assert len(net.head.sha256) == 64
        assert net.head.name.endswith(f"{net.head.sha256[:8]}.pth")


# The file by itself


def test_its_text_stands_alone(tmp_path: Path) -> None:
    """What an exported objective carries needs nothing of losslang."""
    (tmp_path / "alone.py").write_text(Path(nets.__file__).read_text(encoding="utf-8"), encoding="utf-8")
    code = (
        "import sys, alone; net = alone.build(alone.NetSpec('squeeze', 'random', seed=0)); "
        "print(len(net.heads), any('losslang' in name for name in sys.modules))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.stdout.split() == ["7", "False"], done.stderr
