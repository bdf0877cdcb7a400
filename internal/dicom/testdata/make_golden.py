"""Writes golden.json: what pydicom reads from the sample files, as digests.

    pip install --no-deps --require-hashes -r requirements.txt   (and numpy, pillow)
    python make_golden.py $CONSILIUM_DATA/dicom > golden.json

elements: of every element, nested ones included, one line "depth tag VR value"; the digest is SHA-256 of the lines.
Numbers are written as little-endian float64, bytes by their length alone, since pydicom leaves big endian as it is.
frames: of each frame the digest of its stored values as little-endian int32, samples side by side.
rendered: of a frame of grey the digest of the 8-bit picture by PS3.3 section C.11.2.1.2.1, from pydicom's stored values.
means: of a JPEG frame, the mean of each component, since decoders round differently.
"""

import hashlib
import json
import pathlib
import struct
import sys
import warnings

import numpy as np
import pydicom
from pydicom.multival import MultiValue
from pydicom.pixels import apply_modality_lut, pixel_array

warnings.simplefilter("ignore")
TEXT = "AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT".split()


def text(value):
    original = getattr(value, "original_string", None) or getattr(value, "original", None)
    return str(original if isinstance(original, str) else value).strip(" \0")


def lines(ds, depth=0):
    for e in ds:
        if e.tag.element == 0:
            continue
        values = e.value if isinstance(e.value, (MultiValue, list)) else [] if e.value is None or e.value == "" else [e.value]
        head = f"{depth} {e.tag.group:04X}{e.tag.element:04X} {e.VR[:2]}"
        if e.VR == "SQ":
            yield head
            for item in e.value:
                yield from lines(item, depth + 1)
        elif e.tag == 0x00080005:
            yield head  # the reader says what the text is in memory
        elif e.VR in TEXT:
            yield head + " " + "\\".join(text(v) for v in values)
        elif e.VR.startswith("O") or e.VR == "UN":
            yield head + (" encapsulated" if e.tag == 0x7FE00010 and e.is_undefined_length else f" {len(e.value or b'')}")
        else:
            yield head + " " + b"".join(struct.pack("<d", float(v)) for v in values).hex()


def sha(b):
    return hashlib.sha256(b).hexdigest()


golden = []
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.dcm")):
    ds = pydicom.dcmread(path, force=True)
    entry = {"file": path.name, "elements": sha("\n".join(lines(ds)).encode())}
    try:
        a = pixel_array(ds, raw=True)
    except Exception as e:
        entry["no_pixels"] = type(e).__name__
        golden.append(entry)
        continue
    if ds.get("NumberOfFrames", 1) == 1:
        a = a[None]
    entry["shape"] = list(a.shape)
    if ds.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.50":
        entry["means"] = [round(float(v), 4) for v in a.reshape(-1, a.shape[-1]).mean(0)]
    else:
        entry["frames"] = [sha(np.ascontiguousarray(f).astype("<i4").tobytes()) for f in a]
    if ds.PhotometricInterpretation.startswith("MONOCHROME") and "WindowWidth" in ds and "frames" in entry:
        x = np.asarray(apply_modality_lut(a[0], ds), dtype=np.float64)
        c, w = float(ds.WindowCenter), float(ds.WindowWidth)
        y = np.clip((x - (c - 0.5)) / (w - 1) + 0.5, 0, 1)
        if ds.PhotometricInterpretation == "MONOCHROME1":
            y = 1 - y
        entry["rendered"] = sha((y * 255 + 0.5).astype(np.uint8).tobytes())
    golden.append(entry)
print("[\n" + ",\n".join(json.dumps(entry) for entry in golden) + "\n]")
