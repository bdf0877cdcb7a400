#include "script.h"

#include <caffe2/serialize/read_adapter_interface.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/serialization/import.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace {

// Memory is an archive that lies in memory already: libtorch copies out of it what it reads.
class Memory : public caffe2::serialize::ReadAdapterInterface {
public:
  Memory(const void *data, size_t size) : data_(static_cast<const char *>(data)), size_(size) {}
  size_t size() const override { return size_; }
  size_t read(uint64_t pos, void *buf, size_t n, const char *) const override {
    if (pos >= size_)
      return 0;
    n = std::min<size_t>(n, size_ - pos);
    std::memcpy(buf, data_ + pos, n);
    return n;
  }

private:
  const char *data_;
  size_t size_;
};

void collect(torch::jit::Block *block, std::set<std::string> &kinds) {
  for (torch::jit::Node *node : block->nodes()) {
    kinds.insert(node->kind().toQualString());
    for (torch::jit::Block *inner : node->blocks())
      collect(inner, kinds);
  }
}

// guarded runs f and gives what it throws as a message, whatever it throws.
template <typename F> char *guarded(F f) {
  try {
    f();
    return nullptr;
  } catch (const std::exception &e) {
    return strdup(e.what());
  } catch (...) {
    return strdup("an exception of an unknown kind");
  }
}

} // namespace

char *consilium_script_load(void **out, const void *data, size_t size) {
  return guarded([&] {
    // A profiling run would compile the module anew for each shape that it meets; ours are always the same.
    torch::jit::getProfilingMode() = false;
    torch::jit::getExecutorMode() = false;
    auto module = torch::jit::load(std::make_shared<Memory>(data, size), at::Device(at::kCPU), false);
    module.eval();
    *out = new torch::jit::Module(module);
  });
}

char *consilium_script_operators(void *module, char **kinds, int *arguments) {
  return guarded([&] {
    auto forward = static_cast<torch::jit::Module *>(module)->get_method("forward");
    *arguments = static_cast<int>(forward.function().getSchema().arguments().size()) - 1;
    auto graph = forward.graph()->copy();
    torch::jit::Inline(*graph);
    std::set<std::string> found;
    collect(graph->block(), found);
    std::string text;
    for (const auto &kind : found)
      text += kind + "\n";
    *kinds = strdup(text.c_str());
  });
}

char *consilium_script_forward(void **out, void *module, void **inputs, int n) {
  return guarded([&] {
    std::vector<c10::IValue> arguments;
    for (int i = 0; i < n; i++)
      arguments.emplace_back(*static_cast<at::Tensor *>(inputs[i]));
    auto result = static_cast<torch::jit::Module *>(module)->forward(std::move(arguments));
    TORCH_CHECK(result.isTensor(), "forward returned a ", result.tagKind(), ", want one tensor");
    *out = new at::Tensor(result.toTensor());
  });
}

void consilium_script_free(void *module) { delete static_cast<torch::jit::Module *>(module); }
