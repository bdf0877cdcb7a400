// The kernels for a processor with tiles of bytes (AMX): the product of bytes in tiles, the rest by AVX-512.
#ifdef __x86_64__
#include <immintrin.h>
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,amx-tile,amx-int8")
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

} // namespace

extern const Form amx_form = {multiply32, multiply_tiles, quantise, norm, gate, look, add, attend, pool, read};

#else

extern const Form amx_form = {multiply32, multiply8, quantise, norm, gate, look, add, attend, pool, read};

#endif
