"""Asks for embeddings with PyPI's openai, unchanged: JSON on stdin has url, JSON on stdout says what came back."""

import base64
import json
import sys

from openai import APIStatusError, OpenAI

job = json.load(sys.stdin)
client = OpenAI(base_url=job["url"] + "/v1", api_key="none", max_retries=0)
texts = ["A cough for a week.", "Fever and a cough."]
default = client.embeddings.create(model="consilium", input=texts)  # which asks for base64 and decodes it
floats = client.embeddings.create(model="consilium-text", input=texts, encoding_format="float")
image = {"type": "image", "data": base64.b64encode(open(job["film"], "rb").read()).decode()}
picture = client.embeddings.create(model="consilium", input=[image])
try:
    client.embeddings.create(model="nonesuch", input="x")
    refused = 0
except APIStatusError as refusal:
    refused = refusal.status_code
a, b = default.data[0].embedding, floats.data[0].embedding
json.dump({
    "object": default.object, "indexes": [e.index for e in default.data], "dims": [len(e.embedding) for e in default.data + floats.data + picture.data],
    "difference": max(abs(x - y) for x, y in zip(a, b)), "tokens": default.usage.total_tokens, "models": [m.id for m in client.models.list()], "refused": refused,
}, sys.stdout)
