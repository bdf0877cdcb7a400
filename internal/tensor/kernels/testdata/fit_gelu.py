"""Fits the polynomial of gelu() in body.h.

The normal distribution function is 1/2 + x P(s) with s = 2 x^2 / L^2 - 1. P is fitted on |x| <= L to the least largest
error by Lawson's iteratively reweighted least squares, in Chebyshev's basis, and printed as a polynomial in s, highest
power first. Needs numpy and scipy.
"""

import numpy as np
from numpy.polynomial import chebyshev
from scipy.special import erf

L, DEGREE, POINTS = 5.2, 14, 4000

s = np.cos(np.pi * (np.arange(POINTS) + 0.5) / POINTS)
x = np.sqrt((s + 1) / 2) * L
want = 0.5 * erf(x / np.sqrt(2)) / x
basis, weight = chebyshev.chebvander(s, DEGREE), np.ones(POINTS)
for _ in range(60):
    row = np.sqrt(weight) * x
    fit = np.linalg.lstsq(basis * row[:, None], want * row, rcond=None)[0]
    error = np.abs((basis @ fit - want) * x)
    weight *= error / error.max() + 1e-3
    weight /= weight.sum()

print(", ".join(f"{c:.9g}f" for c in chebyshev.cheb2poly(fit)[::-1]))
print("largest error of the distribution function", error.max())
