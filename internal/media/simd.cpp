// The loops on any processor, and the choice between them.
#include "simd_body.h"

namespace {

bool wide() {
#ifdef __x86_64__
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

} // namespace

void media_lines(const uint8_t *x, int64_t stride, int n, const media_taps *taps, uint8_t *y) {
  wide() ? media_wide_lines(x, stride, n, taps, y) : lines(x, stride, n, taps, y);
}

void media_blocks(const int16_t *coefficients, const float *scale, int n, uint8_t *y, int64_t stride) {
  wide() ? media_wide_blocks(coefficients, scale, n, y, stride) : blocks(coefficients, scale, n, y, stride);
}

void media_transpose(const uint8_t *x, int64_t stride, int rows, int columns, uint8_t *y, int64_t height) {
  int r = 0;
  for (; r + 8 <= rows; r += 8) {
    int c = 0;
    for (; c + 8 <= columns; c += 8) {
      uint64_t a[8];
      for (int i = 0; i < 8; i++)
        memcpy(a + i, x + (r + i) * stride + c, 8);
      turn(a);
      for (int i = 0; i < 8; i++)
        memcpy(y + (c + i) * height + r, a + i, 8);
    }
    for (; c < columns; c++)
      for (int i = 0; i < 8; i++)
        y[c * height + r + i] = x[(r + i) * stride + c];
  }
  for (; r < rows; r++)
    for (int c = 0; c < columns; c++)
      y[c * height + r] = x[r * stride + c];
}

