// The kernels for a processor with tiles (AMX): the product of bytes and the rounded attention in tiles, the rest by AVX-512.
#ifdef __x86_64__
#include <immintrin.h>
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,avx2,fma,amx-tile,amx-int8,amx-bf16")
#define CONSILIUM_VNNI // g++ 12 defines no __AVX512VNNI__ after the line above
#endif

#include "form.h"

#include "body.h"
#include "read_body.h"

#ifdef __x86_64__

namespace {

struct Tiles {
  uint8_t palette = 1, start = 0, reserved[14] = {};
  uint16_t width[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// write makes the result of one tile of sums.
INLINE void write(const int32_t *c, const consilium_linear8 &w, const consilium_rows8 &x, int rows, int f, const float *residual, float *y,
                  int row, int column) {
  for (int r = 0; r < 16 && row + r < rows; r++)
    finish(unscale(loadi(c + r * 16), w, x, row + r, column), w.bias, f, residual, y, int64_t(row + r) * w.out, column);
}

// tiles32 computes 32 rows of 32 columns.
void tiles32(const consilium_linear8 &w, const consilium_rows8 &x, const int8_t *b, int rows, int f, const float *residual, float *y, int row,
             int column, int32_t *c) {
  const uint8_t *a = x.bytes + int64_t(row) * w.in;
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int k = 0; k < w.in; k += 64) {
    _tile_loadd(4, a + k, w.in);
    _tile_loadd(6, b + k * panel8, 4 * panel8);
    _tile_loadd(7, b + k * panel8 + 64, 4 * panel8);
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
    _tile_loadd(5, a + int64_t(16) * w.in + k, w.in);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
  }
  _tile_stored(0, c, 64);
  _tile_stored(1, c + 256, 64);
  _tile_stored(2, c + 512, 64);
  _tile_stored(3, c + 768, 64);
  for (int i = 0; i < 4; i++)
    write(c + i * 256, w, x, rows, f, residual, y, row + i / 2 * 16, column + i % 2 * 16);
}

// tiles16 computes 16 rows of 64 columns.
void tiles16(const consilium_linear8 &w, const consilium_rows8 &x, const int8_t *b, int rows, int f, const float *residual, float *y, int row,
             int column, int32_t *c) {
  const uint8_t *a = x.bytes + int64_t(row) * w.in;
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int k = 0; k < w.in; k += 64) {
    _tile_loadd(4, a + k, w.in);
    _tile_loadd(5, b + k * panel8, 4 * panel8);
    _tile_dpbusd(0, 4, 5);
    _tile_loadd(6, b + k * panel8 + 64, 4 * panel8);
    _tile_dpbusd(1, 4, 6);
    _tile_loadd(5, b + k * panel8 + 128, 4 * panel8);
    _tile_dpbusd(2, 4, 5);
    _tile_loadd(6, b + k * panel8 + 192, 4 * panel8);
    _tile_dpbusd(3, 4, 6);
  }
  _tile_stored(0, c, 64);
  _tile_stored(1, c + 256, 64);
  _tile_stored(2, c + 512, 64);
  _tile_stored(3, c + 768, 64);
  for (int i = 0; i < 4 && column + i * 16 < w.out; i++)
    write(c + i * 256, w, x, rows, f, residual, y, row, column + i * 16);
}

void multiply_tiles(const consilium_linear8 &w, const consilium_rows8 &x, int rows, int f, const float *residual, float *y, int number,
                    void *scratch) {
  const Tiles tiles;
  _tile_loadconfig(&tiles);
  const int8_t *panel = w.panels + int64_t(number) * w.in * panel8;
  int32_t *c = static_cast<int32_t *>(scratch);
  int row = 0, column = number * panel8;
  for (; row + 16 < rows; row += 32) {
    tiles32(w, x, panel, rows, f, residual, y, row, column, c);
    if (column + 32 < w.out)
      tiles32(w, x, panel + 128, rows, f, residual, y, row, column + 32, c);
  }
  if (row < rows)
    tiles16(w, x, panel, rows, f, residual, y, row, column, c);
  _tile_release(); // else every switch of the thread saves the tiles
}

// halves are 16 pairs of bfloat16.
INLINE ivec halves(vec even, vec odd) {
  __m512i low = _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(reinterpret_cast<__m512>(even))));
  __m512i high = _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(reinterpret_cast<__m512>(odd))));
  return reinterpret_cast<ivec>(_mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}

// row16 rounds 32 neighbouring values to bfloat16.
INLINE ivec row16(vec first, vec second) {
  return reinterpret_cast<ivec>(_mm512_cvtne2ps_pbh(reinterpret_cast<__m512>(second), reinterpret_cast<__m512>(first)));
}

// power is 2^x to 4e-5 of the value, ten times what bfloat16 keeps; the smallest normal number below -126.
INLINE vec power(vec x) {
  x = larger(x, all(-126));
  vec round = x + 12582912.0f; // 1.5 2^23: the sum has no digits behind the point
  vec f = x - (round - 12582912.0f);
  vec p = f * 9.61812911e-3f + 5.55041087e-2f; // Taylor's series
  p = p * f + 2.40226507e-1f;
  p = p * f + 6.93147181e-1f;
  p = p * f + 1.0f;
  return reinterpret_cast<vec>(reinterpret_cast<ivec>(p) + (reinterpret_cast<ivec>(round) << 23));
}

INLINE void storei(int32_t *p, ivec x) { *reinterpret_cast<iunaligned *>(p) = x; }

// attend_tiles is attend for heads of 32, in bfloat16 with sums in fp32. 32 values are the depth of a tile, so that 16 queries
// meet 16 keys in one instruction.
void attend_tiles(const float *q, int length, int dim, int head, float *y, float *scratch) {
  if (head != 2 * lanes)
    return attend(q, length, dim, head, y, scratch);
  int padded = panels(length, 2 * lanes) * 2 * lanes;
  int32_t *keys = reinterpret_cast<int32_t *>(scratch); // (padded / 16, 16 pairs of values, 16 keys)
  int32_t *values = keys + int64_t(padded) * lanes;     // (padded / 32, 2, 16 pairs of rows, 16 values)
  float *scores = reinterpret_cast<float *>(values + int64_t(padded) * lanes); // (16, padded)
  int32_t *weights = reinterpret_cast<int32_t *>(scores + int64_t(padded) * lanes);
  int32_t *queries = weights + int64_t(padded) * lanes / 2;
  float *sums = reinterpret_cast<float *>(queries + lanes * lanes); // (16, 32)
  const float *k = q + dim, *v = k + dim;
  for (int j = 0; j < padded; j += lanes) {
    ivec block[lanes] = {};
    for (int i = 0; i < lanes && j + i < length; i++) {
      const float *row = k + int64_t(j + i) * 3 * dim;
      block[i] = row16(load(row), load(row + lanes));
    }
    transpose(block);
    for (int i = 0; i < lanes; i++)
      storei(keys + (int64_t(j) + i) * lanes, block[i]);
  }
  for (int j = 0; j < padded; j += 2)
    for (int half = 0; half < 2; half++) {
      const float *row = v + int64_t(j) * 3 * dim + half * lanes;
      vec even = j < length ? load(row) : vec{}, odd = j + 1 < length ? load(row + 3 * dim) : vec{};
      storei(values + ((int64_t(j) / 32 * 2 + half) * lanes + j % 32 / 2) * lanes, halves(even, odd));
    }
  const Tiles tiles;
  _tile_loadconfig(&tiles);
  float scale = 1.44269504f / sqrtf(head), part[lanes]; // weights are powers of 2
  for (int first = 0; first < length; first += lanes) {
    int rows = length - first < lanes ? length - first : lanes;
    for (int i = 0; i < lanes; i++) {
      const float *row = q + int64_t(first + i) * 3 * dim;
      storei(queries + i * lanes, i < rows ? row16(load(row), load(row + lanes)) : ivec{});
    }
    _tile_loadd(4, queries, 64);
    for (int j = 0; j < padded; j += 2 * lanes) {
      _tile_zero(0);
      _tile_zero(1);
      _tile_loadd(6, keys + int64_t(j) * lanes, 64);
      _tile_loadd(7, keys + int64_t(j + lanes) * lanes, 64);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_stored(0, scores + j, padded * 4);
      _tile_stored(1, scores + j + lanes, padded * 4);
    }
    for (int i = 0; i < rows; i++) {
      float *row = scores + int64_t(i) * padded;
      for (int j = length; j < padded; j++)
        row[j] = -1e30f; // as if far from every query
      vec high = all(-1e30f), total{};
      for (int j = 0; j < padded; j += lanes)
        high = larger(high, load(row + j));
      float top = largest(high) * scale;
      for (int j = 0; j < padded; j += 2 * lanes) {
        vec a = power(load(row + j) * scale - top), b = power(load(row + j + lanes) * scale - top);
        total += a + b;
        storei(weights + (int64_t(i) * padded + j) / 2, row16(a, b));
      }
      part[i] = 1 / sum(total);
    }
    _tile_zero(2);
    _tile_zero(3);
    for (int j = 0; j < padded; j += 2 * lanes) {
      _tile_loadd(5, weights + j / 2, padded * 2);
      _tile_loadd(6, values + int64_t(j) * lanes, 64);
      _tile_loadd(7, values + int64_t(j) * lanes + lanes * lanes, 64);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(2, sums, 128);
    _tile_stored(3, sums + lanes, 128);
    for (int i = 0; i < rows; i++)
      for (int half = 0; half < 2; half++)
        store(y + int64_t(first + i) * dim + half * lanes, load(sums + i * 2 * lanes + half * lanes) * part[i]);
  }
  _tile_release();
}

} // namespace

extern const Form amx_form = {multiply32, multiply_tiles, quantise, norm, gate, look, add, attend, attend_tiles, pool, read};

#else

extern const Form amx_form = {multiply32, multiply8, quantise, norm, gate, look, add, attend, attend, pool, read};

#endif
