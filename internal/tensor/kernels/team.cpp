// The threads, and how a function of kernels.h is cut into pieces for them.
#include "form.h"

#include <sys/mman.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>

#ifdef __x86_64__
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace {

// How often a thread looks before it gives its processor away, and how often before a helper goes to sleep.
constexpr int spins = 200, patience = 2000;

inline void relax() {
#ifdef __x86_64__
  __builtin_ia32_pause();
#endif
}

struct Scratch {
  std::vector<char> memory;
  void *get(size_t bytes) {
    if (memory.size() < bytes + 64)
      memory.resize(bytes + 64);
    return reinterpret_cast<void *>((reinterpret_cast<uintptr_t>(memory.data()) + 63) & ~uintptr_t(63));
  }
};

} // namespace

// A team runs one job at a time. Its pieces are taken one by one, so that a helper that has lost its processor to
// another process delays the job by one piece, not by its share.
struct consilium_team {
  const Form *form;
  std::vector<Scratch> scratch; // one a thread
  std::vector<std::thread> helpers;

  // The number of the job, and how many pieces of it nobody has taken. A piece is only ever taken together with the
  // number, so that no thread can take a piece of a job that it has not seen begin.
  std::atomic<uint64_t> ticket{0};
  std::atomic<int> unfinished{0};
  void (*run)(void *job, int piece, Scratch &) = nullptr;
  void *job = nullptr;
  int pieces = 0;

  std::mutex mutex; // guards sleeping and the waiting
  std::condition_variable wake;
  std::atomic<int> sleeping{0};
  std::atomic<bool> stop{false};

  static constexpr uint64_t count = 0xffffffff;

  // work takes pieces of the job that runs until none is left.
  void work(Scratch &mine) {
    uint64_t t = ticket.load(std::memory_order_acquire);
    while (t & count) {
      if (!ticket.compare_exchange_weak(t, t - 1, std::memory_order_acq_rel, std::memory_order_acquire))
        continue;
      run(job, pieces - int(t & count), mine);
      unfinished.fetch_sub(1, std::memory_order_acq_rel);
      t = ticket.load(std::memory_order_acquire);
    }
  }

  void help(int number) {
    for (int idle = 0; !stop.load(std::memory_order_acquire);) {
      uint64_t t = ticket.load(std::memory_order_acquire);
      if (t & count) {
        work(scratch[number]);
        idle = 0;
      } else if (++idle < patience) {
        relax();
      } else {
        std::unique_lock<std::mutex> lock(mutex);
        sleeping.fetch_add(1);
        wake.wait(lock, [&] { return stop.load() || (ticket.load() & count) != 0; });
        sleeping.fetch_sub(1);
        idle = 0;
      }
    }
  }

  template <typename F> void parallel(int n, F f) {
    if (helpers.empty() || n == 1) {
      for (int i = 0; i < n; i++)
        f(i, scratch[0]);
      return;
    }
    run = [](void *job, int piece, Scratch &mine) { (*static_cast<F *>(job))(piece, mine); };
    job = &f;
    pieces = n;
    unfinished.store(n, std::memory_order_relaxed);
    uint64_t number = (ticket.load(std::memory_order_relaxed) >> 32) + 1;
    ticket.store(number << 32 | uint64_t(n));
    if (sleeping.load() > 0) {
      std::lock_guard<std::mutex> lock(mutex);
      wake.notify_all();
    }
    work(scratch[0]);
    for (int i = 0; unfinished.load(std::memory_order_acquire) > 0; i++) {
      if (i < spins)
        relax();
      else
        std::this_thread::yield();
    }
  }

  // rows calls f for runs of rows.
  template <typename F> void rows(int n, F f) {
    constexpr int run = 16;
    parallel(panels(n, run), [&](int i, Scratch &mine) { f(i * run, i * run + run < n ? i * run + run : n, mine); });
  }
};

int consilium_best(void) {
#ifdef __x86_64__
  __builtin_cpu_init();
  bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("fma");
  if (!avx512)
    return CONSILIUM_PLAIN;
  // Tiles are a state of the thread that the system has to allow: ARCH_REQ_XCOMP_PERM for XTILEDATA. The processor's
  // word for tiles of int8 is bit 25, of bfloat16 bit 22 of EDX in leaf 7.
  unsigned a, b, c, d;
  __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(0));
  if ((d >> 25 & 1) != 0 && (d >> 22 & 1) != 0 && __builtin_cpu_supports("avx512bf16") && syscall(SYS_arch_prctl, 0x1023, 18) == 0)
    return CONSILIUM_AMX;
  return CONSILIUM_AVX512;
#else
  return CONSILIUM_PLAIN;
#endif
}

void *consilium_memory(int64_t bytes) {
  constexpr int64_t huge = 1 << 21;
  void *p = nullptr;
  int64_t align = bytes >= huge ? huge : 64;
  int64_t size = (bytes + align - 1) / align * align;
  if (posix_memalign(&p, align, size) != 0)
    return nullptr;
#ifdef MADV_HUGEPAGE
  if (align == huge)
    madvise(p, size, MADV_HUGEPAGE); // only a wish
#endif
  __builtin_memset(p, 0, size);
  return p;
}

consilium_team *consilium_team_new(int threads, int level) {
  auto *team = new consilium_team;
  team->form = level == CONSILIUM_AMX ? &amx_form : level == CONSILIUM_AVX512 ? &avx512_form : &plain_form;
  team->scratch.resize(threads);
  for (int i = 1; i < threads; i++)
    team->helpers.emplace_back([team, i] { team->help(i); });
  return team;
}

void consilium_team_free(consilium_team *team) {
  {
    std::lock_guard<std::mutex> lock(team->mutex);
    team->stop.store(true);
  }
  team->wake.notify_all();
  for (std::thread &helper : team->helpers)
    helper.join();
  delete team;
}

int level(const consilium_team *team) {
  return team->form == &amx_form ? CONSILIUM_AMX : team->form == &avx512_form ? CONSILIUM_AVX512 : CONSILIUM_PLAIN;
}

void parallel_pieces(consilium_team *team, int pieces, int64_t bytes, void (*run)(void *f, int piece, void *scratch), void *f) {
  team->parallel(pieces, [=](int i, Scratch &mine) { run(f, i, mine.get(bytes)); });
}

void consilium_multiply32(consilium_team *team, const consilium_linear32 *w, const float *x, int rows, int f, const float *residual,
                          float *y) {
  team->parallel(panels(w->out, panel32), [&](int i, Scratch &) { team->form->multiply32(*w, x, rows, f, residual, y, i); });
}

void consilium_multiply8(consilium_team *team, const consilium_linear8 *w, const consilium_rows8 *x, int rows, int f,
                         const float *residual, float *y) {
  team->parallel(panels(w->out, panel8), [&](int i, Scratch &mine) {
    team->form->multiply8(*w, *x, rows, f, residual, y, i, mine.get(4096));
  });
}

void consilium_quantise(consilium_team *team, const float *x, int rows, int dim, const consilium_rows8 *y) {
  team->rows(rows, [&](int first, int last, Scratch &mine) {
    team->form->quantise(x, first, last, dim, *y, static_cast<float *>(mine.get(dim * sizeof(float))));
  });
}

void consilium_norm(consilium_team *team, float *x, int rows, int dim, const float *weight, const float *bias, float epsilon) {
  team->rows(rows, [&](int first, int last, Scratch &) { team->form->norm(x, first, last, dim, weight, bias, epsilon); });
}

void consilium_gate(consilium_team *team, const float *x, int rows, int dim, float *y) {
  team->rows(rows, [&](int first, int last, Scratch &) { team->form->gate(x, first, last, dim, y); });
}

void consilium_look(consilium_team *team, const float *q, const float *keys, const float *values, int count, int dim, int heads, float *y) {
  float *scores = static_cast<float *>(team->scratch[0].get((count + 16) * sizeof(float)));
  team->form->look(q, keys, values, count, dim, dim / heads, y, scores);
}

void consilium_embed(consilium_team *team, const consilium_text *text, const int32_t *ids, const float *words, const float *positions,
                     const float *segment, float *y) {
  int64_t dim = text->dim;
  team->parallel(text->sequences, [&](int i, Scratch &) {
    for (int64_t row = text->start[i]; row < text->start[i + 1]; row++)
      team->form->add(words + ids[row] * dim, positions + (row - text->start[i]) * dim, segment, dim, y + row * dim);
  });
}

void consilium_attend(consilium_team *team, const consilium_text *text, int rounded, const float *qkv, float *y) {
  int64_t dim = text->dim;
  auto attend = rounded ? team->form->attend_rounded : team->form->attend;
  int head = text->dim / text->heads;
  team->parallel(text->sequences * text->heads, [&](int i, Scratch &mine) {
    int s = i / text->heads, h = i % text->heads, length = text->start[s + 1] - text->start[s];
    float *scratch = static_cast<float *>(mine.get(attend_scratch(length, head) * sizeof(float)));
    attend(qkv + text->start[s] * 3 * dim + h * head, length, dim, head, y + text->start[s] * dim + h * head, scratch);
  });
}

void consilium_read(consilium_team *team, const consilium_reading *readings, int n, int dim, int heads, const float *q, int q_step,
                    const float *memory, int memory_step, const float *bias, float *y, float *weights) {
  int head = dim / heads;
  team->parallel(n * heads, [&](int i, Scratch &mine) {
    const consilium_reading &r = readings[i / heads];
    int h = i % heads;
    float *scratch = static_cast<float *>(mine.get(attend_scratch(r.count, head) * sizeof(float)));
    const float *keys = memory + int64_t(r.memory) * memory_step + h * head;
    team->form->read(r, q + int64_t(r.query) * q_step + h * head, q_step, keys, keys + dim, memory_step,
                     r.bias < 0 ? nullptr : bias + r.bias + int64_t(h) * r.bias_step, dim, head, y + int64_t(r.out) * dim + h * head,
                     r.weights < 0 ? nullptr : weights + r.weights + int64_t(h) * r.queries * r.count, scratch);
  });
}

void consilium_pool(consilium_team *team, const consilium_text *text, const float *x, float *y) {
  int64_t dim = text->dim;
  team->parallel(text->sequences, [&](int i, Scratch &) {
    team->form->pool(x + text->start[i] * dim, text->start[i + 1] - text->start[i], dim, y + i * dim);
  });
}
