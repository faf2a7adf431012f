"""Deterministic stand-in backbone weights for the image golden corpus (plain torch, bit-exact anywhere).

hash_uniform(n, seed): n float64 values in [0,1), integer hash only (no RNG state):
  x_i = (i + seed*0x9E3779B1) mod 2^32, then the 32-bit murmur3 finalizer
  (x^=x>>16; x*=0x85EBCA6B; x^=x>>13; x*=0xC2B2AE35; x^=x>>16, all mod 2^32), u_i = x_i / 2^32.
fill_convs(module, seed): every nn.Conv2d / nn.Linear of `module`, in module order, j = 0,1,2,...:
  weight = (2u-1)*sqrt(6/fan_in), u = hash_uniform(numel, seed*1000+2j)   (row-major order)
  bias   = (2u-1)*0.1,            u = hash_uniform(numel, seed*1000+2j+1)  (when it has a bias)
BatchNorm layers stay at weight 1, bias 0, running mean 0, running var 1 (eval mode).
Backbone seeds: alexnet 1, vgg16 2, squeezenet1_1 3, vgg19 4, shift-tolerant alexnet 5, shift-tolerant vgg 6,
LaMa dilated resnet50 7, CRAFT 8, shift-tolerant linear heads: u of seed 9000+k used directly (>=0).
"""

import math

import torch

_M = 0xFFFFFFFF


def hash_uniform(n, seed):
    x = (torch.arange(n, dtype=torch.int64) + (seed * 0x9E3779B1)) & _M
    x = x ^ (x >> 16)
    x = (x * 0x85EBCA6B) & _M
    x = x ^ (x >> 13)
    x = (x * 0xC2B2AE35) & _M
    x = x ^ (x >> 16)
    return x.to(torch.float64) / 4294967296.0


@torch.no_grad()
def fill_convs(module, seed):
    j = 0
    for m in module.modules():
        if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear)):
            w = m.weight
            fan_in = w[0].numel()
            w.copy_(((2 * hash_uniform(w.numel(), seed * 1000 + 2 * j) - 1) * math.sqrt(6.0 / fan_in)).view_as(w))
            if m.bias is not None:
                m.bias.copy_(((2 * hash_uniform(m.bias.numel(), seed * 1000 + 2 * j + 1) - 1) * 0.1).view_as(m.bias))
            j += 1
    return module
