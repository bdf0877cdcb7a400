"""Writes the published weights in the forms that the peers load, fp32 and 8 bit.

    python prepare.py MINILM_FOLDER LITE0.pth CALIBRATION FOLDER

MINILM_FOLDER holds model.safetensors, vocab.txt and tokenizer.json. CALIBRATION holds texts.json, a list, and
pictures.f32, floats (n, 3, 224, 224). The 8-bit forms are made as each engine documents it: ONNX Runtime's dynamic
quantisation of the linear layers and static quantisation of the convolutions, both per channel; NNCF's post-training
quantisation for OpenVINO.
"""

import json
import os
import shutil
import sys

import nncf
import numpy as np
import onnx
import openvino
import torch
from onnxruntime import quantization
from onnxruntime.transformers import optimizer
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

MAX_TOKENS = 256
CONFIG = dict(vocab_size=30522, hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)


class Sentence(torch.nn.Module):
    """Takes ids and mask (B, T) to sentence vectors (B, 384): the mean over the tokens, at length 1."""

    def __init__(self, bert):
        super().__init__()
        self.bert = bert

    def forward(self, input_ids, attention_mask):
        x = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weight = attention_mask.unsqueeze(-1).to(x.dtype)
        return torch.nn.functional.normalize((x * weight).sum(1) / weight.sum(1), dim=1)


class Tokens(torch.nn.Module):
    """Takes ids, mask and types (B, T) to token vectors (B, T, 384)."""

    def __init__(self, bert):
        super().__init__()
        self.bert = bert

    def forward(self, input_ids, attention_mask, token_type_ids):
        return self.bert(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids).last_hidden_state


class Picture(torch.nn.Module):
    """Takes pictures (B, 3, 224, 224) to vectors (B, 1280)."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net.extract_features(x).mean((2, 3))


def sentence_transformer(minilm, folder):
    """Writes the folder that sentence-transformers and infinity read."""
    os.makedirs(os.path.join(folder, "1_Pooling"))
    for name in ["model.safetensors", "vocab.txt", "tokenizer.json"]:
        shutil.copy(os.path.join(minilm, name), folder)

    def write(name, content):
        with open(os.path.join(folder, name), "w") as f:
            json.dump(content, f)

    write("config.json", {"architectures": ["BertModel"], "model_type": "bert", **CONFIG})
    write("tokenizer_config.json", {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": MAX_TOKENS})
    write("sentence_bert_config.json", {"max_seq_length": MAX_TOKENS, "do_lower_case": False})
    write("1_Pooling/config.json", {"word_embedding_dimension": 384, "pooling_mode_mean_tokens": True})
    parts = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    write("modules.json", [{"idx": i, "name": str(i), "path": p, "type": "sentence_transformers.models." + t} for i, (p, t) in enumerate(parts)])
    os.makedirs(os.path.join(folder, "2_Normalize"))


def bert(minilm, attention):
    model = BertModel(BertConfig(**CONFIG), add_pooling_layer=False)
    model.set_attn_implementation(attention)
    weights = load_file(os.path.join(minilm, "model.safetensors"))
    missing, _ = model.load_state_dict(weights, strict=False)
    assert not missing, missing
    return Sentence(model.eval()).eval()


def text(minilm, calibration, out):
    with open(os.path.join(calibration, "texts.json")) as f:
        texts = json.load(f)
    tokenizer = Tokenizer.from_file(os.path.join(minilm, "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)

    def inputs(row):
        return {"input_ids": np.array([row.ids], dtype=np.int64), "attention_mask": np.array([row.attention_mask], dtype=np.int64)}

    rows = [inputs(row) for row in tokenizer.encode_batch(texts)]
    example = tuple(torch.from_numpy(np.repeat(a, 2, 0)) for a in rows[0].values())
    names, axes = ["input_ids", "attention_mask"], {0: "batch", 1: "tokens"}

    plain = os.path.join(out, "plain.onnx")
    with torch.no_grad():
        torch.onnx.export(
            bert(minilm, "eager"), example, plain, input_names=names, output_names=["vector"], opset_version=17,
            dynamic_axes={"input_ids": axes, "attention_mask": axes, "vector": {0: "batch"}}, dynamo=False,
        )
    fused = optimizer.optimize_model(plain, model_type="bert", num_heads=12, hidden_size=384)
    print("fused:", fused.get_fused_operator_statistics())
    fused.save_model_to_file(os.path.join(out, "minilm.onnx"))
    os.remove(plain)
    quantization.quantize_dynamic(
        os.path.join(out, "minilm.onnx"), os.path.join(out, "minilm-int8.onnx"), per_channel=True, weight_type=quantization.QuantType.QInt8,
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )

    with torch.no_grad():
        model = openvino.convert_model(bert(minilm, "sdpa"), example_input=dict(zip(names, example)), input=[("input_ids", [-1, -1]), ("attention_mask", [-1, -1])])
    openvino.save_model(model, os.path.join(out, "minilm.xml"), compress_to_fp16=False)
    quantised = nncf.quantize(model, nncf.Dataset(rows), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(rows))
    openvino.save_model(quantised, os.path.join(out, "minilm-int8.xml"), compress_to_fp16=False)


def hugot(minilm, folder):
    """Writes the folder that hugot reads. Its Go form knows no operator for the normalisation of layers, which opset 14 lacks too."""
    os.makedirs(folder)
    for name in ["config.json", "tokenizer_config.json"]:
        shutil.copy(os.path.join(minilm, name), folder)
    tokenizer = Tokenizer.from_file(os.path.join(minilm, "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)  # the published file says 128, by which no other contender goes
    tokenizer.save(os.path.join(folder, "tokenizer.json"))
    names, axes = ["input_ids", "attention_mask", "token_type_ids"], {0: "batch", 1: "tokens"}
    ids = torch.ones(2, 8, dtype=torch.int64)
    with torch.no_grad():
        torch.onnx.export(
            Tokens(bert(minilm, "eager").bert).eval(), (ids, ids, 0 * ids), os.path.join(folder, "model.onnx"), input_names=names,
            output_names=["last_hidden_state"], opset_version=14, dynamic_axes={name: axes for name in [*names, "last_hidden_state"]}, dynamo=False,
        )


class Pictures(quantization.CalibrationDataReader):
    def __init__(self, pictures):
        self.left = iter(pictures)

    def get_next(self):
        x = next(self.left, None)
        return None if x is None else {"x": x[None]}


def image(weights, calibration, out):
    from efficientnet_lite_pytorch import EfficientNet

    shutil.copy(weights, os.path.join(out, "lite0.pth"))
    net = EfficientNet.from_name("efficientnet-lite0")
    net.load_state_dict(torch.load(weights, map_location="cpu"))
    net = Picture(net.eval()).eval()
    pictures = np.fromfile(os.path.join(calibration, "pictures.f32"), dtype=np.float32).reshape(-1, 3, 224, 224)
    example = torch.from_numpy(pictures[:2])
    path = os.path.join(out, "lite0.onnx")
    with torch.no_grad():
        torch.onnx.export(
            net, (example,), path, input_names=["x"], output_names=["vector"], opset_version=17,
            dynamic_axes={"x": {0: "batch"}, "vector": {0: "batch"}}, dynamo=False,
        )
    quantization.shape_inference.quant_pre_process(path, os.path.join(out, "pre.onnx"))
    quantization.quantize_static(
        os.path.join(out, "pre.onnx"), os.path.join(out, "lite0-int8.onnx"), Pictures(pictures), per_channel=True,
        quant_format=quantization.QuantFormat.QDQ, activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8,
    )
    os.remove(os.path.join(out, "pre.onnx"))
    model = openvino.convert_model(path)
    openvino.save_model(model, os.path.join(out, "lite0.xml"), compress_to_fp16=False)
    quantised = nncf.quantize(model, nncf.Dataset([x[None] for x in pictures]), subset_size=len(pictures))
    openvino.save_model(quantised, os.path.join(out, "lite0-int8.xml"), compress_to_fp16=False)


def main(minilm, lite0, calibration, out):
    sentence_transformer(minilm, os.path.join(out, "minilm"))
    hugot(os.path.join(out, "minilm"), os.path.join(out, "hugot"))
    text(minilm, calibration, out)
    image(lite0, calibration, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
