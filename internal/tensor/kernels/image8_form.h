// What one instruction set has to offer for pictures in 8 bits: parts of the functions of image8.h that need no other thread.
#pragma once

#include "image8.h"
#include "image_form.h"

// Narrowed is where results of narrow go.
struct Narrowed {
  const float *residual;
  float *y;
  const float *share, *zero;
  uint8_t *bytes;
};

struct Image8Form {
  void (*widen)(const consilium_point8 &, const consilium_depth8 &, const uint8_t *x, int side, Band, uint8_t *y, uint8_t *scratch);
  void (*stem)(const consilium_point &, const consilium_depth8 &, const float *x, int side, Band, uint8_t *y, uint8_t *scratch);
  // scratch is that of sums8.
  void (*narrow)(const consilium_point8 &, const uint8_t *x, int first, int last, int f, const Narrowed &, int panel, uint8_t *scratch);
};

extern const Image8Form avx512_image8_form, amx_image8_form;

// How many pixels a product takes together, and the bytes of its sums.
constexpr int together8 = 32;
constexpr int64_t sums8 = together8 * 4 * 64;

// How many rows of the result one step of a filter computes, and of how many fours of rows.
constexpr int step_rows(int kernel, int stride) { return kernel == 3 ? (stride == 1 ? 2 : 1) : (stride == 1 ? 4 : 2); }
constexpr int fours(int kernel) { return kernel == 3 ? 1 : 2; }

// The scratch memory of widen and stem for so many rows that are read: sums, rows of bytes, fours of rows.
constexpr int64_t rows8(int rows, int side) { return (int64_t(rows) * side + together8) * 64; }
constexpr int64_t band8(int rows, int side, int kernel, int stride) {
  return sums8 + rows8(rows, side) + int64_t(2) * wide(side, kernel, stride) * 4 * 64;
}
