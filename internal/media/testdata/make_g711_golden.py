"""Writes g711.json: what each of the 256 codes of mu-law and A-law stands for, as 16-bit integers, by CPython's audioop.

    python3.11 make_g711_golden.py > g711.json
"""
import audioop
import json
import struct

codes = bytes(range(256))
print(json.dumps({law: list(struct.unpack("<256h", expand(codes, 2)))
                  for law, expand in (("mulaw", audioop.ulaw2lin), ("alaw", audioop.alaw2lin))}))
