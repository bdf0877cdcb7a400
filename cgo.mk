# The one place where the C++ build of gotch is described. Go's build cache keys the two and a half
# minutes of compiling gotch by the bytes of these variables, so every target, test and editor takes
# them from here (`eval "$(make -s env)"` in a shell).
#
# gotch's own flags name the CUDA libraries. STUB holds an empty archive for each, so that a libtorch
# without CUDA links; LIBTORCH/lib comes first, so a libtorch with CUDA is linked for real.
CACHE    := $(or $(CONSILIUM_CACHE),$(HOME)/.cache/consilium)
LIBTORCH := $(or $(CONSILIUM_LIBTORCH),$(CACHE)/libtorch-2.1.2)
STUB     := $(CACHE)/stub

export CGO_ENABLED  := 1
export CGO_CXXFLAGS := -g0 -O1 -D_GLIBCXX_USE_CXX11_ABI=0
export CGO_LDFLAGS  := -Wl,--no-as-needed -Wl,-rpath,$(LIBTORCH)/lib -L$(LIBTORCH)/lib -L$(STUB)
export CPATH        := $(LIBTORCH)/include:$(LIBTORCH)/include/torch/csrc/api/include
export LIBRARY_PATH := $(LIBTORCH)/lib:$(STUB)
