// The C face of the kernels for pictures in 8 bits, which need AVX-512 and VNNI. A picture is (rows, columns, channels), its
// channels padded with zeros to a multiple of 16, each byte a channel's own share of a range. Behind what a product reads lie
// CONSILIUM_SLACK bytes more, whatever is in them.
#pragma once

#include "image.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CONSILIUM_SLACK = 1 << 16 };

// consilium_point8 is a convolution of one pixel: a result is the sum of bytes times weights, times scale, plus bias.
typedef struct {
  int in, out;          // padded to multiples of 16
  int blocks;           // of 64 inputs
  int vectors;          // of 16 outputs in a panel, 1 to 4
  const int8_t *panels; // (panels, blocks 16, vectors 16, 4), zeros beyond in and out
  const float *scale;   // (panels vectors 16), as is the next
  const float *bias;
} consilium_point8;

// consilium_depth8 filters each channel. Bytes of four rows lie side by side in 32 bits; a step over the picture computes
// several rows of the result of the same four or eight rows, each by weights of its own that begin with zeros.
typedef struct {
  int channels, kernel, stride; // as for consilium_depth
  const int8_t *weight;         // (channels / 16, rows of a step, fours of rows, kernel columns, 16, 4)
  const float *scale;           // (channels), as is the next
  const float *bias;
} consilium_depth8;

// As consilium_widen, but bytes: between point and depth the result is rounded to 0..255, and so is y.
void consilium_widen8(consilium_team *, const consilium_point8 *, const consilium_depth8 *, const uint8_t *x, int images, int side, uint8_t *y);

// As consilium_stem, but what point gives is rounded to 0..255, and so is y.
void consilium_stem8(consilium_team *, const consilium_point *, const consilium_depth8 *, const float *x, int images, int side, uint8_t *y);

// Values f(point(x (rows, in))): as floats to y (rows, out), unless it is NULL, and times share plus zero, (out) each, rounded to
// 0..255, to bytes (rows, out), unless that is NULL.
void consilium_narrow8(consilium_team *, const consilium_point8 *, const uint8_t *x, int rows, int f, const float *residual, float *y,
                       const float *share, const float *zero, uint8_t *bytes);

#ifdef __cplusplus
}
#endif
