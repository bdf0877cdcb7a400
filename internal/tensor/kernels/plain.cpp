// The kernels for any processor, and the packing of weights.
#include "form.h"

#include "body.h"

extern const Form plain_form = {multiply32, multiply8, quantise, norm, gate, add, attend, pool};

void consilium_pack32(const float *weight, int in, int out, float *packed) {
  for (int p = 0; p < panels(out, panel32); p++)
    for (int k = 0; k < in; k++)
      for (int c = 0; c < panel32; c++) {
        int column = p * panel32 + c;
        *packed++ = column < out ? weight[int64_t(column) * in + k] : 0;
      }
}

void consilium_pack8(const float *weight, int in, int out, int8_t *packed, float *scale, int32_t *sums) {
  for (int column = 0; column < panels(out, panel8) * panel8; column++) {
    const float *row = weight + int64_t(column) * in;
    float top = 0;
    for (int k = 0; k < in && column < out; k++)
      top = fmaxf(top, fabsf(row[k]));
    scale[column] = top > 0 ? top / 127 : 1;
    sums[column] = 0;
    int8_t *to = packed + int64_t(column / panel8) * panel8 * in + column % panel8 * 4;
    for (int k = 0; k < in; k++) {
      int8_t q = column < out ? int8_t(lrintf(row[k] / scale[column])) : 0;
      to[k / 4 * panel8 * 4 + k % 4] = q;
      sums[column] += q;
    }
  }
}
