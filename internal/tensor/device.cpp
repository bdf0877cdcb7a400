#include "device.h"

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <cstring>
#include <dlfcn.h>
#include <exception>
#include <string>
#include <vector>

// A tensor in the host's memory. CUDA copies pinned memory without the processor; libtorch keeps blocks of it for the next
// tensor, and not before a copy from them has ended.
static at::Tensor on_host(at::IntArrayRef shape, at::ScalarType kind, bool pinned) {
  return at::empty(shape, at::TensorOptions().dtype(kind).pinned_memory(pinned));
}

char *consilium_upload(void **out, const void *data, const long long *shape, int dims, int kind, int device) {
  try {
    std::vector<int64_t> sizes(shape, shape + dims);
    at::Tensor host = on_host(sizes, static_cast<at::ScalarType>(kind), device >= 0);
    if (host.nbytes() > 0)
      std::memcpy(host.data_ptr(), data, host.nbytes());
    *out = new at::Tensor(device < 0 ? host : host.to(at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device)), /*non_blocking=*/true));
    return nullptr;
  } catch (const std::exception &e) {
    return strdup(e.what());
  }
}

char *consilium_download(void *data, void *self, int kind) {
  try {
    at::Tensor x = static_cast<at::Tensor *>(self)->detach().to(static_cast<at::ScalarType>(kind)).contiguous();
    if (x.is_cuda()) {
      at::Tensor host = on_host(x.sizes(), x.scalar_type(), true);
      host.copy_(x, /*non_blocking=*/false); // waits for the stream
      x = host;
    }
    if (x.nbytes() > 0)
      std::memcpy(data, x.data_ptr(), x.nbytes());
    return nullptr;
  } catch (const std::exception &e) {
    return strdup(e.what());
  }
}

// The calling thread's work goes to the device on a stream of its own. libtorch reaches the device's side through a table,
// so that this links without it.
char *consilium_own_stream(int device) {
  try {
    at::globalContext().lazyInitCUDA();
    at::globalContext().setAllowTF32CuDNN(false); // else convolutions of float32 would keep 10 bits of 23
    c10::impl::VirtualGuardImpl cuda(at::kCUDA);
    at::Device d(at::kCUDA, static_cast<c10::DeviceIndex>(device));
    cuda.setDevice(d);
    cuda.exchangeStream(cuda.getStreamFromGlobalPool(d));
    return nullptr;
  } catch (const std::exception &e) {
    return strdup(e.what());
  }
}

// Waits for the work that the calling thread gave the device.
char *consilium_synchronize(int device) {
  try {
    c10::impl::VirtualGuardImpl cuda(at::kCUDA);
    cuda.synchronizeStream(cuda.getStream(at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device))));
    return nullptr;
  } catch (const std::exception &e) {
    return strdup(e.what());
  }
}

// What is free on the calling thread's device. Every libtorch loads CUDA's runtime, under names that differ.
char *consilium_free_memory(unsigned long long *bytes) {
  auto info = reinterpret_cast<int (*)(size_t *, size_t *)>(dlsym(RTLD_DEFAULT, "cudaMemGetInfo"));
  if (!info)
    return strdup("there is no CUDA runtime");
  size_t free = 0, total = 0;
  if (int code = info(&free, &total))
    return strdup(("cudaMemGetInfo returns error " + std::to_string(code)).c_str());
  *bytes = free;
  return nullptr;
}
