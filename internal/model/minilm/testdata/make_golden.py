"""Writes golden.safetensors and golden.json: what PyTorch 2.1.2 and transformers 4.46.3 make of sequences of random
token ids with all-MiniLM-L6-v2, each alone. Token vectors of the last sequence, the longest, are left out.

    python make_golden.py MODEL_SAFETENSORS
"""

import json
import pathlib
import random
import sys

import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel

rng = random.Random(20240611)
torch.set_num_threads(1)

model = BertModel(BertConfig(vocab_size=30522, hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536))
weights = load_file(sys.argv[1])
weights.pop("embeddings.position_ids", None)
missing, unexpected = model.load_state_dict(weights, strict=False)
assert not missing and not unexpected, (missing, unexpected)
model.eval()

sequences = [[rng.randrange(30522) for _ in range(n)] for n in [7, 64, 1, 16, 7, 2, 3, 512]]
tokens, vectors = [], []
with torch.no_grad():
    for ids in sequences:
        x = model(torch.tensor([ids])).last_hidden_state[0]
        tokens.append(x)
        vectors.append(torch.nn.functional.normalize(x.mean(0), dim=0))

here = pathlib.Path(__file__).parent
save_file({"tokens": torch.cat(tokens[:-1]), "vectors": torch.stack(vectors)}, here / "golden.safetensors")
(here / "golden.json").write_text(json.dumps(sequences, separators=(",", ":")) + "\n")
