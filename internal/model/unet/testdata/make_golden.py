"""Writes golden.safetensors: what PyTorch makes of the U-Net on two pictures, with weights that a formula gives, and
the gradients of mean(logits * formula) by some of the parameters, computed in double precision.

    python make_golden.py

Needs torch and safetensors. The weights are not stored: unet_test.go computes them by the same formula.
"""

import math
import zlib
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

STAGES = [(1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320)]
TAPS = [0, 2, 4, 10]  # blocks whose output the decoder sees
WIDTHS = [32, 24, 16, 8]
CLASSES = 2
HEIGHT, WIDTH = 96, 64
GRADIENTS = ["encoder.stem.weight", "encoder.blocks.3.depthwise.weight", "encoder.blocks.8.expand.bias", "encoder.blocks.15.project.weight",
             "decoder.0.first.weight", "decoder.3.second.weight", "decoder.2.first_norm.weight", "decoder.1.second_norm.bias", "head.weight", "head.bias"]
SOME = 200  # values of a gradient that are kept
parameters = {}


def formula(name, count):
    """Numbers from -1 to 1 that depend on the name and the position alone."""
    seed = zlib.crc32(name.encode())
    i = np.arange(count, dtype=np.uint64)
    return ((i * np.uint64(2654435761) + np.uint64(seed) * np.uint64(40503)) % np.uint64(2**32)).astype(np.float64) / 2**31 - 1


def parameter(name, values, shape):
    if name not in parameters:
        parameters[name] = torch.from_numpy(values.astype(np.float32)).double().reshape(shape).requires_grad_(True)
    return parameters[name]


def weight(name, *shape):
    return parameter(name, formula(name, math.prod(shape)) * math.sqrt(2 / math.prod(shape[1:])), shape)


def vector(name, size, centre):
    return parameter(name, centre + 0.1 * formula(name, size), (size,))


def same(x, kernel, stride):
    pads = []
    for size in (x.shape[3], x.shape[2]):
        total = max(0, (math.ceil(size / stride) - 1) * stride + kernel - size)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads)


def unet(x, weight, vector, widths=WIDTHS, classes=CLASSES):
    """Logits of x (B, 1, H, W); weight and vector return a parameter by its name and shape."""

    def conv(x, name, i, o, kernel, stride, groups):
        w, b = weight(name + ".weight", o, i // groups, kernel, kernel), vector(name + ".bias", o, 0)
        return F.conv2d(same(x, kernel, stride), w, b, stride, 0, 1, groups)

    def norm(x, name):
        c = x.shape[1]
        return F.group_norm(x, 8, vector(name + ".weight", c, 1), vector(name + ".bias", c, 0), 1e-5)

    x = x - x.mean((1, 2, 3), keepdim=True)
    x = x / (x.square().mean((1, 2, 3), keepdim=True).sqrt() + 1 / 255)
    x = F.relu6(conv(x, "encoder.stem", 1, 32, 3, 2, 1))
    skips, i, n = [], 32, 0
    for repeats, kernel, first, expand, out in STAGES:
        for r in range(repeats):
            stride, wide, name, y = first if r == 0 else 1, i * expand, f"encoder.blocks.{n}", x
            if expand != 1:
                y = F.relu6(conv(y, name + ".expand", i, wide, 1, 1, 1))
            y = F.relu6(conv(y, name + ".depthwise", wide, wide, kernel, stride, wide))
            y = conv(y, name + ".project", wide, out, 1, 1, 1)
            x = y + x if stride == 1 and i == out else y
            if n in TAPS:
                skips.append(x)
            i, n = out, n + 1
    for level, width in enumerate(widths):
        name, skip = f"decoder.{level}", skips[-1 - level]
        x = torch.cat([F.interpolate(x, size=skip.shape[2:], mode="nearest"), skip], 1)
        x = F.relu(norm(F.conv2d(x, weight(name + ".first.weight", width, x.shape[1], 3, 3), padding=1), name + ".first_norm"))
        x = F.relu(norm(F.conv2d(x, weight(name + ".second.weight", width, width, 3, 3), padding=1), name + ".second_norm"))
    x = F.conv2d(x, weight("head.weight", classes, widths[-1], 1, 1), vector("head.bias", classes, 0))
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def main():
    torch.set_num_threads(1)
    x = torch.from_numpy((0.5 + 0.5 * formula("picture", 2 * HEIGHT * WIDTH)).astype(np.float32)).double().reshape(2, 1, HEIGHT, WIDTH)
    y = unet(x, weight, vector)
    loss = (y * torch.from_numpy(formula("loss", y.numel())).reshape(y.shape)).mean()
    gradients = torch.autograd.grad(loss, [parameters[name] for name in GRADIENTS])
    golden = {"gradient." + name: g.reshape(-1)[:SOME].float().clone() for name, g in zip(GRADIENTS, gradients)}
    golden["logits"] = y.detach().float().contiguous()
    save_file(golden, Path(__file__).parent / "golden.safetensors")
    print(y.shape, y.mean().item(), y.std().item(), loss.item())


if __name__ == "__main__":
    main()
