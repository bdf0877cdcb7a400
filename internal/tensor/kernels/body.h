// The kernels, written once for every instruction set: a vector is 16 floats, and the compiler makes of it what the
// processor has. Each .cpp file that includes this sets its instruction set first and has a namespace of its own.
#include <math.h>
#include <stdint.h>
#include <string.h>


namespace {

#define INLINE static inline __attribute__((always_inline))

constexpr int lanes = 16;
typedef float vec __attribute__((vector_size(64)));
typedef int32_t ivec __attribute__((vector_size(64)));
typedef float unaligned __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t iunaligned __attribute__((vector_size(64), aligned(4), may_alias));

INLINE vec load(const float *p) { return *reinterpret_cast<const unaligned *>(p); }
INLINE void store(float *p, vec x) { *reinterpret_cast<unaligned *>(p) = x; }
INLINE ivec loadi(const int32_t *p) { return *reinterpret_cast<const iunaligned *>(p); }
INLINE vec all(float x) { return x - vec{}; }
INLINE vec floats(ivec x) { return __builtin_convertvector(x, vec); }
INLINE vec larger(vec a, vec b) { return a > b ? a : b; }
INLINE vec smaller(vec a, vec b) { return a < b ? a : b; }

constexpr ivec lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

INLINE float sum(vec x) {
#pragma GCC unroll 4
  for (int n = lanes / 2; n > 0; n /= 2)
    x += __builtin_shuffle(x, lane ^ n);
  return x[0];
}

INLINE float largest(vec x) {
#pragma GCC unroll 4
  for (int n = lanes / 2; n > 0; n /= 2)
    x = larger(x, __builtin_shuffle(x, lane ^ n));
  return x[0];
}

// transpose swaps the rows and the columns of 16 vectors.
INLINE void transpose(ivec (&m)[lanes]) {
#pragma GCC unroll 4
  for (int step = 1; step < lanes; step *= 2) {
    ivec upper = (lane & step) == 0 ? lane : lane + lanes - step, lower = (lane & step) == 0 ? lane + step : lane + lanes;
#pragma GCC unroll 16
    for (int i = 0; i < lanes; i++)
      if ((i & step) == 0) {
        ivec a = m[i], b = m[i + step];
        m[i] = __builtin_shuffle(a, b, upper);
        m[i + step] = __builtin_shuffle(a, b, lower);
      }
  }
}

// exponential is 2^n e^r with |r| <= ln 2 / 2 and Taylor's series for e^r, to 2e-7 of the value; 0 below -87.
INLINE vec exponential(vec x) {
  x = larger(x, all(-87));
  vec round = x * 1.44269504f + 12582912.0f; // 1.5 2^23: the sum has no digits behind the point
  vec n = round - 12582912.0f;
  vec r = x - n * 0.693359375f + n * 2.12194440e-4f; // ln 2 in two parts
  vec p = r * 1.98412698e-4f + 1.38888889e-3f;
  p = p * r + 8.33333333e-3f;
  p = p * r + 4.16666667e-2f;
  p = p * r + 1.66666667e-1f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  return reinterpret_cast<vec>(reinterpret_cast<ivec>(p) + (__builtin_convertvector(n, ivec) << 23));
}

// gelu is x times the normal distribution function, to 1e-6; the polynomial is testdata/fit_gelu.py's.
INLINE vec gelu(vec x) {
  constexpr float limit = 5.2f;
  static constexpr float c[] = {-0.00056229034f, 0.000600760229f, -0.000978515839f, 0.00266244193f, -0.00506736777f,
                                0.00801008995f,  -0.0123533596f,  0.0181339226f,    -0.0247634497f, 0.0319623231f,
                                -0.0399253975f,  0.0500261099f,   -0.0677438056f,   0.135949978f};
  vec near = smaller(larger(x, all(-limit)), all(limit));
  vec s = near * near * (2 / (limit * limit)) - 1.0f;
  vec p = all(0.000202389673f);
#pragma GCC unroll 16
  for (float each : c)
    p = p * s + each;
  return x * (p * near + 0.5f);
}

// silu is x times the logistic function, with less than 1e-35 where that is less.
INLINE vec silu(vec x) { return x / (exponential(smaller(all(0) - x, all(87))) + 1.0f); }

// finish writes columns column.. of one row of a product without its bias.
INLINE void finish(vec v, const float *bias, int f, const float *residual, float *y, int64_t at, int column) {
  v += load(bias + column);
  if (f == CONSILIUM_GELU)
    v = gelu(v);
  else if (f == CONSILIUM_ADD)
    v += load(residual + at + column);
  else if (f == CONSILIUM_SILU)
    v = silu(v);
  store(y + at + column, v);
}

// tile is the sum over k of a (R, k) b (k, 16 V), in registers.
template <int R, int V> INLINE void tile(const float *a, int64_t step, const float *b, int64_t next, int k, vec (&c)[R][V]) {
#pragma GCC unroll 16
  for (int r = 0; r < R; r++)
#pragma GCC unroll 16
    for (int v = 0; v < V; v++)
      c[r][v] = vec{};
  for (int i = 0; i < k; i++) {
    vec w[V];
#pragma GCC unroll 16
    for (int v = 0; v < V; v++) {
      w[v] = load(b + i * next + v * lanes);
      __builtin_prefetch(b + (i + 12) * next + v * lanes);
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
      vec x = all(a[r * step + i]);
#pragma GCC unroll 16
      for (int v = 0; v < V; v++)
        c[r][v] += x * w[v];
    }
  }
}

template <int R>
INLINE void product32(const consilium_linear32 &w, const float *x, const float *panel, int f, const float *residual, float *y, int row,
                      int column) {
  vec c[R][3];
  tile<R, 3>(x + int64_t(row) * w.in, w.in, panel, panel32, w.in, c);
  for (int r = 0; r < R; r++)
    for (int v = 0; v < 3 && column + v * lanes < w.out; v++)
      finish(c[r][v], w.bias, f, residual, y, int64_t(row + r) * w.out, column + v * lanes);
}

void multiply32(const consilium_linear32 &w, const float *x, int rows, int f, const float *residual, float *y, int number) {
  const float *panel = w.panels + int64_t(number) * w.in * panel32;
  int row = 0, column = number * panel32;
  for (; row + 8 <= rows; row += 8)
    product32<8>(w, x, panel, f, residual, y, row, column);
  switch (rows - row) { // one pass over the panel for what is left
  case 7: return product32<7>(w, x, panel, f, residual, y, row, column);
  case 6: return product32<6>(w, x, panel, f, residual, y, row, column);
  case 5: return product32<5>(w, x, panel, f, residual, y, row, column);
  case 4: return product32<4>(w, x, panel, f, residual, y, row, column);
  case 3: return product32<3>(w, x, panel, f, residual, y, row, column);
  case 2: return product32<2>(w, x, panel, f, residual, y, row, column);
  case 1: return product32<1>(w, x, panel, f, residual, y, row, column);
  }
}

// unscale makes a float of a sum of bytes times weights.
INLINE vec unscale(ivec c, const consilium_linear8 &w, const consilium_rows8 &x, int row, int column) {
  c -= x.zero[row] * loadi(w.sums + column);
  return floats(c) * (x.scale[row] * load(w.scale + column));
}

// dot adds to each lane of c the products of four bytes of a with four signed bytes of b.
INLINE ivec dot(ivec c, ivec a, ivec b) {
#ifdef CONSILIUM_VNNI
  return reinterpret_cast<ivec>(
      _mm512_dpbusd_epi32(reinterpret_cast<__m512i>(c), reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#else
  for (int byte = 0; byte < 32; byte += 8)
    c += (a >> byte & 255) * (b << (24 - byte) >> 24);
  return c;
#endif
}

template <int R>
INLINE void product8(const consilium_linear8 &w, const consilium_rows8 &x, const int8_t *panel, int f, const float *residual, float *y,
                     int row, int column) {
  ivec c[R][4] = {};
  const uint8_t *a = x.bytes + int64_t(row) * w.in;
  for (int k = 0; k < w.in; k += 4) {
    ivec b[4];
#pragma GCC unroll 16
    for (int v = 0; v < 4; v++)
      b[v] = loadi(reinterpret_cast<const int32_t *>(panel + k * panel8 + v * 64));
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
      int32_t four;
      memcpy(&four, a + int64_t(r) * w.in + k, 4);
#pragma GCC unroll 16
      for (int v = 0; v < 4; v++)
        c[r][v] = dot(c[r][v], four - ivec{}, b[v]);
    }
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < 4 && column + v * lanes < w.out; v++)
      finish(unscale(c[r][v], w, x, row + r, column + v * lanes), w.bias, f, residual, y, int64_t(row + r) * w.out, column + v * lanes);
}

// multiply8 computes rows of the padding rather than have a tile for each number of rows, and does not write them.
void multiply8(const consilium_linear8 &w, const consilium_rows8 &x, int rows, int f, const float *residual, float *y, int number, void *) {
  const int8_t *panel = w.panels + int64_t(number) * w.in * panel8;
  int row = 0, column = number * panel8;
  for (; row + 4 <= rows; row += 4)
    product8<4>(w, x, panel, f, residual, y, row, column);
  for (; row < rows; row++)
    product8<1>(w, x, panel, f, residual, y, row, column);
}

// turn multiplies 128 values by Hadamard's matrix: v[j] is the values 16 j to 16 j + 15.
INLINE void turn(vec (&v)[turned / lanes]) {
#pragma GCC unroll 4
  for (int step = 1; step < turned / lanes; step *= 2)
#pragma GCC unroll 16
    for (int j = 0; j < turned / lanes; j++)
      if ((j & step) == 0) {
        vec low = v[j], high = v[j + step];
        v[j] = low + high;
        v[j + step] = low - high;
      }
#pragma GCC unroll 4
  for (int step = 1; step < lanes; step *= 2) {
    ivec other = lane ^ step;
    vec sign = (lane & step) == 0 ? all(1) : all(-1);
#pragma GCC unroll 16
    for (int j = 0; j < turned / lanes; j++)
      v[j] = v[j] * sign + __builtin_shuffle(v[j], other);
  }
}

// quantise turns each row, and spreads it from its least to its largest value, zero among them, over 0 to 255.
void quantise(const float *x, int first, int last, int dim, const consilium_rows8 &y, float *row) {
  for (int number = first; number < last; number++) {
    vec high{}, low{};
    for (int i = 0; i < dim; i += turned) {
      vec v[turned / lanes];
#pragma GCC unroll 16
      for (int j = 0; j < turned / lanes; j++)
        v[j] = load(x + int64_t(number) * dim + i + j * lanes);
      turn(v);
#pragma GCC unroll 16
      for (int j = 0; j < turned / lanes; j++) {
        high = larger(high, v[j]);
        low = smaller(low, v[j]);
        store(row + i + j * lanes, v[j]);
      }
    }
    float top = largest(high), bottom = -largest(-low), range = top - bottom;
    float scale = range > 0 ? range / 255 : 1;
    float zero = nearbyintf(-bottom / scale);
    y.scale[number] = scale;
    y.zero[number] = int32_t(zero);
    uint8_t *out = y.bytes + int64_t(number) * dim;
    for (int i = 0; i < dim; i += lanes) {
      // The sum with 1.5 2^23 rounds to the nearest, and its last digits are the number.
      vec v = smaller(larger(load(row + i) * (1 / scale) + zero, vec{}), all(255)) + 12582912.0f;
      typedef uint8_t bytes __attribute__((vector_size(16)));
      bytes b = __builtin_convertvector(reinterpret_cast<ivec>(v) & 255, bytes);
      memcpy(out + i, &b, sizeof b);
    }
  }
}

void norm(float *x, int first, int last, int dim, const float *weight, const float *bias, float epsilon) {
  for (int row = first; row < last; row++) {
    float *at = x + int64_t(row) * dim;
    vec total{}, square{};
    for (int i = 0; i < dim; i += lanes)
      total += load(at + i);
    float mean = sum(total) / dim;
    for (int i = 0; i < dim; i += lanes) {
      vec d = load(at + i) - mean;
      square += d * d;
    }
    float scale = 1 / sqrtf(sum(square) / dim + epsilon);
    for (int i = 0; i < dim; i += lanes)
      store(at + i, (load(at + i) - mean) * scale * load(weight + i) + load(bias + i));
  }
}

// gate writes tanh(a) / (1 + e^-b) for each row (a, b) of x (rows, 2 dim). Beyond its limits tanh is 1 to the last digit.
void gate(const float *x, int first, int last, int dim, float *y) {
  for (int64_t row = first; row < last; row++)
    for (int i = 0; i < dim; i += lanes) {
      vec a = smaller(larger(load(x + 2 * row * dim + i), all(-10)), all(10));
      vec b = larger(load(x + (2 * row + 1) * dim + i), all(-80));
      vec e = exponential(a + a);
      store(y + row * dim + i, (e - 1.0f) / ((e + 1.0f) * (exponential(-b) + 1.0f)));
    }
}

// look reads for each head of one query (dim) from rows (count, dim) of keys and values. scores hold count and 16 values.
void look(const float *q, const float *keys, const float *values, int count, int dim, int head, float *y, float *scores) {
  float scale = 1 / sqrtf(head);
  for (int h = 0; h < dim; h += head) {
    float top = -1e30f;
    for (int row = 0; row < count; row++) {
      vec dots{};
      for (int i = h; i < h + head; i += lanes)
        dots += load(q + i) * load(keys + int64_t(row) * dim + i);
      scores[row] = sum(dots) * scale;
      top = scores[row] > top ? scores[row] : top;
    }
    for (int row = count; row % lanes != 0; row++)
      scores[row] = -1e30f;
    vec total{};
    for (int row = 0; row < count; row += lanes) {
      vec e = exponential(load(scores + row) - top);
      for (int i = count - row; i < lanes; i++)
        e[i] = 0;
      total += e;
      store(scores + row, e);
    }
    float part = 1 / sum(total);
    for (int i = h; i < h + head; i += lanes) {
      vec seen{};
      for (int row = 0; row < count; row++)
        seen += scores[row] * load(values + int64_t(row) * dim + i);
      store(y + i, seen * part);
    }
  }
}

void add(const float *a, const float *b, const float *c, int dim, float *y) {
  for (int i = 0; i < dim; i += lanes)
    store(y + i, load(a + i) + load(b + i) + load(c + i));
}

// score writes the products of R queries with 16 V keys.
template <int R, int V> INLINE void score(const float *q, int dim, const float *panel, int head, float *s, int wide) {
  vec c[R][V];
  tile<R, V>(q, 3 * dim, panel, panel32, head, c);
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++)
      store(s + r * wide + v * lanes, c[r][v]);
}

// queries handles R queries: their products with all keys, the softmax, and the sum of the values.
template <int R>
INLINE void queries(const float *q, const float *keys, const float *values, int length, int dim, int head, float *y, float *s) {
  int wide = panels(length, panel32) * panel32;
  for (int j = 0; j < length; j += panel32) {
    const float *panel = keys + int64_t(j) * head;
    if (length - j > 2 * lanes)
      score<R, 3>(q, dim, panel, head, s + j, wide);
    else if (length - j > lanes)
      score<R, 2>(q, dim, panel, head, s + j, wide);
    else
      score<R, 1>(q, dim, panel, head, s + j, wide);
  }
  float part[R], scale = 1 / sqrtf(head);
  int used = panels(length, lanes) * lanes;
  for (int r = 0; r < R; r++) {
    float *row = s + r * wide;
    for (int j = length; j < used; j++)
      row[j] = -1e30f; // as if far from every query
    vec high = all(-1e30f), total{};
    for (int j = 0; j < used; j += lanes)
      high = larger(high, load(row + j));
    float top = largest(high);
    for (int j = 0; j < used; j += lanes) {
      vec e = exponential((load(row + j) - top) * scale);
      if (j + lanes > length)
        for (int i = length - j; i < lanes; i++)
          e[i] = 0;
      total += e;
      store(row + j, e);
    }
    part[r] = 1 / sum(total);
  }
  for (int column = 0; column < head; column += 2 * lanes) {
    vec c[R][2];
    tile<R, 2>(s, wide, values + column, head, length, c);
    for (int r = 0; r < R; r++)
      for (int v = 0; v < 2; v++)
        store(y + int64_t(r) * dim + column + v * lanes, c[r][v] * part[r]);
  }
}

void attend(const float *q, int length, int dim, int head, float *y, float *scratch) {
  int wide = panels(length, panel32) * panel32;
  float *keys = scratch, *values = keys + int64_t(wide) * head, *s = values + int64_t(wide) * head;
  for (int j = 0; j < length; j++)
    memcpy(values + int64_t(j) * head, q + int64_t(j) * 3 * dim + 2 * dim, head * sizeof(float));
  for (int j = 0; j < length; j += lanes)
    for (int i = 0; i < head; i += lanes) {
      ivec block[lanes] = {};
      for (int each = 0; each < lanes && j + each < length; each++)
        block[each] = loadi(reinterpret_cast<const int32_t *>(q + int64_t(j + each) * 3 * dim + dim + i));
      transpose(block);
      for (int each = 0; each < lanes; each++)
        store(keys + int64_t(j / panel32) * panel32 * head + j % panel32 + int64_t(i + each) * panel32, reinterpret_cast<vec>(block[each]));
    }
  int row = 0;
  for (; row + 8 <= length; row += 8)
    queries<8>(q + int64_t(row) * 3 * dim, keys, values, length, dim, head, y + int64_t(row) * dim, s);
  for (; row + 4 <= length; row += 4)
    queries<4>(q + int64_t(row) * 3 * dim, keys, values, length, dim, head, y + int64_t(row) * dim, s);
  for (; row < length; row++)
    queries<1>(q + int64_t(row) * 3 * dim, keys, values, length, dim, head, y + int64_t(row) * dim, s);
}

void pool(const float *x, int length, int dim, float *y) {
  vec square{};
  for (int i = 0; i < dim; i += lanes) {
    vec total{};
    for (int row = 0; row < length; row++)
      total += load(x + int64_t(row) * dim + i);
    total /= float(length);
    square += total * total;
    store(y + i, total);
  }
  float norm = sqrtf(sum(square)), scale = 1 / (norm > 1e-12f ? norm : 1e-12f);
  for (int i = 0; i < dim; i += lanes)
    store(y + i, load(y + i) * scale);
}

} // namespace
