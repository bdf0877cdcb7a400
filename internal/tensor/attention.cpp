#include "attention.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <cstring>
#include <exception>

char *consilium_attention(void **out, void *q, void *k, void *v) {
  try {
    *out = new at::Tensor(at::scaled_dot_product_attention(
        *static_cast<at::Tensor *>(q), *static_cast<at::Tensor *>(k), *static_cast<at::Tensor *>(v)));
    return nullptr;
  } catch (const std::exception &e) {
    return strdup(e.what());
  }
}
