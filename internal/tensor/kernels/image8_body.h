// The kernels for pictures in 8 bits, for AVX-512; image_body.h comes before, and a function sums and a type Products that
// prepares for it:
//
//   void sums(const uint8_t *x, int64_t step, const int8_t *panel, int blocks, int vectors, int wide, int rows, int32_t *c);
//
// writes the sums of 32 pixels (16 will do if rows is no more), which lie step apart, times vectors of a panel that is wide
// vectors wide.

namespace {

INLINE __m512i loadb(const void *p) { return _mm512_loadu_si512(p); }

// Four vectors as bytes of 0 to 255, in the order in which fours of rows come apart: byte 16 l + 4 v + i is value 4 l + i of vector v.
INLINE __m512i narrowed(__m512i a, __m512i b, __m512i c, __m512i d) {
  return _mm512_packus_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
}

// One vector as bytes of 0 to 255, in order.
INLINE void put(uint8_t *y, __m512 x) {
  __m512i q = _mm512_max_epi32(_mm512_cvtps_epi32(x), _mm512_setzero_si512());
  _mm_storeu_si128(reinterpret_cast<__m128i *>(y), _mm512_cvtusepi32_epi8(q));
}

// expand writes pixels (count, 64) of one panel.
template <int V> INLINE void expand(const consilium_point8 &w, const uint8_t *x, int count, int panel, uint8_t *y, int32_t *c) {
  const int8_t *weights = w.panels + int64_t(panel) * w.blocks * V * 1024;
  __m512 scale[V], bias[V];
#pragma GCC unroll 4
  for (int v = 0; v < V; v++) {
    scale[v] = _mm512_loadu_ps(w.scale + (panel * V + v) * 16);
    bias[v] = _mm512_loadu_ps(w.bias + (panel * V + v) * 16);
  }
  for (int row = 0; row < count; row += together8) {
    int left = count - row < together8 ? count - row : together8;
    sums(x + int64_t(row) * w.in, w.in, weights, w.blocks, V, V, left, c);
    for (int r = 0; r < left; r++) {
      __m512i q[4] = {};
#pragma GCC unroll 4
      for (int v = 0; v < V; v++)
        q[v] = _mm512_cvtps_epi32(_mm512_fmadd_ps(_mm512_cvtepi32_ps(loadb(c + (r * V + v) * 16)), scale[v], bias[v]));
      _mm512_storeu_si512(y + int64_t(row + r) * 64, narrowed(q[0], q[1], q[2], q[3]));
    }
  }
}

// Rows of bytes (pixels, 64) from number begin up to, not including, end; the others are zeros.
struct Rows8 {
  const uint8_t *bytes;
  int begin, end, side;
};

// interleave writes (side, V, 16, 4) of four rows from number first.
template <int V> INLINE void interleave(const Rows8 &rows, int first, uint8_t *y) {
  static const uint8_t none[64] = {};
  const uint8_t *x[4];
  int step[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    bool there = first + i >= rows.begin && first + i < rows.end;
    x[i] = there ? rows.bytes + int64_t(first + i - rows.begin) * rows.side * 64 : none;
    step[i] = there ? 64 : 0;
  }
  for (int column = 0; column < rows.side; column++, y += V * 64) {
    __m512i a = loadb(x[0] + column * step[0]), b = loadb(x[1] + column * step[1]), c = loadb(x[2] + column * step[2]),
            d = loadb(x[3] + column * step[3]);
    __m512i ab = _mm512_unpacklo_epi8(a, b), cd = _mm512_unpacklo_epi8(c, d);
    _mm512_storeu_si512(y, _mm512_unpacklo_epi16(ab, cd));
    _mm512_storeu_si512(y + 64, _mm512_unpackhi_epi16(ab, cd));
    if (V > 2) {
      ab = _mm512_unpackhi_epi8(a, b), cd = _mm512_unpackhi_epi8(c, d);
      _mm512_storeu_si512(y + 128, _mm512_unpacklo_epi16(ab, cd));
    }
    if (V > 3)
      _mm512_storeu_si512(y + 192, _mm512_unpackhi_epi16(ab, cd));
  }
}

// filter_row computes one row of 16 channels of the result, P pixels at a time.
template <int K, int S, int V, int P>
INLINE void filter_row(const uint8_t *const (&quads)[2], const int8_t *weight, __m512 scale, __m512 bias, int out, int channels, uint8_t *y) {
  constexpr int Q = fours(K);
  __m512i w[Q][K];
#pragma GCC unroll 16
  for (int i = 0; i < Q * K; i++)
    w[i / K][i % K] = loadb(weight + i * 64);
  for (int ox = 0; ox < out; ox += P) {
    __m512i c[P];
#pragma GCC unroll 16
    for (int p = 0; p < P; p++)
      c[p] = _mm512_setzero_si512();
#pragma GCC unroll 2
    for (int q = 0; q < Q; q++)
#pragma GCC unroll 64
      for (int column = 0; column < (P - 1) * S + K; column++) {
        __m512i x = loadb(quads[q] + int64_t(ox * S + column) * V * 64);
#pragma GCC unroll 8
        for (int kx = 0; kx < K; kx++)
          if (column >= kx && (column - kx) % S == 0 && (column - kx) / S < P)
            c[(column - kx) / S] = _mm512_dpbusd_epi32(c[(column - kx) / S], x, w[q][kx]);
      }
#pragma GCC unroll 16
    for (int p = 0; p < P; p++)
      put(y + int64_t(ox + p) * channels, _mm512_fmadd_ps(_mm512_cvtepi32_ps(c[p]), scale, bias));
  }
}

// filter is the depthwise convolution of a band.
template <int K, int S, int V> INLINE void filter8(const consilium_depth8 &w, const Rows8 &rows, Band band, uint8_t *y, uint8_t *quads) {
  constexpr int G = step_rows(K, S), Q = fours(K);
  const int out = rows.side / S, top = before(rows.side, K, S), across = wide(rows.side, K, S);
  const int64_t size = int64_t(across) * V * 64;
  uint8_t *quad[2] = {quads, quads + size};
  for (uint8_t *q : quad) { // zeros before and behind the columns
    memset(q, 0, top * V * 64);
    memset(q + int64_t(top + rows.side) * V * 64, 0, int64_t(across - top - rows.side) * V * 64);
  }
  for (int oy = band.first; oy < band.last; oy += G) {
    const int first = oy * S - top;
    if (Q == 1 || oy == band.first) {
      interleave<V>(rows, first, quad[0] + top * V * 64);
    } else { // the step's rows are four, so that what was its second four is now its first
      uint8_t *last = quad[1];
      quad[1] = quad[0], quad[0] = last;
    }
    if (Q == 2)
      interleave<V>(rows, first + 4, quad[1] + top * V * 64);
    for (int v = 0; v < V && (band.panel * V + v) * 16 < w.channels; v++) {
      const int group = band.panel * V + v;
      const uint8_t *const in[2] = {quad[0] + v * 64, quad[1] + v * 64};
      __m512 scale = _mm512_loadu_ps(w.scale + group * 16), bias = _mm512_loadu_ps(w.bias + group * 16);
      for (int g = 0; g < G && oy + g < band.last; g++) {
        const int8_t *weight = w.weight + (int64_t(group) * G + g) * Q * K * 64;
        uint8_t *to = y + int64_t(oy + g) * out * w.channels + group * 16;
        if (out % 14 == 0)
          filter_row<K, S, V, 14>(in, weight, scale, bias, out, w.channels, to);
        else
          filter_row<K, S, V, 7>(in, weight, scale, bias, out, w.channels, to);
      }
    }
  }
}

// depth8 has the rows that a band reads made by fill(first, count, to), and filters them.
template <int V, typename F> INLINE void depth8(const consilium_depth8 &w, int side, Band band, uint8_t *y, uint8_t *scratch, F fill) {
  const int top = before(side, w.kernel, w.stride);
  int begin = band.first * w.stride - top, end = (band.last - 1) * w.stride - top + w.kernel;
  begin = begin < 0 ? 0 : begin;
  end = end > side ? side : end;
  fill(begin, end - begin, scratch);
  Rows8 rows{scratch, begin, end, side};
  uint8_t *quads = scratch + rows8(end - begin, side);
  if (w.kernel == 3 && w.stride == 1)
    filter8<3, 1, V>(w, rows, band, y, quads);
  else if (w.kernel == 3)
    filter8<3, 2, V>(w, rows, band, y, quads);
  else if (w.stride == 1)
    filter8<5, 1, V>(w, rows, band, y, quads);
  else
    filter8<5, 2, V>(w, rows, band, y, quads);
}

template <int V>
void widen_panel(const consilium_point8 &w, const consilium_depth8 &d, const uint8_t *x, int side, Band band, uint8_t *y, uint8_t *scratch) {
  auto *c = reinterpret_cast<int32_t *>(scratch);
  depth8<V>(d, side, band, y, scratch + sums8, [&](int first, int count, uint8_t *to) {
    Products products;
    expand<V>(w, x + int64_t(first) * side * w.in, count * side, band.panel, to, c);
  });
}

void widen8(const consilium_point8 &w, const consilium_depth8 &d, const uint8_t *x, int side, Band band, uint8_t *y, uint8_t *scratch) {
  if (w.vectors == 3)
    widen_panel<3>(w, d, x, side, band, y, scratch);
  else
    widen_panel<4>(w, d, x, side, band, y, scratch);
}

void stem8(const consilium_point &w, const consilium_depth8 &d, const float *x, int side, Band band, uint8_t *y, uint8_t *scratch) {
  auto *lines = reinterpret_cast<float *>(scratch);
  depth8<2>(d, side, band, y, scratch + stem_row(side) * sizeof(float), [&](int first, int count, uint8_t *to) {
    for (int r = first; r < first + count; r++) {
      stem_lines(x, side, r, lines);
      for (int p = 0; p < side; p += pixels, to += pixels * 64)
        patch(w, lines + 2 * p, 2 * side + 16, [&](int i, vec a, vec b) {
          __m512i none = _mm512_setzero_si512();
          _mm512_storeu_si512(to + i * 64, narrowed(_mm512_cvtps_epi32(reinterpret_cast<__m512>(a)),
                                                    _mm512_cvtps_epi32(reinterpret_cast<__m512>(b)), none, none));
        });
    }
  });
}

void narrow8(const consilium_point8 &w, const uint8_t *x, int first, int last, int f, const Narrowed &to, int panel, uint8_t *scratch) {
  Products products;
  auto *c = reinterpret_cast<int32_t *>(scratch);
  const int column = panel * w.vectors * 16, left = (w.out - column) / 16, vectors = left < w.vectors ? left : w.vectors;
  const int8_t *weights = w.panels + int64_t(panel) * w.blocks * w.vectors * 1024;
  for (int row = first; row < last; row += together8) {
    int rows = last - row < together8 ? last - row : together8;
    sums(x + int64_t(row) * w.in, w.in, weights, w.blocks, vectors, w.vectors, rows, c);
    for (int v = 0; v < vectors; v++) {
      const int at = column + v * 16;
      __m512 scale = _mm512_loadu_ps(w.scale + at), bias = _mm512_loadu_ps(w.bias + at);
      __m512 share = to.bytes ? _mm512_loadu_ps(to.share + at) : _mm512_setzero_ps();
      __m512 zero = to.bytes ? _mm512_loadu_ps(to.zero + at) : _mm512_setzero_ps();
      for (int r = 0; r < rows; r++) {
        const int64_t cell = int64_t(row + r) * w.out + at;
        __m512 value = _mm512_fmadd_ps(_mm512_cvtepi32_ps(loadb(c + (r * w.vectors + v) * 16)), scale, bias);
        if (f == CONSILIUM_POINT_ADD)
          value = _mm512_add_ps(value, _mm512_loadu_ps(to.residual + cell));
        else if (f == CONSILIUM_POINT_CLIP)
          value = _mm512_min_ps(_mm512_max_ps(value, _mm512_setzero_ps()), _mm512_set1_ps(6));
        if (to.y)
          _mm512_storeu_ps(to.y + cell, value);
        if (to.bytes)
          put(to.bytes + cell, _mm512_fmadd_ps(value, share, zero));
      }
    }
  }
}

} // namespace
