"""Writes ../probe.safetensors: the pooled vector (256) and the tokens (N, 128) that PyTorch 2.1.2 and NumPy give the
sound that Probe encodes, with the weights of ../weights/wavenet.safetensors. Run it again when those change.

    python make_golden.py
"""
import json
import pathlib
import struct

import numpy as np
import torch
import torch.nn.functional as F

torch.set_grad_enabled(False)
torch.set_num_threads(1)
here = pathlib.Path(__file__).parent
RATE, WINDOW, HOP, FFT, BANDS = 8000, 200, 80, 512, 64


def load(path):
    data = path.read_bytes()
    (n,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + n])
    config = json.loads(header.pop("__metadata__")["config"])
    body = data[8 + n :]
    return config, {k: torch.from_numpy(np.frombuffer(body[slice(*e["data_offsets"])], "<f2").reshape(e["shape"]).astype("f4"))
                    for k, e in header.items()}


def logmel(x):
    frames = np.lib.stride_tricks.sliding_window_view(x, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW + 1)[:-1], FFT, axis=1)) ** 2
    mel = lambda f: 2595 * np.log10(1 + np.asarray(f) / 700)
    edges = 700 * (10 ** (np.linspace(mel(60), mel(4000), BANDS + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(FFT, 1 / RATE)
    rising = (bins[None] - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins[None]) / np.diff(edges)[1:, None]
    decades = np.log10(np.maximum(power @ np.clip(np.minimum(rising, falling), 0, None).T, 1e-10))
    return np.maximum(1 + 2 * (decades - decades.max()) / 6, -1)


config, w = load(here / "../weights/wavenet.safetensors")
t = np.arange(RATE // 2) / RATE
x = torch.from_numpy(logmel((0.5 * np.sin(2 * np.pi * (200 * t + 2800 * t * t))).astype("f4")).astype("f4")).T[None]


def conv(x, name, dilation=1):
    k = w[name + ".weight"].shape[2]
    return F.conv1d(F.pad(x, ((k - 1) * dilation, 0)), w[name + ".weight"], w[name + ".bias"], dilation=dilation)


x, skips, c = conv(x, "input"), 0, config["channels"]
for i, d in enumerate(config["dilations"]):
    z = conv(x, f"block{i}.gated", d)
    both = conv(z[:, :c].tanh() * z[:, c:].sigmoid(), f"block{i}.both")
    x, skips = x + both[:, :c], skips + both[:, c:]
h = conv((skips / len(config["dilations"]) ** 0.5).relu(), "output").relu()[0].T  # (T, D)
tokens = torch.stack([h[i : i + 8].mean(0) for i in range(0, len(h), 8)])
out = {"tokens": tokens, "vector": torch.cat([h.mean(0), tokens.amax(0)])}

header, body = {}, b""
for name, v in out.items():
    data = v.contiguous().numpy().tobytes()
    header[name] = {"dtype": "F32", "shape": list(v.shape), "data_offsets": [len(body), len(body) + len(data)]}
    body += data
head = json.dumps(header).encode()
(here / "../probe.safetensors").write_bytes(struct.pack("<Q", len(head)) + head + body)
