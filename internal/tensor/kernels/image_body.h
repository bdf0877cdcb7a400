// The kernels for pictures, written once for every instruction set, as body.h is.
#include "body.h"

namespace {

constexpr int pixels = 7; // how many are computed together: every side is a multiple

INLINE vec clip(vec x) { return smaller(larger(x, vec{}), all(6)); }

// block computes R pixels of V vectors of a convolution of one pixel.
template <int R, int V>
INLINE void block(const float *x, int64_t step, const float *panel, const float *bias, int in, int f, const float *residual, int64_t next,
                  float *y, int64_t stride) {
  vec c[R][V];
#pragma GCC unroll 16
  for (int r = 0; r < R; r++)
#pragma GCC unroll 16
    for (int v = 0; v < V; v++)
      c[r][v] = load(bias + v * lanes);
  for (int i = 0; i < in; i++) {
    vec w[V];
#pragma GCC unroll 16
    for (int v = 0; v < V; v++) {
      w[v] = load(panel + (i * V + v) * lanes);
      __builtin_prefetch(panel + ((i + 40) * V + v) * lanes);
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
      vec a = all(x[r * step + i]);
#pragma GCC unroll 16
      for (int v = 0; v < V; v++)
        c[r][v] += a * w[v];
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; r++)
#pragma GCC unroll 16
    for (int v = 0; v < V; v++) {
      vec a = c[r][v];
      if (f == CONSILIUM_POINT_CLIP)
        a = clip(a);
      else if (f == CONSILIUM_POINT_ADD)
        a += load(residual + r * next + v * lanes);
      store(y + r * stride + v * lanes, a);
    }
}

// point computes rows of one panel, as many vectors wide as it is.
template <int V>
INLINE void point_panel(const consilium_point &w, const float *x, int rows, int f, const float *residual, float *y, int64_t stride, int panel) {
  const int64_t in = padded(w.in), out = padded(w.out);
  const float *weights = w.panels + int64_t(panel) * w.in * panel32, *bias = w.bias + panel * panel32;
  constexpr int R = V == 3 ? pixels : 2 * pixels;
  int row = 0;
  for (; row + R <= rows; row += R)
    block<R, V>(x + row * in, in, weights, bias, w.in, f, residual + row * out, out, y + row * stride, stride);
  for (; row < rows; row += pixels)
    block<pixels, V>(x + row * in, in, weights, bias, w.in, f, residual + row * out, out, y + row * stride, stride);
}

void point(const consilium_point &w, const float *x, int rows, int f, const float *residual, float *y, int64_t stride, int panel) {
  int left = (padded(w.out) - panel * panel32) / lanes;
  if (left >= 3)
    point_panel<3>(w, x, rows, f, residual, y, stride, panel);
  else if (left == 2)
    point_panel<2>(w, x, rows, f, residual, y, stride, panel);
  else
    point_panel<1>(w, x, rows, f, residual, y, stride, panel);
}

void narrow(const consilium_point &w, const float *x, int rows, int f, const float *residual, float *y, int panel) {
  point(w, x, rows, f, residual + panel * panel32, y + panel * panel32, padded(w.out), panel);
}

// filter is the depthwise convolution of a band. rows holds the band's rows of the picture from number begin up to, not
// including, end, each as wide as wide() says, of so many channels.
template <int K, int S>
INLINE void filter(const consilium_depth &w, const float *rows, int begin, int end, int side, int channels, Band band, float *y) {
  const int out = side / S, top = before(side, K, S), across = wide(side, K, S);
  const int64_t line = int64_t(across) * channels;
  const int column = band.panel * panel32;
  for (int oy = band.first; oy < band.last; oy++) {
    int high = oy * S - top, ky0 = high < begin ? begin - high : 0, ky1 = high + K > end ? end - high : K;
    for (int v = 0; v < channels; v += lanes) {
      vec bias = load(w.bias + column + v);
      for (int ox = 0; ox < out; ox += pixels) {
        vec c[pixels];
#pragma GCC unroll 16
        for (int i = 0; i < pixels; i++)
          c[i] = bias;
        for (int ky = ky0; ky < ky1; ky++) {
          const float *x = rows + (high + ky - begin) * line + ox * S * channels + v;
          const float *weight = w.weight + int64_t(ky) * K * w.channels + column + v;
#pragma GCC unroll 16
          for (int kx = 0; kx < K; kx++) {
            vec a = load(weight + kx * w.channels);
#pragma GCC unroll 16
            for (int i = 0; i < pixels; i++)
              c[i] += load(x + (i * S + kx) * channels) * a;
          }
        }
        float *to = y + (int64_t(oy) * out + ox) * w.channels + column + v;
#pragma GCC unroll 16
        for (int i = 0; i < pixels; i++)
          store(to + i * w.channels, clip(c[i]));
      }
    }
  }
}

// depth fills the rows that a band reads, by row(y, to), and filters them.
template <typename F> INLINE void depth(const consilium_depth &w, int side, int channels, Band band, float *y, float *rows, F row) {
  const int top = before(side, w.kernel, w.stride), across = wide(side, w.kernel, w.stride);
  int begin = band.first * w.stride - top, end = (band.last - 1) * w.stride - top + w.kernel;
  begin = begin < 0 ? 0 : begin;
  end = end > side ? side : end;
  for (int r = begin; r < end; r++) {
    float *line = rows + int64_t(r - begin) * across * channels;
    memset(line, 0, top * channels * sizeof(float));
    memset(line + int64_t(top + side) * channels, 0, int64_t(across - top - side) * channels * sizeof(float));
    row(r, line + top * channels);
  }
  if (w.kernel == 3 && w.stride == 1)
    filter<3, 1>(w, rows, begin, end, side, channels, band, y);
  else if (w.kernel == 3)
    filter<3, 2>(w, rows, begin, end, side, channels, band, y);
  else if (w.stride == 1)
    filter<5, 1>(w, rows, begin, end, side, channels, band, y);
  else
    filter<5, 2>(w, rows, begin, end, side, channels, band, y);
}

INLINE int channels(const consilium_point &w, int panel) {
  int left = padded(w.out) - panel * panel32;
  return left < panel32 ? left : panel32;
}

void widen(const consilium_point &w, const consilium_depth &d, const float *x, int side, Band band, float *y, float *scratch) {
  int c = channels(w, band.panel);
  depth(d, side, c, band, y, scratch, [&](int r, float *to) {
    point(w, x + int64_t(r) * side * padded(w.in), side, CONSILIUM_POINT_CLIP, x, to, c, band.panel);
  });
}

// stem_lines copies the nine lines of the picture that row r of a stem reads, each with zeros behind.
INLINE void stem_lines(const float *x, int side, int r, float *lines) {
  const int across = 2 * side + 16;
  for (int line = 0; line < 9; line++) {
    int row = 2 * r + line % 3;
    float *copy = lines + line * across;
    memset(copy, 0, across * sizeof(float));
    if (row < 2 * side)
      memcpy(copy, x + (int64_t(line / 3) * 2 * side + row) * 2 * side, 2 * side * sizeof(float));
  }
}

// patch computes 7 pixels of 32 channels from the nine lines of a stem's row, and gives each to put.
template <typename F> INLINE void patch(const consilium_point &w, const float *lines, int across, F put) {
  vec c[pixels][2];
#pragma GCC unroll 16
  for (int r = 0; r < pixels; r++)
    c[r][0] = load(w.bias), c[r][1] = load(w.bias + lanes);
  for (int line = 0; line < 9; line++)
#pragma GCC unroll 3
    for (int kx = 0; kx < 3; kx++) {
      const float *weight = w.panels + (line * 3 + kx) * 2 * lanes;
      vec w0 = load(weight), w1 = load(weight + lanes);
#pragma GCC unroll 16
      for (int r = 0; r < pixels; r++) {
        vec a = all(lines[line * across + 2 * r + kx]);
        c[r][0] += a * w0;
        c[r][1] += a * w1;
      }
    }
#pragma GCC unroll 16
  for (int r = 0; r < pixels; r++)
    put(r, c[r][0], c[r][1]);
}

void stem(const consilium_point &w, const consilium_depth &d, const float *x, int side, Band band, float *y, float *scratch) {
  float *lines = scratch, *rows = scratch + stem_row(side);
  depth(d, side, 2 * lanes, band, y, rows, [&](int r, float *to) {
    stem_lines(x, side, r, lines);
    for (int p = 0; p < side; p += pixels, to += 2 * pixels * lanes)
      patch(w, lines + 2 * p, 2 * side + 16, [&](int i, vec a, vec b) {
        store(to + 2 * i * lanes, clip(a));
        store(to + (2 * i + 1) * lanes, clip(b));
      });
  });
}

void mean(const float *x, int cells, int dim, float *y) {
  for (int i = 0; i < dim; i += lanes) {
    vec total{};
    for (int cell = 0; cell < cells; cell++)
      total += load(x + int64_t(cell) * dim + i);
    store(y + i, total / float(cells));
  }
}

} // namespace
