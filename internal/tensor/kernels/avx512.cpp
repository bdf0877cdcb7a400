// The kernels for a processor with AVX-512 and its dot product of bytes (VNNI).
#ifdef __x86_64__
#include <immintrin.h>
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")
#define CONSILIUM_VNNI // g++ 12 defines no __AVX512VNNI__ after the line above
#endif

#include "form.h"

#include "body.h"
#include "read_body.h"

extern const Form avx512_form = {multiply32, multiply8, quantise, norm, gate, look, add, attend, attend, pool, read};
