"""The golden corpus: what the papers' own code computes, and losslang on the same inputs."""
