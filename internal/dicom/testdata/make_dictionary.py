"""Writes dictionary.txt, the part of PS3.6 that the reader knows, from pydicom's copy of the standard's tables.

    pip install --no-deps --require-hashes -r requirements.txt
    python make_dictionary.py > ../dictionary.txt

One line a tag: group and element, VR, keyword. Left out are commands (0000), non-destructive testing of materials
(0014) and printing (2000 to 2040, 2100 to 2200). Everything else is kept, retired tags too: in implicit VR a sequence
whose tag is not known is a row of bytes, and what identifies a patient could not be found in it. XS stands for US or
SS (Pixel Representation says which), OX for OB or OW, XW for US or OW.
"""

from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary

AMBIGUOUS = {"US or SS": "XS", "OB or OW": "OX", "US or OW": "XW", "US or SS or OW": "XW"}
LEFT_OUT = {0x0000, 0x0014, 0x2000, 0x2010, 0x2020, 0x2030, 0x2040, 0x2100, 0x2110, 0x2120, 0x2130, 0x2200, 0xFFFE}

lines = []
for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
    if tag >> 16 not in LEFT_OUT and keyword and vr != "NONE":
        lines.append((f"{tag:08X}", AMBIGUOUS.get(vr, vr), keyword))
for mask, (vr, _, _, _, keyword) in RepeatersDictionary.items():
    if mask[:4] in ("50xx", "60xx", "7Fxx") and keyword:
        lines.append((mask.replace("xx", "00").upper(), AMBIGUOUS.get(vr, vr), keyword))
for line in sorted(lines):
    print(*line)
