// Included behind body.h: attention with a bias, whose weights somebody wants to see.
#include <type_traits>

namespace {

// read_rows handles R queries: their products with the keys (panels of 48), the softmax, and the sum of the values. s holds the products.
template <int R>
INLINE void read_rows(const float *q, int64_t q_step, const float *keys, const float *bias, const float *values, int64_t memory_step, int count,
                      int dim, int head, float *y, float *weights, float *s) {
  int wide = panels(count, panel32) * panel32, used = panels(count, lanes) * lanes;
  for (int j = 0; j < count; j += panel32) {
    vec c[R][3];
    tile<R, 3>(q, q_step, keys + int64_t(j) * head, panel32, head, c);
    for (int r = 0; r < R; r++)
      for (int v = 0; v < 3; v++)
        store(s + r * wide + j + v * lanes, c[r][v]);
  }
  float part[R], scale = 1 / sqrtf(head);
  for (int r = 0; r < R; r++) {
    float *row = s + r * wide;
    vec high = all(-1e30f), total{};
    for (int j = 0; j < used; j += lanes) {
      vec logits = load(row + j) * scale + load(bias + j);
      high = larger(high, logits);
      store(row + j, logits);
    }
    float top = largest(high);
    for (int j = 0; j < used; j += lanes) {
      vec e = exponential(load(row + j) - top);
      total += e;
      store(row + j, e);
    }
    part[r] = 1 / sum(total);
    for (int j = 0; weights && j < count; j++)
      weights[int64_t(r) * count + j] = row[j] * part[r];
  }
  for (int column = 0; column < head; column += 2 * lanes) {
    vec c[R][2];
    tile<R, 2>(s, wide, values + column, memory_step, count, c);
    for (int r = 0; r < R; r++)
      for (int v = 0; v < 2; v++)
        store(y + int64_t(r) * dim + column + v * lanes, c[r][v] * part[r]);
  }
}

void read(const consilium_reading &reading, const float *q, int64_t q_step, const float *keys, const float *values, int64_t memory_step,
          const float *bias, int dim, int head, float *y, float *weights, float *scratch) {
  int count = reading.count, wide = panels(count, panel32) * panel32;
  float *turned_keys = scratch, *padded = turned_keys + int64_t(wide) * head, *s = padded + wide;
  for (int j = 0; j < wide; j++)
    padded[j] = j >= count ? -1e30f : bias ? bias[j] : 0; // what is behind the last key is as if far from every query
  for (int j = 0; j < wide; j += lanes)
    for (int i = 0; i < head; i += lanes) {
      ivec block[lanes] = {};
      for (int each = 0; each < lanes && j + each < count; each++)
        block[each] = loadi(reinterpret_cast<const int32_t *>(keys + (j + each) * memory_step + i));
      transpose(block);
      for (int each = 0; each < lanes; each++)
        store(turned_keys + int64_t(j / panel32) * panel32 * head + j % panel32 + int64_t(i + each) * panel32,
              reinterpret_cast<vec>(block[each]));
    }
  int row = 0, rows = reading.queries;
  auto some = [&](auto each) {
    read_rows<decltype(each)::value>(q + row * q_step, q_step, turned_keys, padded, values, memory_step, count, dim, head,
                                     y + int64_t(row) * dim, weights ? weights + int64_t(row) * count : nullptr, s);
    row += decltype(each)::value;
  };
  while (row + 8 <= rows)
    some(std::integral_constant<int, 8>{});
  while (row + 4 <= rows)
    some(std::integral_constant<int, 4>{});
  while (row < rows)
    some(std::integral_constant<int, 1>{});
}

} // namespace
