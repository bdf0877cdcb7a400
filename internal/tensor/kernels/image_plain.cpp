// The kernels for pictures on any processor, and the packing of their weights.
#include "image_form.h"

#include "image_body.h"

extern const ImageForm plain_image_form = {widen, stem, narrow, mean};

void consilium_pack_point(const float *weight, int in, int out, float *packed) {
  for (int p = 0; p < panels(out, panel32); p++)
    for (int k = 0; k < in; k++)
      for (int c = 0; c < channels(consilium_point{in, out, nullptr, nullptr}, p); c++) {
        int column = p * panel32 + c;
        *packed++ = column < out ? weight[int64_t(column) * in + k] : 0;
      }
}
