"""Writes golden.json: what transformers computes of the published GGUF file, widened to float32.

    python make_golden.py smollm2-135m-instruct.gguf > golden.json

Needs torch 2.1.2, transformers 4.46.3, gguf 0.10.0, accelerate 1.0.1, sentencepiece (which gguf imports). transformers undoes the order of
the rows of q and k that GGUF files have.
"""
import json
import os
import sys

import torch
from transformers import AutoModelForCausalLM

folder, name = os.path.split(os.path.abspath(sys.argv[1]))
net = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, torch_dtype=torch.float32).eval()
net.lm_head.weight = net.model.embed_tokens.weight  # tied; the loader does not see that

# <|im_start|>user
# What is the capital of France?<|im_end|>
# <|im_start|>assistant
prompt = [1, 4093, 198, 1780, 314, 260, 3575, 282, 4649, 47, 2, 198, 1, 520, 9531, 198]
with torch.no_grad():
    out = net(torch.tensor([prompt]), output_hidden_states=True)
    logits = out.logits[0]
    greedy = net.generate(torch.tensor([prompt]), max_new_tokens=24, do_sample=False, eos_token_id=None)[0, len(prompt):].tolist()

top = logits[-1].topk(8)
json.dump({
    "prompt": prompt,
    "hidden_last": [round(v, 5) for v in out.hidden_states[-1][0, -1, :64].tolist()],
    "logits_every_997th": [[round(v, 4) for v in row[::997].tolist()] for row in logits],
    "top_ids": top.indices.tolist(),
    "top_logits": [round(v, 4) for v in top.values.tolist()],
    "greedy": greedy,
}, sys.stdout)
print()
