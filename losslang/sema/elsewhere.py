"""Names of other libraries, for the hints of messages: what a newcomer writes, and what it is called here."""

from __future__ import annotations

from collections.abc import Iterable

from losslang.diagnostics import did_you_mean

NAMES = {
    # losses
    "binary_cross_entropy": ("bce",),
    "bce_with_logits": ("bce",),
    "bcewithlogitsloss": ("bce",),
    "binary_cross_entropy_with_logits": ("bce",),
    "crossentropyloss": ("ce",),
    "cross_entropy_loss": ("ce",),
    "categorical_crossentropy": ("cross_entropy",),
    "sparse_categorical_crossentropy": ("ce",),
    "nll": ("ce",),
    "nll_loss": ("ce",),
    "l1_loss": ("l1",),
    "l1loss": ("l1",),
    "mae": ("l1",),
    "l2": ("mse",),
    "mse_loss": ("mse",),
    "mseloss": ("mse",),
    "smooth_l1": ("huber",),
    "smooth_l1_loss": ("huber",),
    "smoothl1loss": ("huber",),
    "kl_div": ("kl",),
    "kldivloss": ("kl",),
    "dice_loss": ("dice",),
    "focal_loss": ("focal",),
    "cosine_similarity": ("cosine",),
    "cosine_embedding": ("cosine",),
    "cosine_embedding_loss": ("cosine",),
    # options
    "alpha": ("class_weight",),
    "axis": ("over",),
    "beta": ("delta",),
    "dim": ("over",),
    "ignore_index": ("ignore",),
    "label_smoothing": ("smoothing",),
    "logits": ("prob",),
    "reduction": ("reduce",),
    "temperature": ("tau",),
    "window_size": ("win",),
    "kernel_size": ("win",),
    # functions
    "absolute": ("abs",),
    "detach": ("stop",),
    "ln": ("log",),
    "maximum": ("max",),
    "minimum": ("min",),
    "no_grad": ("stop",),
    "stop_gradient": ("stop",),
}
"""By a name in small letters: what is meant, where the place knows it."""

FACTS = {
    "data_range": "an image declares its range: objective main(pred: image[b, c=3, h, w] in 0..255): ...",
    "from_logits": "kinds say what a tensor holds: a loss of logits takes logits, one of prob takes sigmoid(logits)",
    "lambda": "a parameter or constant has a name of its own, such as lam; a function is an fn",
    "log_target": "the target is a prob: give exp(target) for one in log-space",
    "num_classes": "the class axis has its size: objective main(logits: logit[b, c=10], ...): ...",
    "pow": "a power is written with '^', as in x^2",
    "size_average": "a loss is the mean of its rows; reduce=sum or reduce=none says otherwise",
}
"""What has no name here because it is said in another way."""

PACKAGES = frozenset({"torch", "nn", "F", "np", "numpy", "jnp", "tf", "math", "torch.nn", "torch.nn.functional"})
"""What other texts write before a name."""


def meant(name: str, known: Iterable[str]) -> str | None:
    """A hint about a name that nothing has: what is called so elsewhere, else what is most like it."""
    names = list(known)
    head, _, own = name.rpartition(".")
    own = own if head in PACKAGES else name
    here = next((near for near in NAMES.get(own.lower(), ()) if near in names), None)
    if here is not None:
        return f"did you mean '{here}'?"
    return FACTS.get(own) or did_you_mean(own, names)
