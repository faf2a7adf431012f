"""Sound and spectra: what the generative and image domains of the corpus hold of them."""

from __future__ import annotations

from tests.golden.adapters import Inputs, NotCovered, Params, call, forbid, literal, objective, reduction, rule, times

WAVES = "input, target: wave[b, c, t]"


@rule("generative", "stft", "stft_phase")
def _stft(p: Params, x: Inputs) -> str:
    options = {"n": p.get("fft_size", 1024), "hop": p.get("hop_size", 256), "win": p.get("win_length", 1024)}
    forbid(p, scale_invariance=False, mag_distance="L1", log_eps=0.0, log_fac=1.0)
    window = {"hamming_window": "hamming"}.get(p.get("window", ""))
    loss = call(
        "stft_loss",
        pred="input",
        target="target",
        **options,
        window=window,
        w_sc=p.get("w_sc", 1.0),
        w_log=p.get("w_log_mag", 1.0),
        w_lin=p.get("w_lin_mag", 0.0),
    )
    if not p.get("w_phs", 0.0):
        return objective(WAVES, loss)
    told = ", ".join(f"{name}={value}" for name, value in options.items())
    angles = [f"angle(stft[t]({name}, {told}))" for name in ("input", "target")]
    return objective(WAVES, f"{literal(p['w_phs'])}*mse({angles[0]}, {angles[1]})")


@rule("generative", "multi_resolution_stft")
def _resolutions(p: Params, x: Inputs) -> str:
    return objective(WAVES, call("multi_resolution_stft", pred="input", target="target"))


def _ratio(name: str) -> None:
    @rule("generative", name)
    def adapter(p: Params, x: Inputs) -> str:
        return objective(WAVES, call(name, pred="input", target="target", eps=p.get("eps"), reduce=reduction(p)))


for _name in ("esr", "dc"):
    _ratio(_name)


def _decibels(p: Params, pred: str, kind: str, header: str) -> str:
    """A negated ratio in decibels; a header makes the samples of several channels one axis."""
    callee, residual = {"snr": ("snr", None), "sisdr": ("si_sdr", None), "sdsdr": ("si_sdr", "plain")}[kind]
    forbid(p, take_log=True)
    ratio = call(
        callee, pred=pred, target="target", eps=p.get("eps"), center=p.get("zero_mean", True), residual=residual
    )
    return objective(header, f"-{ratio}")


def _auraloss(name: str) -> None:
    @rule("generative", name)
    def adapter(p: Params, x: Inputs) -> str:
        return _decibels(p, "input", name.replace("_", ""), WAVES)


for _name in ("snr", "si_sdr", "sd_sdr"):
    _auraloss(_name)


@rule("generative", "neg_si_sdr_single_source", "neg_snr_single_source", "neg_sd_sdr_single_source")
def _single_source(p: Params, x: Inputs) -> str:
    if p["reduction"] != "mean":
        raise NotCovered(f"reduction {p['reduction']}")
    return _decibels(p, "est_target", p["sdr_type"], "est_target, target: wave[b, t]")


@rule("image", "focal_frequency")
def _focal_frequency(p: Params, x: Inputs) -> str:
    forbid(p, ave_spectrum=False, log_matrix=False, batch_matrix=False)
    if p["patch_factor"] != 1:
        raise NotCovered("patches")
    return times(p["loss_weight"], call("focal_frequency", pred="pred", target="target", alpha=p["alpha"]))


@rule("generative", "pit_pairwise")
def _pit(p: Params, x: Inputs) -> str:
    forbid(p, sdr_type="sisdr", pair_loss="mse")
    p.get("n_src")
    pair = "mse" if "pair_loss" in p else "-si_sdr"
    loss = call("pit", L=pair, pred="est_targets", target="targets")
    return objective("est_targets, targets: wave[b, s, t]", loss)
