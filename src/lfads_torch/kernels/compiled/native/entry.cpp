// The C interface: which instruction sets run here, and the call of the wanted one.
#include "interface.h"
#include "variants.h"

namespace {

enum Instructions : int32_t { kGeneric, kAvx2, kAvx512 };
enum Answer : int32_t { kDone, kNoMemory, kNotHere };

int32_t answer(bool done) { return done ? kDone : kNoMemory; }

}  // namespace

extern "C" {

int32_t lfads_interface(void) { return LFADS_INTERFACE; }

int32_t lfads_supports(int32_t instructions) {
  switch (instructions) {
    case kGeneric:
      return 1;
#ifdef LFADS_AVX2
    case kAvx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
#ifdef LFADS_AVX512
    case kAvx512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    default:
      return 0;
  }
}

#ifdef LFADS_AVX2
#define CASE_AVX2(function) \
  case kAvx2:               \
    return answer(lfads::function##_avx2(*call));
#else
#define CASE_AVX2(function)
#endif
#ifdef LFADS_AVX512
#define CASE_AVX512(function) \
  case kAvx512:               \
    return answer(lfads::function##_avx512(*call));
#else
#define CASE_AVX512(function)
#endif
#define DISPATCH(function, Call)                                          \
  int32_t lfads_##function(int32_t instructions, const Call *call) {      \
    if (!lfads_supports(instructions)) return kNotHere;                   \
    switch (instructions) {                                               \
      CASE_AVX512(function)                                               \
      CASE_AVX2(function)                                                 \
      default:                                                            \
        return answer(lfads::function##_generic(*call));                  \
    }                                                                     \
  }

DISPATCH(gru_forward, LfadsGru)
DISPATCH(gru_backward, LfadsGru)
DISPATCH(decoder_forward, LfadsDecoder)
DISPATCH(decoder_backward, LfadsDecoder)
DISPATCH(random, LfadsRandom)
DISPATCH(poisson, LfadsPoisson)
DISPATCH(batch, LfadsBatch)
DISPATCH(adamw, LfadsAdamW)
DISPATCH(lagged, LfadsLagged)
}
