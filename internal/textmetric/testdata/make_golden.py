"""Writes golden.json: BLEU of sacrebleu and ROUGE-L of rouge-score for pairs of sentences.

pip install sacrebleu==2.6.0 rouge-score==0.1.2; python make_golden.py
"""
import json
import re

from rouge_score import rouge_scorer
from sacrebleu.metrics import BLEU

pairs = [
    ("No pleural effusion or pneumothorax. The heart is not enlarged.", "The heart is not enlarged. There is no pleural effusion or pneumothorax."),
    ("There is consolidation in the right lower lobe.", "Consolidation is seen in the right lower lobe with a small effusion."),
    ("Lungs are clear.", "The lungs are clear and the heart size is normal."),
    ("the the the the the the the", "the cat is on the mat"),
    ("Bilateral opacities.", "Normal chest."),
]
tokens = lambda s: " ".join(re.findall(r"\w+", s.lower()))
scorer = rouge_scorer.RougeScorer(["rougeL"])
golden = {
    "pairs": [{"written": w, "reference": r, "rouge_l": scorer.score(r, w)["rougeL"].fmeasure} for w, r in pairs],
    "bleu": [
        BLEU(tokenize="none", smooth_method="none", max_ngram_order=n).corpus_score([tokens(w) for w, _ in pairs], [[tokens(r) for _, r in pairs]]).score / 100
        for n in range(1, 5)
    ],
}
with open("golden.json", "w") as f:
    json.dump(golden, f, indent=1)
