// The kernels for any processor, and the packing of weights.
#include "form.h"

#include "body.h"
#include "read_body.h"

extern const Form plain_form = {multiply32, multiply8, quantise, norm, gate, look, add, attend, attend, pool, read};

void consilium_pack32(const float *weight, int in, int out, float *packed) {
  for (int p = 0; p < panels(out, panel32); p++)
    for (int k = 0; k < in; k++)
      for (int c = 0; c < panel32; c++) {
        int column = p * panel32 + c;
        *packed++ = column < out ? weight[int64_t(column) * in + k] : 0;
      }
}

void consilium_pack8(const float *weight, int in, int out, int8_t *packed, float *scale, int32_t *sums, float *row) {
  for (int column = 0; column < panels(out, panel8) * panel8; column++) {
    float top = 0;
    for (int k = 0; k < in; k += turned) {
      vec v[turned / lanes] = {};
      for (int j = 0; j < turned / lanes && column < out; j++)
        v[j] = load(weight + int64_t(column) * in + k + j * lanes);
      turn(v);
      for (int j = 0; j < turned / lanes; j++)
        store(row + k + j * lanes, v[j]);
    }
    for (int k = 0; k < in; k++)
      top = fmaxf(top, fabsf(row[k]));
    float each = top > 0 ? top / 127 : 1;
    scale[column] = each / turned; // Hadamard's matrix times itself is the identity times its size
    sums[column] = 0;
    int8_t *to = packed + int64_t(column / panel8) * panel8 * in + column % panel8 * 4;
    for (int k = 0; k < in; k++) {
      int8_t q = int8_t(lrintf(row[k] / each));
      to[k / 4 * panel8 * 4 + k % 4] = q;
      sums[column] += q;
    }
  }
}
