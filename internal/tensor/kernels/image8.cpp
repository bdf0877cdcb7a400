// How a function of image8.h is cut into pieces for the threads.
#include "image8_form.h"

namespace {

const Image8Form &form(const consilium_team *team) { return level(team) == CONSILIUM_AMX ? amx_image8_form : avx512_image8_form; }

// The bytes that the rows of a band may take, so that they stay in a core's cache.
constexpr int64_t room = 128 << 10;

// bands calls f for all bands of all images, with scratch memory for their rows and so many bytes more.
template <typename F>
void bands(consilium_team *team, int pieces, const consilium_depth8 *d, int images, int side, int more, F f) {
  const int out = side / d->stride, step = step_rows(d->kernel, d->stride);
  int rows = (int(room / (int64_t(side) * 64)) - d->kernel) / d->stride + 1;
  rows = rows < step ? step : rows / step * step;
  rows = rows < out ? rows : out;
  int64_t bytes = band8((rows - 1) * d->stride + d->kernel, side, d->kernel, d->stride) + more;
  int along = panels(out, rows);
  parallel(team, images * along * pieces, bytes, [&](int i, void *scratch) {
    int image = i / (along * pieces), first = i / pieces % along * rows;
    f(image, Band{first, first + rows < out ? first + rows : out, i % pieces}, static_cast<uint8_t *>(scratch));
  });
}

} // namespace

void consilium_widen8(consilium_team *team, const consilium_point8 *w, const consilium_depth8 *d, const uint8_t *x, int images, int side,
                      uint8_t *y) {
  int64_t in = int64_t(side) * side * w->in, out = int64_t(side / d->stride) * (side / d->stride) * d->channels;
  bands(team, panels(w->out, w->vectors * 16), d, images, side, 0,
        [&](int image, Band band, uint8_t *scratch) { form(team).widen(*w, *d, x + image * in, side, band, y + image * out, scratch); });
}

void consilium_stem8(consilium_team *team, const consilium_point *w, const consilium_depth8 *d, const float *x, int images, int side,
                     uint8_t *y) {
  int64_t in = int64_t(3) * 4 * side * side, out = int64_t(side / d->stride) * (side / d->stride) * d->channels;
  bands(team, 1, d, images, side, stem_row(side) * sizeof(float),
        [&](int image, Band band, uint8_t *scratch) { form(team).stem(*w, *d, x + image * in, side, band, y + image * out, scratch); });
}

void consilium_narrow8(consilium_team *team, const consilium_point8 *w, const uint8_t *x, int rows, int f, const float *residual, float *y,
                       const float *share, const float *zero, uint8_t *bytes) {
  const int run = rows <= 2 * together8 ? together8 : 4 * together8, pieces = panels(w->out, w->vectors * 16);
  const Narrowed to{residual, y, share, zero, bytes};
  parallel(team, panels(rows, run) * pieces, sums8, [&](int i, void *scratch) {
    int first = i / pieces * run, last = first + run < rows ? first + run : rows;
    form(team).narrow(*w, x, first, last, f, to, i % pieces, static_cast<uint8_t *>(scratch));
  });
}
