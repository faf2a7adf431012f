"""The golden corpus: what the papers' own code computes, and losslang on the same inputs."""

from tests.golden import adapters as adapters
from tests.golden import audio as audio
from tests.golden import classification as classification
from tests.golden import contrastive as contrastive
from tests.golden import generative as generative
from tests.golden import image as image
from tests.golden import memory as memory
