"""Writes one small picture of each variety, and references.rgb: what each has to decode to, in the order of the names.

    pip install pillow==13.0.0 numpy==1.26.4
    python make_images.py

A reference is (24, 40, 3) bytes. It is Pillow's own decoding where a picture is stored with loss, and otherwise follows
from the values that were stored: transparency over black; 16-bit grey by its range of bits; 16-bit colour by its upper 8.
"""
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image

W, H = 40, 24
here = pathlib.Path(__file__).parent
y, x = np.meshgrid(np.arange(H), np.arange(W), indexing="ij")
rgb = np.stack([x * 255 // (W - 1), y * 255 // (H - 1), (x * y) % 256 // 2 + 40], axis=2).astype(np.uint8)
smooth = np.stack([x * 5 + 20, y * 8 + 30, 200 - x * 2 - y * 3], axis=2).astype(np.uint8)
grey = ((x * 6 + y * 5) % 256).astype(np.uint8)
alpha = ((x * 9) % 256).astype(np.uint8)
references = {}


def triple(values):
    return np.repeat(values.astype(np.uint8)[:, :, None], 3, axis=2)


def over_black(color, alpha):
    return np.round(color.astype(float) * alpha[:, :, None] / 255).astype(np.uint8)


def save(name, image, reference=None, **options):
    image.save(here / name, **options)
    references[name] = np.asarray(Image.open(here / name).convert("RGB")) if reference is None else reference


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def write_png(name, depth, model, interlace, rows, reference):
    """Writes a PNG that Pillow cannot; rows are the bytes of each line, without the filter byte."""
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    header = struct.pack(">IIBBBBB", W, H, depth, model, 0, 0, interlace)
    (here / name).write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    references[name] = reference


picture = Image.fromarray(smooth)
save("baseline-444.jpg", picture, quality=95, subsampling=0)
save("baseline-420.jpg", picture, quality=95, subsampling=2)
save("progressive-420.jpg", picture, quality=95, subsampling=2, progressive=True)
save("rgb.jpg", picture, quality=95, keep_rgb=True)
save("grey.jpg", Image.fromarray((x * 3 + y * 4).astype(np.uint8)), quality=95)
cmyk = Image.merge("CMYK", [Image.fromarray(p) for p in (smooth[:, :, 0], smooth[:, :, 1], smooth[:, :, 2], (x + y).astype(np.uint8))])
save("cmyk.jpg", cmyk, quality=95)
save("rgb.png", Image.fromarray(rgb), rgb)
save("rgba.png", Image.fromarray(np.dstack([rgb, alpha])), over_black(rgb, alpha))
save("opaque-rgba.png", Image.fromarray(np.dstack([rgb, alpha * 0 + 255])), rgb)
save("grey-alpha.png", Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)]), over_black(triple(grey), alpha))
palette = Image.fromarray(rgb).quantize(200)
save("palette-8.png", palette)
save("palette-4.png", Image.fromarray(rgb).quantize(16), bits=4)
see_through = bytes(i * 255 // 199 for i in range(200))
colors = np.asarray(palette.convert("RGB"))
save("palette-alpha.png", palette, over_black(colors, np.frombuffer(see_through, np.uint8)[np.asarray(palette)]), transparency=see_through)
save("grey-1.png", Image.fromarray(grey > 128), triple((grey > 128) * 255))
save("grey-8.png", Image.fromarray(grey), triple(grey))
for name, values, full in [
    ("grey-16.png", (x * W * 40 + y * 97) * 65535 // ((W - 1) * W * 40 + (H - 1) * 97), 65535),
    ("grey-12-in-16.png", (x * 100 + y * 8) % 4096, 4095),
    ("grey-8-in-16.png", grey.astype(int), 255),
]:
    wide = values.astype(">u2")
    write_png(name, 16, 0, 0, [row.tobytes() for row in wide], triple((values * 255 + full // 2) // full))
deep = rgb.astype(np.uint16) * 256 + 77
write_png("rgb-16.png", 16, 2, 0, [row.tobytes() for row in deep.astype(">u2")], rgb)
passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]  # Adam7
write_png("interlaced.png", 8, 2, 1, [row.tobytes() for r, c, dr, dc in passes for row in rgb[r::dr, c::dc]], rgb)

(here / "references.rgb").write_bytes(b"".join(references[name].tobytes() for name in sorted(references)))
print(len(references), "pictures")

# Restart markers, of which Go's encoder writes none.
v, u = np.meshgrid(np.arange(60), np.arange(100), indexing="ij")
blocks = (u * v // 7 + (u // 9 + v // 5) % 2 * 90) % 256
Image.fromarray(blocks.astype(np.uint8)).save(here / "grey-restart.jpg", quality=60, restart_marker_blocks=5)
