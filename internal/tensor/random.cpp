#include "random.h"

#include <ATen/Context.h>
#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstring>
#include <exception>
#include <mutex>

static const at::Generator &generator(int device) {
  return at::globalContext().defaultGenerator(device < 0 ? at::Device(at::kCPU)
                                                         : at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device)));
}

char *consilium_random_state(void **out, int device) {
  try {
    at::Generator g = generator(device);
    std::lock_guard<std::mutex> lock(g.mutex());
    *out = new at::Tensor(g.get_state());
    return nullptr;
  } catch (const std::exception &e) {
    return strdup(e.what());
  }
}

char *consilium_set_random_state(void *state, int device) {
  try {
    at::Generator g = generator(device);
    std::lock_guard<std::mutex> lock(g.mutex());
    g.set_state(*static_cast<at::Tensor *>(state));
    return nullptr;
  } catch (const std::exception &e) {
    return strdup(e.what());
  }
}
