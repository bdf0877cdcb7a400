// The loops over pixels, written once for every instruction set: each .cpp file that includes this sets its own first.
#include "simd.h"

#include <string.h>

#pragma GCC optimize("fp-contract=off") // the same sums as Go's, to the bit

namespace {

typedef double doubles __attribute__((vector_size(64)));
typedef float floats __attribute__((vector_size(64)));
typedef int32_t ints __attribute__((vector_size(64)));
typedef int16_t shorts __attribute__((vector_size(32)));
typedef uint8_t bytes16 __attribute__((vector_size(16)));

#define INLINE static inline __attribute__((always_inline))

// column is one sum, in the same order as the vectors have it.
INLINE uint8_t column(const uint8_t *x, int64_t stride, const double *weights, int taps, double scale) {
  double sum = 0;
  for (int i = 0; i < taps; i++)
    sum += x[i * stride] * weights[i];
  sum = sum * scale + 0.5;
  return sum < 0 ? 0 : sum > 255 ? 255 : uint8_t(sum);
}

enum { together = 4 }; // vectors of sums

// Conversions of eight pixels, which the compiler takes apart.
INLINE doubles read8(const uint8_t *x) {
#ifdef MEDIA_AVX512
  return _mm512_cvtepi32_pd(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(x))));
#else
  doubles v;
  for (int i = 0; i < 8; i++)
    v[i] = x[i];
  return v;
#endif
}

INLINE void write8(uint8_t *y, doubles v) {
#ifdef MEDIA_AVX512
  _mm_storel_epi64(reinterpret_cast<__m128i *>(y), _mm256_cvtepi32_epi8(_mm512_cvttpd_epi32(v)));
#else
  for (int i = 0; i < 8; i++)
    y[i] = uint8_t(v[i]);
#endif
}

INLINE void columns(const uint8_t *x, int64_t stride, int n, const double *weights, int taps, double scale, uint8_t *y) {
  int j = 0;
  for (; j + 8 * together <= n; j += 8 * together) {
    doubles sums[together] = {};
    for (int i = 0; i < taps; i++)
#pragma GCC unroll 4
      for (int v = 0; v < together; v++)
        sums[v] += read8(x + i * stride + j + 8 * v) * weights[i];
#pragma GCC unroll 4
    for (int v = 0; v < together; v++) {
      doubles sum = sums[v] * scale + 0.5;
      sum = sum < 0 ? doubles{} : sum > 255 ? doubles{} + 255 : sum;
      write8(y + j + 8 * v, sum);
    }
  }
  for (; j < n; j++)
    y[j] = column(x + j, stride, weights, taps, scale);
}

// turn transposes 8 x 8 bytes.
INLINE void turn(uint64_t a[8]) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    uint64_t t = (a[i] >> 32 ^ a[i + 4]) & 0xffffffff;
    a[i] ^= t << 32, a[i + 4] ^= t;
  }
#pragma GCC unroll 4
  for (int k = 0; k < 4; k++) {
    int i = k / 2 * 4 + k % 2;
    uint64_t t = (a[i] >> 16 ^ a[i + 2]) & 0x0000ffff0000ffff;
    a[i + 2] ^= t, a[i] ^= t << 16;
  }
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    uint64_t t = (a[i] >> 8 ^ a[i + 1]) & 0x00ff00ff00ff00ff;
    a[i + 1] ^= t, a[i] ^= t << 8;
  }
}

// line is the transform of eight values, each with a vector of its own: half of the sum of c(u) x(u) cos((2 i + 1) u pi / 16).
INLINE void line(floats *x, int step) {
  const float c1 = 0.490392640f, c2 = 0.461939766f, c3 = 0.415734806f, c4 = 0.353553391f, c5 = 0.277785117f, c6 = 0.191341716f,
              c7 = 0.097545161f;
  floats x0 = x[0], x1 = x[step], x2 = x[2 * step], x3 = x[3 * step], x4 = x[4 * step], x5 = x[5 * step], x6 = x[6 * step], x7 = x[7 * step];
  floats p = (x0 + x4) * c4, q = (x0 - x4) * c4, s = x2 * c2 + x6 * c6, t = x2 * c6 - x6 * c2;
  floats e0 = p + s, e3 = p - s, e1 = q + t, e2 = q - t;
  floats o0 = x1 * c1 + x3 * c3 + x5 * c5 + x7 * c7, o1 = x1 * c3 - x3 * c7 - x5 * c1 - x7 * c5;
  floats o2 = x1 * c5 - x3 * c1 + x5 * c7 + x7 * c3, o3 = x1 * c7 - x3 * c5 + x5 * c3 - x7 * c1;
  x[0] = e0 + o0, x[7 * step] = e0 - o0, x[step] = e1 + o1, x[6 * step] = e1 - o1;
  x[2 * step] = e2 + o2, x[5 * step] = e2 - o2, x[3 * step] = e3 + o3, x[4 * step] = e3 - o3;
}

void blocks(const int16_t *coefficients, const float *scale, int n, uint8_t *y, int64_t stride) {
  floats x[64];
  for (int i = 0; i < 64; i++) {
    shorts s;
    memcpy(&s, coefficients + 16 * i, sizeof s);
    x[i] = __builtin_convertvector(__builtin_convertvector(s, ints), floats) * scale[i];
  }
  for (int i = 0; i < 8; i++)
    line(x + i, 8);
  for (int r = 0; r < 8; r++) {
    line(x + 8 * r, 1);
    uint64_t half[2][8];
    for (int i = 0; i < 8; i++) {
      floats v = x[8 * r + i] + 128.5f;
      v = v < 0 ? floats{} : v > 255 ? floats{} + 255 : v;
      bytes16 b = __builtin_convertvector(__builtin_convertvector(v, ints), bytes16);
      memcpy(half[0] + i, &b, 8);
      memcpy(half[1] + i, (char *)&b + 8, 8);
    }
    turn(half[0]);
    turn(half[1]);
    memcpy(y + r * stride, half, 8 * n);
  }
}

void lines(const uint8_t *x, int64_t stride, int n, const media_taps *taps, uint8_t *y) {
  for (int i = 0; i < taps->lines; i++)
    columns(x + taps->begin[i] * stride, stride, n, taps->weights + taps->first[i], taps->first[i + 1] - taps->first[i], taps->scale[i],
            y + int64_t(i) * n);
}

} // namespace
