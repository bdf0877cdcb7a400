// The kernels for pictures in 8 bits, on a processor with tiles of bytes (AMX): the products in tiles, the rest by AVX-512.
#ifdef __x86_64__
#include <immintrin.h>
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,amx-tile,amx-int8")

#include "image8_form.h"

#include "image_body.h"

namespace {

struct Tiles {
  uint8_t palette = 1, start = 0, reserved[14] = {};
  uint16_t width[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

struct Products {
  Products() {
    const Tiles tiles;
    _tile_loadconfig(&tiles);
  }
  ~Products() { _tile_release(); } // else every switch of the thread saves the tiles
};

// tiles multiplies 16 R pixels by V vectors. A pixel of fewer than 64 bytes is read into the next: the weights there are zeros.
template <int R, int V> INLINE void tiles(const uint8_t *x, int64_t step, const int8_t *panel, int blocks, int wide, int32_t *c) {
  _tile_zero(0);
  if (V > 1)
    _tile_zero(1);
  if (R > 1)
    _tile_zero(2);
  if (R > 1 && V > 1)
    _tile_zero(3);
  for (int k = 0; k < blocks; k++) {
    const uint8_t *a = x + k * 64;
    const int8_t *b = panel + int64_t(k) * wide * 1024;
    _tile_loadd(4, a, step);
    _tile_loadd(6, b, wide * 64);
    _tile_dpbusd(0, 4, 6);
    if (V > 1) {
      _tile_loadd(7, b + 64, wide * 64);
      _tile_dpbusd(1, 4, 7);
    }
    if (R > 1) {
      _tile_loadd(5, a + 16 * step, step);
      _tile_dpbusd(2, 5, 6);
      if (V > 1)
        _tile_dpbusd(3, 5, 7);
    }
  }
  _tile_stored(0, c, wide * 64);
  if (V > 1)
    _tile_stored(1, c + 16, wide * 64);
  if (R > 1)
    _tile_stored(2, c + 256 * wide, wide * 64);
  if (R > 1 && V > 1)
    _tile_stored(3, c + 256 * wide + 16, wide * 64);
}

template <int R> INLINE void sums_of(const uint8_t *x, int64_t step, const int8_t *panel, int blocks, int vectors, int wide, int32_t *c) {
  int v = 0;
  for (; v + 2 <= vectors; v += 2)
    tiles<R, 2>(x, step, panel + v * 64, blocks, wide, c + v * 16);
  if (v < vectors)
    tiles<R, 1>(x, step, panel + v * 64, blocks, wide, c + v * 16);
}

void sums(const uint8_t *x, int64_t step, const int8_t *panel, int blocks, int vectors, int wide, int rows, int32_t *c) {
  if (rows > 16)
    sums_of<2>(x, step, panel, blocks, vectors, wide, c);
  else
    sums_of<1>(x, step, panel, blocks, vectors, wide, c);
}

} // namespace

#include "image8_body.h"

extern const Image8Form amx_image8_form = {widen8, stem8, narrow8};

#else

#include "image8_form.h"

extern const Image8Form amx_image8_form = {}; // no team has the level

#endif
