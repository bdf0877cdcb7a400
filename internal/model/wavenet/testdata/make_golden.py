"""Writes golden.safetensors: a small WaveNet with random weights, a batch of two, and what PyTorch makes of it.

The reference shares nothing with the Go code: it computes every frame of a row on its own, from its past alone.

    python make_golden.py      (torch 2.1.2)
"""
import json
import struct

import torch

BANDS, C, D, CLASSES, DILATIONS, LENGTHS = 5, 6, 4, 3, [1, 2, 4, 1, 2], [21, 9]
torch.manual_seed(3)
torch.set_grad_enabled(False)

weights = {}


def conv(name, n_in, n_out, width):
    weights[name + ".weight"] = torch.randn(n_out, n_in, width) / (n_in * width) ** 0.5
    weights[name + ".bias"] = torch.randn(n_out) * 0.3


conv("input", BANDS, C, 2)
for i in range(len(DILATIONS)):
    conv(f"block{i}.gated", C, 2 * C, 2)
    conv(f"block{i}.both", C, C + D, 1)
conv("output", D, D, 1)
conv("head", 2 * D, CLASSES, 1)


def at(x, name, t, dilation):
    """The convolution's output at frame t of x, a list of frames."""
    w, b = weights[name + ".weight"], weights[name + ".bias"]
    width = w.shape[2]
    for k in range(width):
        s = t - (width - 1 - k) * dilation
        if s >= 0:
            b = b + w[:, :, k] @ x[s]
    return b


def encode(x):
    """Tokens, pooled vector and logits of the frames x."""
    n = len(x)
    x = [at(x, "input", t, 1) for t in range(n)]
    skips = [torch.zeros(D) for _ in range(n)]
    for i, d in enumerate(DILATIONS):
        z = [at(x, f"block{i}.gated", t, d) for t in range(n)]
        g = [z_[:C].tanh() * z_[C:].sigmoid() for z_ in z]
        both = [at(g, f"block{i}.both", t, 1) for t in range(n)]
        x = [x[t] + both[t][:C] for t in range(n)]
        skips = [skips[t] + both[t][C:] for t in range(n)]
    h = [(s / len(DILATIONS) ** 0.5).relu() for s in skips]
    h = [at(h, "output", t, 1).relu() for t in range(n)]
    tokens = torch.stack([torch.stack(h[t : t + 8]).mean(0) for t in range(0, n, 8)])
    vector = torch.cat([torch.stack(h).mean(0), tokens.amax(0)])
    return tokens, vector, at([vector], "head", 0, 1)


out = dict(weights)
batch = torch.zeros(len(LENGTHS), BANDS, max(LENGTHS))
for row, n in enumerate(LENGTHS):
    batch[row, :, :n] = torch.randn(BANDS, n)
    tokens, vector, logits = encode(list(batch[row, :, :n].T))
    out |= {f"tokens{row}": tokens, f"vector{row}": vector, f"logits{row}": logits}
batch[1, :, LENGTHS[1] :] = 9  # padding of any value
out["batch"] = batch

header, body = {}, b""
for name, t in sorted(out.items()):
    data = t.float().contiguous().numpy().tobytes()
    header[name] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [len(body), len(body) + len(data)]}
    body += data
head = json.dumps(header).encode()
with open("golden.safetensors", "wb") as f:
    f.write(struct.pack("<Q", len(head)) + head + body)
