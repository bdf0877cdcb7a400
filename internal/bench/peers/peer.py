"""Runs one engine on one model, as told over standard input.

    python peer.py MODEL ENGINE FOLDER

MODEL is text or image, FOLDER what prepare.py wrote. Each line of standard input is an object, and each is answered by
one line:

    {"texts": [[…], …]}               the calls of one iteration      -> {"vectors": [[…], …]}
    {"pictures": FILE, "count": n}    a batch of (3, 224, 224) floats -> {"vectors": [[…], …]}
    {"run": n}                        n iterations of the last case   -> {"seconds": [s, …]}

The first line that it writes is {"ready": VERSION}. An error is {"error": WORDS}. What is timed takes texts to vectors,
tokens included, or decoded pictures to vectors.
"""

import json
import os
import sys
import time

import numpy as np

MAX_TOKENS = 256
SUB_BATCH = 8  # texts of similar length that the tuned variants take together


class Tokens:
    """Turns texts into padded ids and masks, int64 (B, T)."""

    def __init__(self, folder):
        from tokenizers import Tokenizer

        self.tokenizer = Tokenizer.from_file(os.path.join(folder, "minilm", "tokenizer.json"))
        self.tokenizer.enable_truncation(MAX_TOKENS)
        self.tokenizer.enable_padding()

    def __call__(self, texts):
        rows = self.tokenizer.encode_batch(texts)
        return {
            "input_ids": np.array([r.ids for r in rows], dtype=np.int64),
            "attention_mask": np.array([r.attention_mask for r in rows], dtype=np.int64),
        }


def torch_text(folder):
    import sentence_transformers
    import torch

    model = sentence_transformers.SentenceTransformer(os.path.join(folder, "minilm"), device="cpu")
    version = f"sentence-transformers {sentence_transformers.__version__}, torch {torch.__version__}"
    return version, lambda texts: model.encode(texts, batch_size=32, show_progress_bar=False)


def torch_image(folder):
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    net = EfficientNet.from_name("efficientnet-lite0")
    net.load_state_dict(torch.load(os.path.join(folder, "lite0.pth"), map_location="cpu"))
    net = net.eval().to(memory_format=torch.channels_last)

    def run(x):
        with torch.inference_mode():
            x = torch.from_numpy(x).contiguous(memory_format=torch.channels_last)
            return net.extract_features(x).mean((2, 3)).numpy()

    return f"torch {torch.__version__}", run


def onnxruntime_session(path):
    import onnxruntime

    return f"onnxruntime {onnxruntime.__version__}", onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def onnxruntime_text(folder, name):
    version, session = onnxruntime_session(os.path.join(folder, name))
    tokens = Tokens(folder)
    return version, lambda texts: session.run(None, tokens(texts))[0]


def onnxruntime_image(folder, name):
    version, session = onnxruntime_session(os.path.join(folder, name))
    return version, lambda x: session.run(None, {"x": x})[0]


def openvino_model(path, **config):
    import openvino

    # The class is fp32: without this hint a processor with bfloat16 would use that.
    config = {"INFERENCE_PRECISION_HINT": "f32", **config}
    version = openvino.__version__.split("-")[0]
    return f"openvino {version}", openvino.Core().compile_model(path, "CPU", config)


def openvino_text(folder, name):
    version, model = openvino_model(os.path.join(folder, name))
    tokens, request = Tokens(folder), model.create_infer_request()
    return version, lambda texts: request.infer(tokens(texts))[0]


def openvino_text_tuned(folder, name):
    """Two streams, and sub-batches of similar length instead of one batch that is padded to the longest text."""
    import openvino

    version, model = openvino_model(os.path.join(folder, name), PERFORMANCE_HINT="THROUGHPUT", NUM_STREAMS="2")
    tokens, queue = Tokens(folder), openvino.AsyncInferQueue(model, 2)
    done = {}
    queue.set_callback(lambda request, at: done.__setitem__(at, request.get_output_tensor(0).data.copy()))

    def run(texts):
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for at in range(0, len(order), SUB_BATCH):
            queue.start_async(tokens([texts[i] for i in order[at : at + SUB_BATCH]]), at)
        queue.wait_all()
        vectors = np.concatenate([done[at] for at in range(0, len(order), SUB_BATCH)])
        return vectors[np.argsort(order)]

    return version + ", 2 streams", run


def openvino_image(folder, name):
    version, model = openvino_model(os.path.join(folder, name))
    request = model.create_infer_request()
    return version, lambda x: request.infer({"x": x})[0]


def pillow(_):
    """Takes the bytes of a JPEG to the tensor (3, 224, 224)."""
    import io

    import PIL
    from PIL import Image

    def run(content):
        square = Image.open(io.BytesIO(content)).resize((224, 224), Image.Resampling.BICUBIC)
        plane = (np.asarray(square, dtype=np.float32) - 127) / 128
        return np.ascontiguousarray(np.broadcast_to(plane, (3, 224, 224)))

    return f"pillow {PIL.__version__}", run


ENGINES = {
    ("text", "torch"): torch_text,
    ("text", "onnxruntime"): lambda f: onnxruntime_text(f, "minilm.onnx"),
    ("text", "onnxruntime-int8"): lambda f: onnxruntime_text(f, "minilm-int8.onnx"),
    ("text", "openvino"): lambda f: openvino_text(f, "minilm.xml"),
    ("text", "openvino-int8"): lambda f: openvino_text(f, "minilm-int8.xml"),
    ("text", "openvino-tuned"): lambda f: openvino_text_tuned(f, "minilm.xml"),
    ("text", "openvino-tuned-int8"): lambda f: openvino_text_tuned(f, "minilm-int8.xml"),
    ("image", "torch"): torch_image,
    ("image", "onnxruntime"): lambda f: onnxruntime_image(f, "lite0.onnx"),
    ("image", "onnxruntime-int8"): lambda f: onnxruntime_image(f, "lite0-int8.onnx"),
    ("image", "openvino"): lambda f: openvino_image(f, "lite0.xml"),
    ("image", "openvino-int8"): lambda f: openvino_image(f, "lite0-int8.xml"),
    ("jpeg", "pillow"): pillow,
}


def iteration_of(case, run):
    """Returns what does one iteration of a case and yields its vectors."""
    if "texts" in case:
        return lambda: [v for call in case["texts"] for v in run(call)]
    if "jpeg" in case:
        with open(case["jpeg"], "rb") as f:
            content = f.read()
        return lambda: [run(content).ravel()]
    x = np.fromfile(case["pictures"], dtype=np.float32).reshape(case["count"], 3, 224, 224)
    return lambda: list(run(x))


def main(model, engine, folder):
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer

    def answer(**words):
        answers.write(json.dumps(words) + "\n")
        answers.flush()

    version, run = ENGINES[model, engine](folder)
    answer(ready=version)
    iteration = None
    for line in sys.stdin:
        try:
            order = json.loads(line)
            if "run" not in order:
                iteration = iteration_of(order, run)
                answer(vectors=[[float(x) for x in v] for v in iteration()])
                continue
            seconds = []
            for _ in range(order["run"]):
                start = time.perf_counter()
                iteration()
                seconds.append(time.perf_counter() - start)
            answer(seconds=seconds)
        except Exception as e:  # the other side decides what an error means
            answer(error=f"{type(e).__name__}: {e}")


if __name__ == "__main__":
    main(*sys.argv[1:])
