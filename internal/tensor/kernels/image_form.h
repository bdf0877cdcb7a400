// What one instruction set has to offer for pictures: parts of the functions of image.h that need no other thread.
#pragma once

#include "form.h"
#include "image.h"

// A Band is a panel of channels of some rows of a picture.
struct Band {
  int first, last; // rows of the result
  int panel;
};

struct ImageForm {
  void (*widen)(const consilium_point &, const consilium_depth &, const float *x, int side, Band, float *y, float *scratch);
  void (*stem)(const consilium_point &, const consilium_depth &, const float *x, int side, Band, float *y, float *scratch);
  void (*narrow)(const consilium_point &, const float *x, int rows, int f, const float *residual, float *y, int panel);
  void (*mean)(const float *x, int cells, int dim, float *y);
};

extern const ImageForm plain_image_form, avx512_image_form;

constexpr int padded(int channels) { return panels(channels, 16) * 16; }

// Where a convolution of so many rows with that stride begins to read for row 0.
constexpr int before(int side, int kernel, int stride) {
  int total = (side / stride - 1) * stride + kernel - side;
  return total > 0 ? total / 2 : 0;
}

// The columns of a row with the zeros around it.
constexpr int wide(int side, int kernel, int stride) { return (side / stride - 1) * stride + kernel; }

// The floats that the stem needs for what it reads of one row: nine rows of the picture, each with a zero behind.
constexpr int stem_row(int side) { return 9 * (2 * side + 16); }
