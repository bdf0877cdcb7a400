// What one instruction set has to offer: parts of the functions of kernels.h that need no other thread.
#pragma once

#include "kernels.h"

struct Form {
  // Panel number panel of a product, for all rows. scratch is aligned and holds 4,096 bytes.
  void (*multiply32)(const consilium_linear32 &, const float *x, int rows, int f, const float *residual, float *y, int panel);
  void (*multiply8)(const consilium_linear8 &, const consilium_rows8 &x, int rows, int f, const float *residual, float *y, int panel,
                    void *scratch);
  // Rows from first up to, not including, last. row is scratch memory of dim values.
  void (*quantise)(const float *x, int first, int last, int dim, const consilium_rows8 &y, float *row);
  void (*norm)(float *x, int first, int last, int dim, const float *weight, const float *bias, float epsilon);
  void (*gate)(const float *x, int first, int last, int dim, float *y);
  void (*look)(const float *q, const float *keys, const float *values, int count, int dim, int head, float *y, float *scores);
  void (*add)(const float *a, const float *b, const float *c, int dim, float *y); // y = a + b + c
  // One head of one sequence. q points to its first query; k and v lie dim and 2 dim further, rows 3 dim apart.
  void (*attend)(const float *q, int length, int dim, int head, float *y, float *scratch);
  // The same, of values rounded to bfloat16 where there are instructions for it.
  void (*attend_rounded)(const float *q, int length, int dim, int head, float *y, float *scratch);
  void (*pool)(const float *x, int length, int dim, float *y);
  // One head of one reading. keys and values are memory_step apart from row to row; bias and weights (queries, count) may be NULL.
  void (*read)(const consilium_reading &, const float *q, int64_t q_step, const float *keys, const float *values, int64_t memory_step,
               const float *bias, int dim, int head, float *y, float *weights, float *scratch);
};

// The level of a team.
int level(const consilium_team *);

// parallel calls f(piece, scratch) for each piece on the team's threads; scratch is aligned and holds so many bytes.
void parallel_pieces(consilium_team *, int pieces, int64_t bytes, void (*)(void *f, int piece, void *scratch), void *f);
template <typename F> void parallel(consilium_team *team, int pieces, int64_t bytes, F f) {
  parallel_pieces(team, pieces, bytes, [](void *f, int piece, void *scratch) { (*static_cast<F *>(f))(piece, scratch); }, &f);
}

extern const Form plain_form, avx512_form, amx_form;

// The columns of a panel.
constexpr int panel32 = 48, panel8 = 64;

// How many neighbouring inputs of a layer of bytes are turned together.
constexpr int turned = 128;

constexpr int panels(int columns, int panel) { return (columns + panel - 1) / panel; }

// The number of floats that attend and attend_rounded need as scratch memory.
constexpr int64_t attend_scratch(int length, int head) {
  int64_t whole = int64_t(panels(length, panel32)) * panel32 * (2 * head + 8) + 64, rounded = int64_t(panels(length, 32)) * 32 * 56 + 768;
  return whole > rounded ? whole : rounded;
}
