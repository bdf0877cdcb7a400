// The C face of the kernels for pictures. A picture is (rows, columns, channels), its channels padded with zeros to a
// multiple of 16. Every side is a multiple of 7 columns. As in kernels.h, the Go side checks every size.
#pragma once

#include "kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

// What follows x W + b; the residual is as for CONSILIUM_ADD.
enum { CONSILIUM_POINT_KEEP, CONSILIUM_POINT_ADD, CONSILIUM_POINT_CLIP }; // CLIP: to 0..6

// consilium_point is a convolution of one pixel: the weight (out, in) in panels of 48 columns but for the last, which is as
// wide as what is left: (panels, in, width). in and out are without the padding of the pictures.
typedef struct {
  int in, out;
  const float *panels;
  const float *bias; // (out, padded)
} consilium_point;

// consilium_depth filters each channel, of which there is a multiple of 16, and clips to 0..6. Rows and columns beyond
// the picture are zeros, as TensorFlow's "same" padding has it: where their number is odd the greater half lies behind.
typedef struct {
  int channels, kernel, stride; // kernel 3 or 5, stride 1 or 2
  const float *weight;          // (kernel kernel, channels)
  const float *bias;            // (channels)
} consilium_depth;

void consilium_pack_point(const float *weight, int in, int out, float *panels);

// y (images, side / stride, side / stride, channels) = depth(clip(point(x))), of x (images, side, side, in).
void consilium_widen(consilium_team *, const consilium_point *, const consilium_depth *, const float *x, int images, int side, float *y);

// The same with the net's first convolution, 3 x 3 of stride 2, before depth: x is (images, 3, 2 side, 2 side), and point is
// of 27 inputs, colour by colour and row by row.
void consilium_stem(consilium_team *, const consilium_point *, const consilium_depth *, const float *x, int images, int side, float *y);

// y (rows, out) = f(point(x (rows, in))), rows a multiple of 7.
void consilium_narrow(consilium_team *, const consilium_point *, const float *x, int rows, int f, const float *residual, float *y);

// y (images, dim) = the mean over the cells of x (images, cells, dim).
void consilium_mean(consilium_team *, const float *x, int images, int cells, int dim, float *y);

#ifdef __cplusplus
}
#endif
