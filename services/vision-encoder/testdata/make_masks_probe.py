"""Writes what PyTorch makes of a schematic chest with the committed weights of the segmentation.

    pip install torch==2.1.2 numpy==1.26.4 pillow safetensors
    python make_masks_probe.py

../weights/masks.probe.png: the picture, of the nets' own size. ../weights/masks.probe.safetensors: the logits of lungs and
lesions, where the nets know mirror images the mean over the picture and its own, every eighth pixel each way.
"""
import json
import pathlib
import sys

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter
from safetensors import safe_open
from safetensors.torch import save_file

here = pathlib.Path(__file__).parent
sys.path.insert(0, str(here.parent.parent.parent / "internal" / "model" / "unet" / "testdata"))
from make_golden import unet  # noqa: E402

WEIGHTS = here.parent / "weights"
STRIDE = 8


def read(name):
    with safe_open(WEIGHTS / name, "pt") as f:
        return {k: f.get_tensor(k).float() for k in f.keys()}, json.loads(f.metadata()["config"])


def chest(side):
    """Returns dark lungs beside a bright heart and spine."""
    at = lambda *v: [x * side / 100 for x in v]  # noqa: E731
    picture = Image.new("L", (side, side), 40)
    d = ImageDraw.Draw(picture)
    d.rounded_rectangle(at(8, 8, 92, 98), side // 6, fill=170)
    d.ellipse(at(16, 15, 46, 88), fill=60)
    d.ellipse(at(54, 15, 84, 88), fill=60)
    d.rectangle(at(8, 76, 92, 98), fill=190)
    d.rectangle(at(46, 8, 54, 98), fill=200)
    d.ellipse(at(40, 48, 70, 80), fill=205)
    d.ellipse(at(20, 50, 34, 68), fill=110)
    return picture.filter(ImageFilter.GaussianBlur(side / 80))


def main():
    torch.set_num_threads(1)
    lungs, config = read("lungs.safetensors")
    lesions, lesion_config = read("lesions.safetensors")
    picture = chest(config["side"])
    picture.save(WEIGHTS / "masks.probe.png", optimize=True)
    x = torch.from_numpy(np.asarray(picture).astype(np.float32) / 255)[None, None]
    golden = {}
    for name, own, c in (("lungs", lungs, config), ("lesions", lesions, lesion_config)):
        values = {**lungs, **own}
        get = lambda key, *shape: values[key]  # noqa: E731
        with torch.no_grad():
            logits = unet(x, get, get, c["widths"], len(c["classes"]))
            if config["mirrored"]:
                logits = (logits + unet(x.flip(3), get, get, c["widths"], len(c["classes"])).flip(3)) / 2
        golden[name] = logits[0, :, ::STRIDE, ::STRIDE].contiguous()
        print(name, tuple(golden[name].shape), (golden[name] > 0).float().mean((1, 2)).tolist())
    save_file(golden, WEIGHTS / "masks.probe.safetensors")


main()
