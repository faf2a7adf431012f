"""Where the definitions in which the notation was tried stand in the library: under their name, or one given here."""

from __future__ import annotations

from pathlib import Path

import pytest

from losslang.sema.evaluate import is_builtin
from losslang.sema.modules import library
from losslang.source import Source
from losslang.syntax import ast, parser

TRIED = sorted((Path(__file__).resolve().parents[1] / "front" / "library").glob("*.loss"))
ITEMS = [
    item
    for path in TRIED
    for item in parser.parse_module(Source(path.name, path.read_text(encoding="utf-8"))).items
    if isinstance(item, ast.Definition) and item.keyword != "objective"
]
KNOWN = {entry.name for entry in library()}

RENAMED = {
    "align_uniform": "align uniform",
    "all_triplets": "every_triplet",
    "barlow": "barlow_twins",
    "clip2": "clip",
    "cosine_contrastive_sum": "cosine_contrastive",
    "cov": "coral",
    "direction": "unit",
    "dist": "euclidean",
    "encodec": "gradfrac",
    "energy": "energy_distance",
    "first": "last",
    "free_bits_per_dim": "free_bits",
    "hard_negative_reweight": "hard_negatives",
    "keep_all": "every_pair",
    "l2": "mse",
    "lifted": "lifted_structure",
    "macl_authors": "macl",
    "max_entropy_cov": "max_entropy",
    "multi_similarity_mined": "multi_similarity",
    "multi_similarity_parts": "multi_similarity",
    "neg_snr": "snr",
    "ot": "entropic_cost",
    "p2": "p2_weighting",
    "patchnce_all": "patchnce",
    "poincare_distance": "poincare",
    "pseudo_huber_scheduled": "scheduled_pseudo_huber",
    "rate": "coding_rate",
    "rbf": "gaussian_kernel",
    "relative": "informative",
    "sample_var": "sample_var",
    "squnit": "sqdist",
    "ssim_contrast": "ssim_structure",
    "ssim_map": "ssim",
    "st_clamp": "clamp stop",
    "standardize": "barlow_twins",
    "style_gram": "style",
    "supcon_one": "supcon",
    "supcon_pml": "supcon_flat",
    "triplet_batch_hard": "batch_hard",
    "uncertainty_log1p": "positive_uncertainty",
    "uncertainty_yaringal": "uncertainty",
    "vae": "mse latent_kl",
    "w_mse_plain": "w_mse",
    "xent": "ce",
}
"""What is called otherwise, is an option of one of these, or is a sum of them."""

PARTS = {"margin_ce", "margins", "project", "soft_histogram", "t_empty", "t_levels", "t_tv"}
"""Parts of one definition that are written out there, and three that tried the notation itself."""


NOT_YET = {
    *("awp", "awp_at", "l2_init", "spectral", "wasserstein_init"),  # need the parameters of a model
    *("famo", "pcgrad"),  # need the batch again after the step, and an order of the terms
    *("feature_matching", "feature_matching_md"),  # examples and laws over lists of tensors cannot be drawn yet
}


@pytest.mark.parametrize("name", sorted({item.name for item in ITEMS} - PARTS - NOT_YET))
def test_it_is_in_the_library(name: str) -> None:
    missing = [one for one in RENAMED.get(name, name).split() if one not in KNOWN and not is_builtin(one)]
    assert not missing


def test_nothing_is_renamed_in_vain() -> None:
    assert {*RENAMED, *PARTS, *NOT_YET} <= {item.name for item in ITEMS}
    assert not NOT_YET & KNOWN
    assert len(ITEMS) >= 200
