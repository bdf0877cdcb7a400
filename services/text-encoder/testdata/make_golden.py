"""Writes what PyTorch 2.1.2 and transformers 4.46.3 make of texts with all-MiniLM-L6-v2, each text alone:

    python make_golden.py FOLDER      (that holds its model.safetensors and tokenizer.json)

golden.safetensors: vectors (200, 384) of the texts in golden.json, and tokens (N, 384) of the first 12, one after the
other. ../probe.safetensors, which the service embeds, has the vector (384) of the sentence that Probe encodes.
"""

import json
import pathlib
import random
import sys

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

PROBE = "The chest radiograph shows no consolidation."
TOKEN_TEXTS = 12
rng = random.Random(20240611)
torch.set_num_threads(1)

FIXED = [
    "", " ", ".", "a", PROBE, "What color is the triangle?", "Is there a circle in the image?",
    "Left lower lobe consolidation with a small parapneumonic effusion; no pneumothorax.",
    "Patient with productive cough, fever 39.2 °C and SpO2 91 % for 3 days.",
    "Fièvre, toux et dyspnée: pneumopathie du lobe inférieur gauche?", "胸部X光片显示左下肺叶实变。", "😀 👨‍👩‍👧‍👦 🇩🇪",
    "x" * 400, "İstanbul ıspanak ŞİŞLİ", "한국어 문장입니다", "[MASK] [SEP] ##ing", "الأشعة السينية للصدر", "\u0001\u0301\ufeff", "1 2 3 4 5 6 7 8 9 10 " * 40,
    "no acute cardiopulmonary abnormality . " * 60,
]
PARTS = """patient chest radiograph lung lobe consolidation effusion pneumothorax cardiomegaly cough wheeze crackles fever
saturation left right upper lower bilateral no acute mild severe chronic suspected known history of with without and the
a is are shows suggests compatible follow-up CT ECG 12 98% 3.5cm mg b.i.d. triangle circle rectangle blue red teal color
what which where shape image sound speaker digit seven zéro naïve Ångström 肺 炎 图像 😷 Ωμέγα Привет עברית""".split()


def texts():
    yield from FIXED
    for i in range(200 - len(FIXED)):
        n = rng.choice([2, 5, 9, 14, 20, 33, 60, 110, 180, 230])
        yield " ".join(rng.choice(PARTS) for _ in range(n)) + rng.choice(["", ".", "?", "!"])


folder = pathlib.Path(sys.argv[1])
tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
tokenizer.enable_truncation(256)
tokenizer.no_padding()
model = BertModel(BertConfig(vocab_size=30522, hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536))
weights = load_file(folder / "model.safetensors")
weights.pop("embeddings.position_ids", None)
missing, unexpected = model.load_state_dict(weights, strict=False)
assert not unexpected and not missing, (missing, unexpected)
model.eval()


@torch.no_grad()
def encode(text):
    ids = torch.tensor([tokenizer.encode(text).ids])
    tokens = model(ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
    return tokens, torch.nn.functional.normalize(tokens.mean(0), dim=0)


here = pathlib.Path(__file__).parent
all_texts = list(texts())
encoded = [encode(text) for text in all_texts]
save_file(
    {"vectors": torch.stack([v for _, v in encoded]), "tokens": torch.cat([t for t, _ in encoded[:TOKEN_TEXTS]])},
    here / "golden.safetensors",
)
(here / "golden.json").write_text(json.dumps(all_texts, ensure_ascii=True, indent=0) + "\n")
save_file({"vector": encode(PROBE)[1]}, here / ".." / "probe.safetensors")
print(len(all_texts), "texts, lengths", sorted({len(t) for t, _ in encoded}))
