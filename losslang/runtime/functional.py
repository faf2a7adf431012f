"""What lowered graphs call besides torch's own functions; exported objectives carry this file's text."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch.linalg has no types)
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def indices(like: Tensor, count: int) -> Tensor:
    """0, 1, ..., count - 1 on the device of ``like``."""
    return torch.arange(count, device=like.device)


def vector(like: Tensor, values: Sequence[float], dtype: torch.dtype) -> Tensor:
    """A constant vector on the device of ``like``."""
    return torch.tensor(values, dtype=dtype, device=like.device)


def within(index: Tensor, count: int) -> Tensor:
    """An index moved into range: what a filter excludes may point anywhere."""
    return index.clamp(0, count - 1)


def elements(x: Tensor, places: tuple[Tensor | int, ...]) -> Tensor:
    """The elements at some places; of nothing there are none, and whatever stands for them is left out."""
    if x.numel() == 0:
        tensors = [place for place in places if isinstance(place, Tensor)]
        return torch.zeros_like(sum(tensors[1:], tensors[0]), dtype=x.dtype)
    return x[places]


def latest(ids: Tensor, count: int, kept: Tensor | None) -> Tensor:
    """For each of ``count`` numbers the last place at which it stands among ``ids``, where kept, or -1.

    The largest place does not hang on the order of writing, so every device gives the same.
    """
    places = torch.arange(ids.shape[0], device=ids.device)
    if kept is not None:
        ids, places = torch.where(kept, ids, 0), torch.where(kept, places, -1)
    return torch.full((count,), -1, device=ids.device).scatter_reduce(0, ids.long(), places, "amax")


def largest(x: Tensor, dims: list[int]) -> Tensor:
    """The maximum over some dimensions; of nothing it is -inf."""
    if any(x.shape[dim] == 0 for dim in dims):
        return x.sum(dims) - float("inf")
    return torch.amax(x, dims)


def smallest(x: Tensor, dims: list[int]) -> Tensor:
    """The minimum over some dimensions; of nothing it is inf."""
    if any(x.shape[dim] == 0 for dim in dims):
        return x.sum(dims) + float("inf")
    return torch.amin(x, dims)


def product(x: Tensor, dims: Sequence[int]) -> Tensor:
    """The product over some dimensions; of nothing it is 1."""
    for dim in sorted(dims, reverse=True):
        x = torch.prod(x, dim)
    return x


def joined(x: Tensor, dims: Sequence[int]) -> Tensor:
    """Some dimensions as one, at the end."""
    count = len(dims)
    moved = x.movedim(tuple(dims), tuple(range(x.dim() - count, x.dim())))
    return moved.flatten(-count) if count else moved.unsqueeze(-1)


def separated(flat: Tensor, like: Tensor, dims: Sequence[int]) -> Tensor:
    """The inverse of `joined` for a value of the shape of ``like``."""
    count = len(dims)
    whole = flat.reshape(*flat.shape[:-1], *(like.shape[dim] for dim in dims))
    return whole.movedim(tuple(range(like.dim() - count, like.dim())), tuple(dims))


def ascending(key: Tensor, dims: Sequence[int]) -> Tensor:
    """Places in ascending order of a key; equals in the order of their places, nan last."""
    return torch.sort(joined(key.detach(), dims), dim=-1, stable=True).indices


def inverse(order: Tensor) -> Tensor:
    """The inverse of a permutation."""
    places = torch.arange(order.shape[-1], device=order.device).expand(order.shape)
    return torch.zeros_like(order).scatter(-1, order, places)


def sort_by(x: Tensor, key: Tensor, dims: Sequence[int]) -> Tensor:
    """Values in ascending order of a key; several dimensions count as one."""
    return separated(torch.gather(joined(x, dims), -1, ascending(key, dims)), x, dims)


def unsort_by(x: Tensor, key: Tensor, dims: Sequence[int]) -> Tensor:
    """Sorted values back where their keys are."""
    return separated(torch.gather(joined(x, dims), -1, inverse(ascending(key, dims))), x, dims)


def rank(key: Tensor, dims: Sequence[int]) -> Tensor:
    """The place of each element in ascending order."""
    return separated(inverse(ascending(key, dims)), key, dims)


def running_sum(x: Tensor, dims: Sequence[int], backwards: bool) -> Tensor:
    """The sum of each element and those before it, or behind it."""
    flat = joined(x, dims)
    total = flat.flip(-1).cumsum(-1).flip(-1) if backwards else flat.cumsum(-1)
    return separated(total, x, dims)


def matrices(x: Tensor, dims: Sequence[int]) -> Tensor:
    """Rows and columns as the last dimensions."""
    return x.movedim(tuple(dims), (-2, -1))


def placed(x: Tensor, places: Sequence[int]) -> Tensor:
    """The last dimensions of a result where they belong."""
    return x.movedim(tuple(range(x.dim() - len(places), x.dim())), tuple(places))


def solid(x: Tensor, info: Tensor) -> Tensor:
    """nan for each matrix for which there is no result."""
    return torch.where((info == 0)[..., None, None], x, float("nan"))


def cholesky(a: Tensor, dims: Sequence[int], places: Sequence[int]) -> Tensor:
    """The lower triangle whose product with its transpose is a symmetric matrix."""
    factor, info = torch.linalg.cholesky_ex(matrices(a, dims))
    return placed(solid(factor, info), places)


def solve(a: Tensor, x: Tensor, dims: Sequence[int], places: Sequence[int]) -> Tensor:
    """``y`` with ``sum[e](a[d, e]*y[e]) = x[d]``."""
    found, info = torch.linalg.solve_ex(matrices(a, dims), matrices(x, dims)[..., :1])
    return placed(solid(found, info)[..., 0], places)


def solve_triangular(a: Tensor, x: Tensor, dims: Sequence[int], places: Sequence[int]) -> Tensor:
    """`solve` for a lower triangle."""
    found = torch.linalg.solve_triangular(matrices(a, dims), matrices(x, dims)[..., :1], upper=False)
    return placed(found[..., 0], places)


def inv(a: Tensor, dims: Sequence[int], places: Sequence[int]) -> Tensor:
    """The inverse, which takes rows to columns."""
    found, info = torch.linalg.inv_ex(matrices(a, dims))
    return placed(solid(found, info).mT, places)


def logdet(a: Tensor, dims: Sequence[int], places: Sequence[int]) -> Tensor:
    """The logarithm of the determinant; nan where that is below 0."""
    sign, size = torch.linalg.slogdet(matrices(a, dims))
    return torch.where(sign < 0, float("nan"), size)


def pinv(a: Tensor, dims: Sequence[int], places: Sequence[int]) -> Tensor:
    """The pseudo-inverse, which takes rows to columns."""
    return placed(torch.linalg.pinv(matrices(a, dims)).mT, places)


def eigvals(a: Tensor, dims: Sequence[int], places: Sequence[int]) -> Tensor:
    """The eigenvalues of a symmetric matrix, ascending."""
    return placed(torch.linalg.eigvalsh(matrices(a, dims)), places)


def eigvecs(a: Tensor, dims: Sequence[int], places: Sequence[int]) -> Tensor:
    """The eigenvectors of a symmetric matrix, one in each column."""
    return placed(torch.linalg.eigh(matrices(a, dims)).eigenvectors, places)


def inv_sqrt(a: Tensor, dims: Sequence[int], places: Sequence[int]) -> Tensor:
    """The inverse square root of a symmetric matrix, on the part where that is above 0.

    Its derivative is finite where eigenvalues are equal, unlike that of the eigenvectors: it is added by hand to a
    value that is a constant.
    """
    matrix = matrices(a, dims)
    values, vectors = torch.linalg.eigh(matrix.detach())
    kept = values > values.amax(-1, keepdim=True) * values.shape[-1] * torch.finfo(values.dtype).eps
    roots = torch.where(kept, values, 1.0).sqrt()
    scale = torch.where(kept, 1 / roots, 0.0)
    both = kept[..., :, None] & kept[..., None, :]
    products = roots[..., :, None] * roots[..., None, :]
    slope = torch.where(both, -1 / (products * (roots[..., :, None] + roots[..., None, :])), 0.0)
    change = vectors.mT @ (matrix - matrix.detach()) @ vectors
    return placed(vectors @ (torch.diag_embed(scale) + slope * change) @ vectors.mT, places)


def assignment(cost: Tensor, dims: Sequence[int], places: Sequence[int]) -> Tensor:
    """For each row the column that it gets where all together cost least; -1 where it gets none."""
    found: Tensor = assign(matrices(cost, dims).detach().to(torch.float64))
    return placed(found, places)


@torch.library.custom_op("losslang::assign", mutates_args=(), schema="(Tensor cost) -> Tensor")
def assign(cost: Tensor) -> Tensor:
    """Assignments of a stack of matrices, made on the host: a graph takes it as one operation."""
    flat = cost.reshape(-1, *cost.shape[-2:]).tolist()
    chosen = [cheapest(matrix) for matrix in flat]
    return torch.tensor(chosen, dtype=torch.int64).reshape(cost.shape[:-1]).to(cost.device)


@assign.register_fake
def assign_like(cost: Tensor) -> Tensor:
    """What `assign` gives, as far as a compiler needs to know."""
    return cost.new_empty(cost.shape[:-1], dtype=torch.int64)


def cheapest(cost: list[list[float]]) -> list[int]:
    """The assignment of rows to columns of least cost (Kuhn 1955, as Jonker and Volgenant find it).

    What is not finite is forbidden; as many rows as possible get a column, the others -1. Of several assignments of
    one cost it is the first, compared row by row.
    """
    rows, columns = len(cost), len(cost[0]) if cost else 0
    finite = [abs(c) for row in cost for c in row if c - c == 0]
    scale = max(finite, default=0.0) or 1.0
    forbidden = 4.0 * scale * (rows + columns + 1)
    side = max(rows, columns)
    whole = [[c if c - c == 0 else forbidden for c in row] + [forbidden] * (side - columns) for row in cost]
    whole += [[forbidden] * side for _ in range(side - rows)]
    u, v, owner = _potentials(whole, side)
    tight = 1e-12 * scale * side
    column_of = [0] * side
    for column, row in enumerate(owner):
        column_of[row] = column
    equal = [[whole[r][c] - u[r] - v[c] <= tight for c in range(side)] for r in range(side)]
    barred = [[c == forbidden for c in row] for row in whole]
    for row in range(rows):
        for column in range(side):
            chosen = equal[row][column] and not barred[row][column]
            if chosen and (column == column_of[row] or _swap(equal, barred, column_of, row, column)):
                break
    return [c if c < columns and cost[row][c] - cost[row][c] == 0 else -1 for row, c in enumerate(column_of[:rows])]


def _potentials(cost: list[list[float]], side: int) -> tuple[list[float], list[float], list[int]]:
    """Prices of rows and columns under which no pair is cheaper than its prices, and the row of each column."""
    u, v = [0.0] * side, [0.0] * side
    owner = [-1] * side
    for start in range(side):
        best, came = [float("inf")] * side, [-1] * side
        seen = [False] * side
        row, at = start, -1
        while True:
            gap, following = float("inf"), -1
            for column in range(side):
                if seen[column]:
                    continue
                here = cost[row][column] - u[row] - v[column]
                if here < best[column]:
                    best[column], came[column] = here, at
                if best[column] < gap:
                    gap, following = best[column], column
            u[start] += gap
            for column in range(side):
                if seen[column]:
                    u[owner[column]] += gap
                    v[column] -= gap
                else:
                    best[column] -= gap
            at = following
            seen[at] = True
            if owner[at] < 0:
                break
            row = owner[at]
        while at >= 0:
            before = came[at]
            owner[at] = owner[before] if before >= 0 else start
            at = before
    return u, v, owner


def _swap(equal: list[list[bool]], barred: list[list[bool]], column_of: list[int], row: int, wanted: int) -> bool:
    """Give a row another column of no higher cost, where later rows, and those that get none, can make room."""
    side = len(equal)
    holder = {column: r for r, column in enumerate(column_of)}
    start, goal = holder[wanted], column_of[row]
    came: dict[int, tuple[int, int]] = {start: (row, wanted)}
    waiting = [start]
    while waiting:
        current = waiting.pop()
        without = current < row
        if without and not barred[current][column_of[current]]:
            continue
        for column in range(side):
            if not equal[current][column] or (without and not barred[current][column]):
                continue
            if column == goal:
                while current != row:
                    before, through = came[current]
                    column_of[current], column, current = column, through, before
                column_of[row] = column
                return True
            if holder[column] not in came and holder[column] != row:
                came[holder[column]] = (current, column)
                waiting.append(holder[column])
    return False


def halves(length: int, pad: str) -> tuple[int, int, float]:
    """How many elements come before and behind a dimension, so that neighbours pair up, and what the first is worth."""
    odd = length % 2
    return (odd if pad != "valid" else 0), (odd if pad == "zero" else 0), (1.0 if pad == "replicate" else 0.0)


def halve(x: Tensor, dims: Sequence[int], pad: str) -> Tensor:
    """Means of neighbours along some dimensions: half as many elements."""
    for dim in dims:
        before, behind, first = halves(x.shape[dim], pad)
        edge = x.narrow(dim, 0, before) * first
        end = torch.zeros_like(x.narrow(dim, 0, behind))
        whole = torch.cat([edge, x, end], dim)
        count = whole.shape[dim] // 2
        pairs = whole.narrow(dim, 0, 2 * count).unflatten(dim, (count, 2))
        x = pairs.mean(dim + 1)
    return x


def halve_transposed(g: Tensor, dims: Sequence[int], extents: Sequence[int], pad: str) -> Tensor:
    """The transpose of `halve`, back to ``extents``."""
    for dim, extent in zip(dims, extents, strict=True):
        before, _, first = halves(extent, pad)
        whole = (g / 2).repeat_interleave(2, dim)
        edge = whole.narrow(dim, 0, before)
        inner = whole.narrow(dim, before, min(extent, whole.shape[dim] - before))
        shape = list(inner.shape)
        shape[dim] = extent - shape[dim]
        inner = torch.cat([inner, inner.new_zeros(shape)], dim)
        if before and first:
            inner = torch.cat([inner.narrow(dim, 0, 1) + edge, inner.narrow(dim, 1, extent - 1)], dim)
        g = inner
    return g


def convolve(x: Tensor, window: Tensor, dims: Sequence[int]) -> Tensor:
    """A window moved along each of some dimensions, only where it fits wholly inside."""
    for dim in dims:
        moved = x.movedim(dim, -1)
        flat = moved.reshape(-1, 1, moved.shape[-1])
        out = F.conv1d(flat, window.view(1, 1, -1))
        x = out.reshape(*moved.shape[:-1], out.shape[-1]).movedim(-1, dim)
    return x


def convolve_transposed(g: Tensor, window: Tensor, dims: Sequence[int], extents: Sequence[int]) -> Tensor:
    """The transpose of `convolve`: from the places of the window back to ``extents``."""
    for dim, extent in zip(dims, extents, strict=True):
        if g.shape[dim] == 0:
            g = g.new_zeros((*g.shape[:dim], extent, *g.shape[dim + 1 :]))
        else:
            g = convolve(padded(g, dim, len(window) - 1), window.flip(0), [dim])
    return g


def diff_transposed(g: Tensor, dims: Sequence[int], extents: Sequence[int]) -> Tensor:
    """The transpose of differences along some dimensions, back to ``extents``."""
    for dim, extent in zip(dims, extents, strict=True):
        g = -torch.diff(padded(g, dim, 1), dim=dim) if extent else g.narrow(dim, 0, 0)
    return g


def padded(x: Tensor, dim: int, margin: int) -> Tensor:
    """Zeros before and behind along one dimension."""
    return F.pad(x, [0, 0] * (x.dim() - 1 - dim) + [margin, margin])


def shares(values: Tensor, weights: Tensor) -> Tensor:
    """The part of each term in the sum of the weighted values' sizes, with its sign; 0 where all are 0."""
    parts = values * weights
    whole = parts.abs().sum()
    return torch.where(whole > 0, parts / whole.clamp_min(torch.finfo(parts.dtype).tiny), torch.zeros_like(parts))


def expm1(x: Tensor) -> Tensor:
    """exp(x) - 1, accurate near 0 and vectorised by inductor on CPUs.

    Inductor's own is either exp(x) - 1, which loses all digits near 0, or a scalar library call that it repeats in
    inner loops. Fourteen terms of the series are exact to double precision for ``|x| < 0.5``.
    """
    near = x.abs() < 0.5
    small = torch.where(near, x, 0.0)
    series = torch.ones_like(small)
    for n in range(14, 1, -1):
        series = 1 + series * small / n
    return torch.where(near, small * series, torch.exp(x) - 1)


# ------------------------------------------------------------------------------------------ spectra
def fourier(x: Tensor, dims: list[int]) -> Tensor:
    """The orthonormal discrete Fourier transform along some dimensions: complex."""
    return torch.fft.fftn(x, dim=dims, norm="ortho")  # pyright: ignore[reportUnknownVariableType]


def spectrogram(x: Tensor, dim: int, n: int, hop: int, win: int, window: str, pad: str) -> Tensor:
    """Spectra of centred frames of ``n`` samples, complex: frames in the place of the samples, frequencies last."""
    moved = x.movedim(dim, -1)
    flat = moved.reshape(-1, moved.shape[-1])
    half = n // 2
    longer = flat[:, reflected(flat, half)] if pad == "reflect" else F.pad(flat, (half, half))
    made = torch.stft(longer, n, hop, win, bell(window, win, flat), center=False, return_complex=True)
    return made.reshape(*moved.shape[:-1], *made.shape[-2:]).transpose(-1, -2).movedim(-2, dim)


def reflected(x: Tensor, half: int) -> Tensor:
    """The places of samples with ``half`` more on either side, thrown back at the ends as often as it takes."""
    last = x.shape[-1] - 1
    period = torch.sym_max(2 * last, 1)
    places = torch.arange(-half, last + 1 + half, device=x.device) % period
    return torch.minimum(places, period - places).clamp(max=last)


def bell(window: str, count: int, like: Tensor) -> Tensor:
    """A periodic Hann or Hamming window."""
    make = torch.hann_window if window == "hann" else torch.hamming_window
    return make(count, dtype=like.dtype, device=like.device)


def signal(g: Tensor, length: int, dim: int, n: int, hop: int, win: int, window: str, pad: str, part: str) -> Tensor:
    """The transpose of one part of `spectrogram`: cotangents of frames at ``dim``, frequencies last, to samples."""
    g = g.movedim(dim, -2)
    shape = F.pad(bell(window, win, g), ((n - win) // 2, n - win - (n - win) // 2))
    turned = torch.complex(g, torch.zeros_like(g)) if part == "re" else torch.complex(torch.zeros_like(g), g)
    full = F.pad(turned, (0, n - turned.shape[-1]))
    frames: Tensor = torch.real(torch.fft.ifft(full, dim=-1)) * n * shape  # pyright: ignore[reportUnknownArgumentType]
    flat = frames.reshape(-1, *frames.shape[-2:])
    places = (torch.arange(flat.shape[1], device=g.device)[:, None] * hop + torch.arange(n, device=g.device)).reshape(
        -1
    )
    half = n // 2
    longer = torch.zeros(flat.shape[0], length + 2 * half, dtype=g.dtype, device=g.device)
    longer = longer.index_add(1, places, flat.reshape(flat.shape[0], -1))
    x = longer[:, half : half + length]
    if pad == "reflect":
        x = torch.zeros_like(x).index_add(1, reflected(x, half), longer)
    return x.reshape(*frames.shape[:-2], length).movedim(-1, dim)
