"""Writes logmel.json: a sound and its log-mel spectrogram, computed with NumPy alone and vectorised, so that it shares
nothing with the Go code but the definition in logmel.go's comment.

    python make_logmel_golden.py > logmel.json      (numpy 1.26)
"""
import json

import numpy as np

RATE, WINDOW, HOP, FFT, BANDS = 8000, 200, 80, 512, 64

rng = np.random.default_rng(7)
t = np.arange(1630) / RATE
sound = 0.5 * np.sin(2 * np.pi * (200 * t + 8000 * t * t)) * np.hanning(len(t)) + 0.003 * rng.standard_normal(len(t))
sound[1400:] = 0
pcm = np.round(sound * 32767).astype(np.int16)

x = pcm / 32768.0
frames = np.lib.stride_tricks.sliding_window_view(x, WINDOW)[::HOP]
hann = np.hanning(WINDOW + 1)[:-1]
power = np.abs(np.fft.rfft(frames * hann, FFT, axis=1)) ** 2

mel = lambda f: 2595 * np.log10(1 + np.asarray(f) / 700)
edges = 700 * (10 ** (np.linspace(mel(60), mel(4000), BANDS + 2) / 2595) - 1)
bins = np.fft.rfftfreq(FFT, 1 / RATE)
rising = (bins[None] - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
falling = (edges[2:, None] - bins[None]) / (edges[2:] - edges[1:-1])[:, None]
bank = np.clip(np.minimum(rising, falling), 0, None)

decades = np.log10(np.maximum(power @ bank.T, 1e-10))
features = np.maximum(1 + 2 * (decades - decades.max()) / 6, -1)
print(json.dumps({"pcm": pcm.tolist(), "frames": len(features), "features": np.round(features.ravel(), 6).tolist()}))
