#include "native.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/gelu.h>

#include <cstring>
#include <exception>

// gotch's binding copies the approximation's name to the C heap at every call and never frees it.
char *consilium_gelu(void **out, void *self) {
  try {
    *out = new at::Tensor(at::gelu(*static_cast<at::Tensor *>(self)));
    return nullptr;
  } catch (const std::exception &e) {
    return strdup(e.what());
  }
}

void consilium_set_num_threads(int n) { at::set_num_threads(n); }

void consilium_manual_seed(unsigned long long seed) { at::manual_seed(seed); }
