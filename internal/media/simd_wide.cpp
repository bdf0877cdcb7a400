// The loops on a processor with AVX-512.
#ifdef __x86_64__
#include <immintrin.h>
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2")
#define MEDIA_AVX512
#endif

#include "simd_body.h"

void media_wide_lines(const uint8_t *x, int64_t stride, int n, const media_taps *taps, uint8_t *y) { lines(x, stride, n, taps, y); }

void media_wide_blocks(const int16_t *coefficients, const float *scale, int n, uint8_t *y, int64_t stride) {
  blocks(coefficients, scale, n, y, stride);
}
