// The loops over pixels, by the widest vectors that the processor has. Nothing here depends on what a file claims: the Go
// side checks every size.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// media_taps are the rows that make each of so many lines: from begin, times weights from first[line] to first[line + 1].
typedef struct {
  int lines;
  const int32_t *begin, *first;
  const double *weights, *scale;
} media_taps;

// y (lines, n) = the weighted sums of rows of x (rows, n), which begin stride apart, times scale, rounded to 0..255.
void media_lines(const uint8_t *x, int64_t stride, int n, const media_taps *taps, uint8_t *y);

// y (columns, height) = x (rows, columns), whose rows begin stride apart, transposed; columns of y begin height apart.
void media_transpose(const uint8_t *x, int64_t stride, int rows, int columns, uint8_t *y, int64_t height);

// media_blocks makes 8 x 8 pixels of each of up to 16 blocks: the inverse discrete cosine transform (ITU-T T.81, A.3.3) of
// coefficients (64, 16), block by block along each row, times scale (64), plus 128. Block b goes to y + 8 b.
void media_blocks(const int16_t *coefficients, const float *scale, int n, uint8_t *y, int64_t stride);

// The same by AVX-512.
void media_wide_lines(const uint8_t *x, int64_t stride, int n, const media_taps *taps, uint8_t *y);
void media_wide_blocks(const int16_t *coefficients, const float *scale, int n, uint8_t *y, int64_t stride);

#ifdef __cplusplus
}
#endif
