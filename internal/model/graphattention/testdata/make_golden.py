"""Writes golden.safetensors: a small graph attention network with random weights, two graphs, and what PyTorch makes of them.

The reference shares nothing with the Go code: it goes from edge to edge and concatenates the ends as the paper does.

    python make_golden.py      (torch 2.1.2)
"""
import json
import struct

import torch
import torch.nn.functional as F

IN, D, HEADS, DEPTH, RELATIONS, SIZES = 5, 6, 2, 2, 3, [4, 2]
# (relation, from, to); two relations between one pair, and a node without any edge.
EDGES = [[(0, 0, 1), (1, 0, 1), (2, 1, 0), (1, 2, 1), (0, 2, 0)], [(2, 0, 1)]]
torch.manual_seed(7)
torch.set_grad_enabled(False)

weights = {"in.weight": torch.randn(D, IN) / 2, "in.bias": torch.randn(D) / 3}
for name in ["out"] + [f"{i}.norm" for i in range(DEPTH)]:
    weights |= {name + ".weight": 1 + torch.randn(D) / 4, name + ".bias": torch.randn(D) / 4}
for i in range(DEPTH):
    for name in ["project", "merge"]:
        weights |= {f"{i}.{name}.weight": torch.randn(D, D) / 2, f"{i}.{name}.bias": torch.randn(D) / 3}
    for name in ["source", "target"]:
        weights[f"{i}.{name}"] = torch.randn(HEADS, D // HEADS)
    weights[f"{i}.relation"] = torch.randn(HEADS, RELATIONS + 1)


def linear(name, x):
    return weights[name + ".weight"] @ x + weights[name + ".bias"]


def norm(name, x):
    return F.layer_norm(x, (D,), weights[name + ".weight"], weights[name + ".bias"], 1e-5)


def attend(nodes, edges):
    """Each node's vector, and the last layer's weights by (head, to, from)."""
    n = len(nodes)
    kinds = {(i, i): [RELATIONS] for i in range(n)}
    for relation, source, target in edges:
        kinds.setdefault((source, target), []).append(relation)
    x = [linear("in", v) for v in nodes]
    for i in range(DEPTH):
        y = [linear(f"{i}.project", norm(f"{i}.norm", v)) for v in x]
        shares = torch.zeros(HEADS, n, n)
        read = [torch.zeros(D) for _ in range(n)]
        for h in range(HEADS):
            part = slice(h * D // HEADS, (h + 1) * D // HEADS)
            a = torch.cat([weights[f"{i}.source"][h], weights[f"{i}.target"][h]])
            for target in range(n):
                sources = [s for s, t in kinds if t == target]
                logits = []
                for s in sources:
                    learnt = sum(weights[f"{i}.relation"][h, k] for k in kinds[s, target])
                    logits.append(F.leaky_relu(a @ torch.cat([y[s][part], y[target][part]]) + learnt, 0.2))
                for s, share in zip(sources, torch.softmax(torch.stack(logits), 0)):
                    shares[h, target, s] = share
                    read[target][part] += share * y[s][part]
        x = [v + linear(f"{i}.merge", F.gelu(r, approximate="tanh")) for v, r in zip(x, read)]
    return torch.stack([norm("out", v) for v in x]), shares


out = dict(weights)
nodes, edges = torch.randn(len(SIZES), max(SIZES), IN), torch.zeros(len(SIZES), RELATIONS, max(SIZES), max(SIZES))
for row, n in enumerate(SIZES):
    for relation, source, target in EDGES[row]:
        edges[row, relation, target, source] = 1
    out[f"out{row}"], out[f"shares{row}"] = attend(list(nodes[row, :n]), EDGES[row])
out["nodes"], out["edges"] = nodes, edges

header, body = {}, b""
for name, t in sorted(out.items()):
    data = t.float().contiguous().numpy().tobytes()
    header[name] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [len(body), len(body) + len(data)]}
    body += data
head = json.dumps(header).encode()
with open("golden.safetensors", "wb") as f:
    f.write(struct.pack("<Q", len(head)) + head + body)
