"""The golden corpus: what the papers' own code computes, and losslang on the same inputs."""

from tests.golden import contrastive as contrastive
