// How a function of image.h is cut into pieces for the threads.
#include "image_form.h"

namespace {

const ImageForm &form(const consilium_team *team) { return level(team) == CONSILIUM_PLAIN ? plain_image_form : avx512_image_form; }

// The floats that the rows of a band may take, so that they stay in a core's cache.
constexpr int64_t room = 48 << 10;

// bands calls f for all bands of all images, with scratch memory for their rows and so many floats more.
template <typename F>
void bands(consilium_team *team, const consilium_point *w, const consilium_depth *d, int images, int side, int more, F f) {
  int out = side / d->stride, pieces = panels(w->out, panel32);
  int64_t line = int64_t(wide(side, d->kernel, d->stride)) * (pieces == 1 ? padded(w->out) : panel32);
  int rows = (int(room / line) - d->kernel) / d->stride + 1;
  rows = rows < 1 ? 1 : rows > out ? out : rows;
  int64_t floats = ((rows - 1) * d->stride + d->kernel) * line + more;
  int along = panels(out, rows);
  parallel(team, images * along * pieces, floats * sizeof(float), [&](int i, void *scratch) {
    int image = i / (along * pieces), first = i / pieces % along * rows;
    f(image, Band{first, first + rows < out ? first + rows : out, i % pieces}, static_cast<float *>(scratch));
  });
}

} // namespace

void consilium_widen(consilium_team *team, const consilium_point *w, const consilium_depth *d, const float *x, int images, int side,
                     float *y) {
  int out = side / d->stride;
  bands(team, w, d, images, side, 0, [&](int image, Band band, float *scratch) {
    form(team).widen(*w, *d, x + int64_t(image) * side * side * padded(w->in), side, band, y + int64_t(image) * out * out * d->channels,
                     scratch);
  });
}

void consilium_stem(consilium_team *team, const consilium_point *w, const consilium_depth *d, const float *x, int images, int side, float *y) {
  int out = side / d->stride;
  bands(team, w, d, images, side, stem_row(side), [&](int image, Band band, float *scratch) {
    form(team).stem(*w, *d, x + int64_t(image) * 3 * 4 * side * side, side, band, y + int64_t(image) * out * out * d->channels, scratch);
  });
}

void consilium_narrow(consilium_team *team, const consilium_point *w, const float *x, int rows, int f, const float *residual, float *y) {
  constexpr int run = 98;
  int pieces = panels(w->out, panel32);
  parallel(team, panels(rows, run) * pieces, 0, [&](int i, void *) {
    int first = i / pieces * run, last = first + run < rows ? first + run : rows;
    int64_t to = int64_t(first) * padded(w->out);
    form(team).narrow(*w, x + int64_t(first) * padded(w->in), last - first, f, residual + to, y + to, i % pieces);
  });
}

void consilium_mean(consilium_team *team, const float *x, int images, int cells, int dim, float *y) {
  parallel(team, images, 0, [&](int i, void *) { form(team).mean(x + int64_t(i) * cells * dim, cells, dim, y + int64_t(i) * dim); });
}
