// The kernels for pictures in 8 bits, on a processor with AVX-512 and VNNI.
#ifdef __x86_64__
#include <immintrin.h>
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")

#include "image8_form.h"

#include "image_body.h"

namespace {

struct Products {
  ~Products() {} // so that one that is not used is no mistake
};

template <int V> INLINE void sums_of(const uint8_t *x, int64_t step, const int8_t *panel, int wide, int rows, int32_t *c) {
  constexpr int R = 4;
  for (int row = 0; row < rows; row += R) {
    __m512i sum[R][V] = {};
    for (int k = 0; k < step; k += 4) {
      __m512i w[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; v++)
        w[v] = _mm512_loadu_si512(panel + (int64_t(k) * wide + 4 * v) * 16);
#pragma GCC unroll 4
      for (int r = 0; r < R; r++) {
        int32_t four;
        memcpy(&four, x + (row + r) * step + k, 4);
#pragma GCC unroll 4
        for (int v = 0; v < V; v++)
          sum[r][v] = _mm512_dpbusd_epi32(sum[r][v], _mm512_set1_epi32(four), w[v]);
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; r++)
#pragma GCC unroll 4
      for (int v = 0; v < V; v++)
        _mm512_storeu_si512(c + ((row + r) * wide + v) * 16, sum[r][v]);
  }
}

void sums(const uint8_t *x, int64_t step, const int8_t *panel, int, int vectors, int wide, int rows, int32_t *c) {
  switch (vectors) {
  case 1: return sums_of<1>(x, step, panel, wide, rows, c);
  case 2: return sums_of<2>(x, step, panel, wide, rows, c);
  case 3: return sums_of<3>(x, step, panel, wide, rows, c);
  case 4: return sums_of<4>(x, step, panel, wide, rows, c);
  }
}

} // namespace

#include "image8_body.h"

extern const Image8Form avx512_image8_form = {widen8, stem8, narrow8};

#else

#include "image8_form.h"

extern const Image8Form avx512_image8_form = {}; // no team has the level

#endif
