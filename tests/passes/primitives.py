"""One small program for each primitive of the language: tests of values, gradients, texts and graphs run them all."""

from __future__ import annotations

GRAM = "a[d, e] = sum[i](x[i, d]*x[i, e]) + 0.5*(d == e)"
"""A symmetric matrix with positive eigenvalues."""

PRIMITIVES: dict[str, str] = {
    name: f"objective main({header}):\n" + "".join(f"    {line}\n" for line in lines)
    for name, header, *lines in [
        # elementwise
        ("sinh", "x: real[i, j]", "v = sinh(x)*cosh(x)", "v"),
        ("inverse hyperbolic", "x: real[i, j]", "v = arsinh(x) + arcosh(1.5 + x^2) + artanh(0.9*tanh(x))", "v"),
        ("lgamma", "x: real[i, j]", "v = lgamma(0.2 + x^2)*digamma(0.3 + x^2) + polygamma(1, 0.5 + x^2)", "v"),
        ("lgamma below zero", "x: real[i, j]", "v = lgamma(-2.5 + 0.1*tanh(x)) + digamma(-0.5 + 0.1*tanh(x))", "v"),
        ("elu", "x: real[i, j]", "v = elu(x) + log2(1 + x^2) + log10(1 + x^2) + log_sigmoid(x)", "v"),
        ("round", "x: real[i, j]", "v = x*round(3*x) + x*ceil(x) + x*floor(x)", "v"),
        ("int", "x: real[i, j]", "v = x[i, j=j + round(sqrt(size(j)))]^2", "w[i] = x[i, j=int(1.5)]", "v + w"),
        # reductions
        ("prod", "x: real[i, j], m: bool[i, j]", "v[i] = prod[j](x)", "w = prod[i, j if m](x)", "v + w"),
        ("prod of a row", "x: real[i, j], y: real[i]", "v = prod[j](y) + prod[j](x)", "v"),
        ("prod of the rest", "x: real[b, ...]", "v = prod[...](x) + norm[...](x)", "v"),
        ("norm", "x: real[i, j]", "v = norm[i, j](x) + norm[j](x, p=3) + norm[i, j](x, p=inf)", "v"),
        ("filtered norm", "x: real[i, j]", "v[i] = norm[j if x > 0](x)", "v"),
        (
            "sample_std",
            "x: real[i, j], m: bool[i, j]",
            "v = sample_std[i, j](x)",
            "w = sample_var[i, j if m](x)",
            "v + w",
        ),
        ("filtered std", "x: real[i, j], m: bool[i, j]", "v = std[i, j if m](x)*var[i, j](x)", "v"),
        ("argmin", "x: real[i, j], m: bool[i, j]", "v = x[argmin[j](x)]*x[argmax[j if m](x)]", "v"),
        # sorting and running sums
        ("sort", "x, y: real[i, j]", "v = sort[j](x)*y + sort[i, j](y)", "v"),
        ("sort by", "x, y: real[i, j], s: real[j]", "v = sort[j](x, by=y)*y + sort[i](s, by=x)*x", "v"),
        ("sort a filter", "x, y: real[i, j], m: bool[i, j]", "v = sort[j if m](x)", "w[i] = sum[j](v*y)", "w"),
        ("sort a row", "x, y: real[i, j], s: real[i]", "v = sort[j](s)*x + sort[j](s, by=x)*y", "v"),
        ("sort the rest", "x, y: real[b, ...]", "v = sort[...](x)*y", "v"),
        ("unsort", "x, y: real[i, j]", "v = unsort[j](x, by=y)*y + unsort[i, j](x^2, by=x)", "v"),
        (
            "rank",
            "x: real[i, j], m: bool[i, j]",
            "v = mean[j if rank[j](-x) < 2](x)",
            "w = rank[i, j if m](x)*x",
            "v + w",
        ),
        ("rank of a row", "x: real[i, j], s: real[i]", "v = rank[j](s)*x", "v"),
        ("cumsum", "x, y: real[i, j]", "v = cumsum[j](x)*y + cumsum[i](x, reverse=true)*y", "v"),
        (
            "cumsum by",
            "x, y: real[i, j], m: bool[i, j]",
            "v = cumsum[i, j](x, by=-y)*y",
            "w = cumsum[j if m](x, by=y)*x",
            "v + w",
        ),
        ("cumsum of conditions", "x, y: real[i, j]", "v = cumsum[j](x > 0, by=y)*y + cumsum[j](y > 0)*x", "v"),
        ("cumsum of a row", "x: real[i, j], s: real[i]", "v = cumsum[j](s)*x", "v"),
        ("topk", "x, y: real[i, j]", "v[i, r] = topk[j](x, 2)", "w[i, r] = y[i, argtopk[j if j != i](x, 2)]", "v*w"),
        ("sum of topk", "x: real[i, j]", "v[i] = sum[r](topk[j](x, 3)) + prod[q](topk[j if x > 0](x, 9))", "v"),
        ("median", "x: real[i, j], m: bool[i, j]", "v = median[j](x) + median[i, j if m](x)", "v"),
        # pyramids
        ("halve", "x, y: real[i, j]", "v = halve[i, j](x, pad=valid)*halve[i, j](y^2, pad=valid)", "v"),
        (
            "halve an odd side",
            "x: real[h=5, w=7]",
            "v = halve[h, w](x)^2",
            "u = halve[h, w](x^2, pad=replicate)^2",
            "v + u",
        ),
        # matching
        (
            "assignment",
            "x: real[b, i, d]",
            "c[b, i, j] = sum[d](x[b, i]*x[b, j])",
            "v[b, i] = c[j=assignment[i, j](c)]",
            "v",
        ),
        (
            "assignment of few",
            "x: real[i=3, j=5]",
            "v[i] = x[assignment[i, j](x)]",
            "w[j] = x[assignment[j, i if x > 0](x)]",
            "v + w",
        ),
        # one behind the other
        ("concat", "x: real[b, i], y: real[b, j]", "z[b, m] = concat[i, j](x, y)", "v = mean[m](z^3*m)", "v"),
        ("concat of a row", "x: real[b, i], y: real[j]", "z[b, m] = concat[j, i](y, x)", "v[b, m] = z^2", "v"),
        # spectra
        ("fft", "x: real[i, j]", "z = fft[i, j](x)", "v = abs2(z + 2*x)*re(z*z) + im(z)/2", "v"),
        ("fft of one axis", "x: real[b, i, j]", "v = abs(fft[j](x) + 1)*abs2(-fft[i](x))", "v"),
        ("stft", "x: wave[b, t]", "z = stft[t](x, n=4, hop=2, win=3)", "v = mean[f, t](abs2(z)*angle(z + 3))", "v"),
        (
            "stft inside",
            "x: wave[t, c]",
            "z = stft[t](x, n=5, hop=1, window=hamming, pad=zero)",
            "v = sqrt(abs2(z) + 1)",
            "v",
        ),
        # matrices
        ("cholesky", "x, y: real[i, d]", GRAM, "v = cholesky[d, e](a)*y[0, d]*y[1, e]", "v"),
        ("solve", "x, y: real[i, d]", GRAM, "v = solve[d, e](a, y) + solve[d, e](cholesky[d, e](a), y)", "v"),
        ("inv", "x, y: real[i, d]", GRAM, "v = inv[d, e](a + (d < e)*y[0, d])*y[0, d]*y[1, e]", "v"),
        ("logdet", "x, y: real[i, d]", GRAM, "v = logdet[d, e](a) + logdet[d, e](a + (d < e)*y[0, d])", "v"),
        ("pinv", "x, y: real[i, d]", "v = pinv[i, d](x)*y", "v"),
        ("eigvals", "x, y: real[i, d]", GRAM, "v = eigvals[d, e](a)*y[0, d] + eigmin[d, e](a)", "v"),
        ("eigvecs", "x, y: real[i, d]", GRAM, "v = (eigvecs[d, e](a)*y[0, d])^2*y[1, e]", "v"),
        ("inv_sqrt", "x, y: real[i, d]", GRAM, "v = inv_sqrt[d, e](a)*y[0, d]*y[1, e]", "v"),
        ("spectral_norm", "x, y: real[b, i, d]", "v = spectral_norm[i, d](x*y)", "v"),
        ("matrices of a batch", "x: real[b, i, d]", "v = logdet[d, e](mean[i](x[b, i, d]*x[b, i, e]) + (d == e))", "v"),
    ]
}
"""By name; those of a group stand together."""


def title(text: str) -> str:
    """The name of a program in a test's title."""
    return next((name for name, known in PRIMITIVES.items() if known == text), text.split("(")[0][:24])
