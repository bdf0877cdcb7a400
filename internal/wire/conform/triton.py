"""Calls one model with NVIDIA's tritonclient in every form that the protocol has.

Reads one JSON object from standard input: url (host:port), model, inputs (a list of {name, datatype, shape, data},
elements of BYTES in base64, text says whether they are UTF-8), parameters. Writes one JSON object: server, metadata
and index as the client returns them, version, and under "answers" for each form a map from output to {datatype,
shape, data}.
"""

import base64
import json
import sys

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import triton_to_np_dtype


def main():
    job = json.load(sys.stdin)
    model, parameters = job["model"], job["parameters"] or None
    client = triton.InferenceServerClient(job["url"])
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(model)
    metadata = client.get_model_metadata(model)
    version = metadata["versions"][0]
    assert client.is_model_ready(model, version)
    assert client.get_model_metadata(model, version) == metadata
    names = [output["name"] for output in metadata["outputs"]]

    def infer(binary_in, outputs, version=""):
        inputs = [tensor(spec, binary_in) for spec in job["inputs"]]
        return client.infer(model, inputs, model_version=version, outputs=outputs, request_id="r1", parameters=parameters)

    requested = {
        "binary": (True, None, ""),
        "versioned": (True, None, version),
        "json": (False, [triton.InferRequestedOutput(n, binary_data=False) for n in names], ""),
        "mixed": (False, [triton.InferRequestedOutput(n, binary_data=i % 2 == 0) for i, n in enumerate(names)], ""),
        "one": (True, [triton.InferRequestedOutput(names[0])], ""),
    }
    answers = {}
    for form, arguments in requested.items():
        result = infer(*arguments)
        response = result.get_response()
        assert response["id"] == "r1" and response["model_name"] == model and response["model_version"] == version
        answers[form] = {o["name"]: answer(result, o) for o in response["outputs"]}
    refusals = {}
    for name, call in {
        "no such model": lambda: client.get_model_metadata("nonesuch"),
        "no such version": lambda: client.get_model_metadata(model, "nonesuch"),
        "no inputs": lambda: client.infer(model, []),
    }.items():
        try:
            call()
            refusals[name] = "accepted"
        except triton.InferenceServerException as refusal:
            refusals[name] = "%s: %s" % (refusal.status(), refusal.message())
    json.dump({
        "server": client.get_server_metadata(), "metadata": metadata, "index": client.get_model_repository_index(),
        "answers": answers, "refusals": refusals,
    }, sys.stdout)


def tensor(spec, binary):
    t = triton.InferInput(spec["name"], spec["shape"], spec["datatype"])
    data = spec["data"]
    if spec["datatype"] == "BYTES":
        # JSON carries text as it is and any other bytes in base64.
        decode = binary or spec["text"]
        data = [base64.b64decode(v) if decode else v.encode() for v in data]
        array = np.array(data, dtype=np.object_).reshape(spec["shape"])
    else:
        array = np.array(data, dtype=triton_to_np_dtype(spec["datatype"])).reshape(spec["shape"])
    t.set_data_from_numpy(array, binary_data=binary)
    return t


def answer(result, output):
    array = result.as_numpy(output["name"])
    values = array.reshape(-1).tolist()
    if output["datatype"] == "BYTES":
        values = [v if isinstance(v, str) else v.decode() for v in values]
    return {"datatype": output["datatype"], "shape": list(array.shape), "data": values}


main()
