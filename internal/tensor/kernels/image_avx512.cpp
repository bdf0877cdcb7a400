// The kernels for pictures on a processor with AVX-512.
#ifdef __x86_64__
#include <immintrin.h>
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")
#endif

#include "image_form.h"

#include "image_body.h"

extern const ImageForm avx512_image_form = {widen, stem, narrow, mean};
