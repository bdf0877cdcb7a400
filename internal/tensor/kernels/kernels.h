// The C face of the kernels. Matrices are row-major and dense unless a stride is named. Nothing here can fail but
// by a lack of memory, which gives NULL: the Go side checks every size first.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// The instruction sets that there are kernels for, each holding those before it.
enum { CONSILIUM_PLAIN, CONSILIUM_AVX512, CONSILIUM_AMX };

// What consilium_linear does with x W + b.
enum { CONSILIUM_KEEP, CONSILIUM_GELU, CONSILIUM_ADD, CONSILIUM_SILU };

// consilium_linear32 is a weight (out, in) in panels of 48 columns: (panels, in, 48), zeros behind the last column.
typedef struct {
  int in, out;
  const float *panels;
  const float *bias; // (panels 48)
} consilium_linear32;

// consilium_linear8 is a weight with a scale for each output, in panels of 64 columns: (panels, in / 4, 64, 4).
typedef struct {
  int in, out;
  const int8_t *panels;
  const float *bias;   // (panels 64), as are the next two
  const float *scale;  // of the weight
  const int32_t *sums; // of each column of the weight
} consilium_linear8;

// consilium_rows8 is a matrix of bytes, each row with a scale and the byte that stands for zero. Its memory holds rows
// up to the next multiple of 16.
typedef struct {
  uint8_t *bytes;
  float *scale;
  int32_t *zero;
} consilium_rows8;

// consilium_text is a batch of sequences that lie end to end: sequence i has rows start[i] to start[i+1].
typedef struct {
  int sequences, dim, heads;
  const int32_t *start;
} consilium_text;

// consilium_reading is what some rows of queries read from some rows of a memory: rows query.. of the queries and memory.. of the
// memory, written from row out on. From place bias on there is what is added to the products with each of the count rows, for every
// head bias_step further (0: the same for all), and from place weights on there is room for the weights (heads, queries,
// count); -1 where there is neither.
typedef struct {
  int32_t query, queries, memory, count, out, bias, bias_step, weights;
} consilium_reading;

typedef struct consilium_team consilium_team;

// consilium_best returns the widest instruction set of this processor.
int consilium_best(void);

// consilium_memory returns zeroed memory in huge pages where the system gives them, to be freed with free.
void *consilium_memory(int64_t bytes);

// A team is the calling thread and threads - 1 others that wait for it. One thread at a time may call it.
consilium_team *consilium_team_new(int threads, int level);
void consilium_team_free(consilium_team *);

void consilium_pack32(const float *weight, int in, int out, float *panels);
// consilium_pack8 also fills scale and sums. Every 128 neighbouring inputs are turned, as those of consilium_quantise are; row is
// scratch memory of in values.
void consilium_pack8(const float *weight, int in, int out, int8_t *panels, float *scale, int32_t *sums, float *row);

// y (rows, out) = f(x (rows, in) W^T + b), with residual (rows, out) for CONSILIUM_ADD, which may be y.
void consilium_multiply32(consilium_team *, const consilium_linear32 *, const float *x, int rows, int f, const float *residual, float *y);
void consilium_multiply8(consilium_team *, const consilium_linear8 *, const consilium_rows8 *x, int rows, int f, const float *residual, float *y);

// Each row of x (rows, dim) as bytes. Every 128 neighbouring values are multiplied by Hadamard's matrix first (Ashkboos et al.
// 2024, https://arxiv.org/abs/2404.00456): a product with weights turned in the same way is 128 times what it was, and a
// value that is far larger than the others of its row no longer takes the digits of all.
void consilium_quantise(consilium_team *, const float *x, int rows, int dim, const consilium_rows8 *y);

// Layer normalisation of each row, in place.
void consilium_norm(consilium_team *, float *x, int rows, int dim, const float *weight, const float *bias, float epsilon);

// y (rows, dim) = tanh times logistic function of the halves of each row of x (rows, 2 dim).
void consilium_gate(consilium_team *, const float *x, int rows, int dim, float *y);

// y (dim) = what a query (dim) of so many heads reads from rows (count, dim) of keys and values.
void consilium_look(consilium_team *, const float *q, const float *keys, const float *values, int count, int dim, int heads, float *y);

// y (rows, dim) = words[ids] + positions[place in the sequence] + segment.
void consilium_embed(consilium_team *, const consilium_text *, const int32_t *ids, const float *words, const float *positions,
                     const float *segment, float *y);

// y (rows, dim) = attention within each sequence of qkv (rows, 3 dim); rounded lets it round to bfloat16.
void consilium_attend(consilium_team *, const consilium_text *, int rounded, const float *qkv, float *y);

// y (rows, dim) = attention of n readings. Rows of q are q_step values apart, those of the memory, which are keys (dim) and values (dim),
// memory_step.
void consilium_read(consilium_team *, const consilium_reading *, int n, int dim, int heads, const float *q, int q_step, const float *memory,
                    int memory_step, const float *bias, float *y, float *weights);

// y (sequences, dim) = the mean over each sequence of x (rows, dim), at Euclidean length 1.
void consilium_pool(consilium_team *, const consilium_text *, const float *x, float *y);

#ifdef __cplusplus
}
#endif
