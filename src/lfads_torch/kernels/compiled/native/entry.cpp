// The C interface: which instruction sets run here, and the call of the wanted one.
#include "interface.h"
#include "processor.h"
#include "variants.h"

namespace {

enum Instructions : int32_t { kGeneric, kAvx2, kAvx512, kAmx, kAvx512Emulated, kAmxEmulated };
enum Answer : int32_t { kDone, kNoMemory, kNotHere };

int32_t answer(bool done) { return done ? kDone : kNoMemory; }

#ifdef LFADS_AVX2
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#endif
#ifdef LFADS_AVX512
bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && has_avx2();
}
#endif

bool is_bf16(const LfadsGru &call) { return call.bf16; }
bool is_bf16(const LfadsDecoder &call) { return call.bf16; }
template <class Call>
bool is_bf16(const Call &) {
  return false;
}

template <class Call>
bool can_run(int32_t instructions, const Call &call) {
  return is_bf16(call) ? lfads_supports_bf16(instructions) : lfads_supports(instructions);
}

}  // namespace

extern "C" {

int32_t lfads_interface(void) { return LFADS_INTERFACE; }

int32_t lfads_supports(int32_t instructions) {
  switch (instructions) {
    case kGeneric:
      return 1;
#ifdef LFADS_AVX2
    case kAvx2:
      return has_avx2();
#endif
#ifdef LFADS_AVX512
    case kAvx512:
      return has_avx512();
#endif
#ifdef LFADS_AMX
    case kAmx:
      return has_avx512() && __builtin_cpu_supports("avx512bf16") && lfads::has_tiles();
#endif
#ifdef LFADS_AVX512_EMULATED
    case kAvx512Emulated:
      return has_avx2();
#endif
#ifdef LFADS_AMX_EMULATED
    case kAmxEmulated:
      return has_avx2();
#endif
    default:
      return 0;
  }
}

int32_t lfads_supports_bf16(int32_t instructions) {
  return lfads_supports(instructions) && (instructions != kAmx || lfads::may_use_tiles());
}

#define CASE(number, variant, function) \
  case number:                          \
    return answer(lfads::function##_##variant(*call));
#ifdef LFADS_AVX2
#define CASE_AVX2(function) CASE(kAvx2, avx2, function)
#else
#define CASE_AVX2(function)
#endif
#ifdef LFADS_AVX512
#define CASE_AVX512(function) CASE(kAvx512, avx512, function)
#else
#define CASE_AVX512(function)
#endif
#ifdef LFADS_AMX
#define CASE_AMX(function) CASE(kAmx, amx, function)
#else
#define CASE_AMX(function)
#endif
#ifdef LFADS_AVX512_EMULATED
#define CASE_AVX512_EMULATED(function) CASE(kAvx512Emulated, avx512_emulated, function)
#else
#define CASE_AVX512_EMULATED(function)
#endif
#ifdef LFADS_AMX_EMULATED
#define CASE_AMX_EMULATED(function) CASE(kAmxEmulated, amx_emulated, function)
#else
#define CASE_AMX_EMULATED(function)
#endif
#define DISPATCH(function, Call)                                     \
  int32_t lfads_##function(int32_t instructions, const Call *call) { \
    if (!can_run(instructions, *call)) return kNotHere;              \
    switch (instructions) {                                          \
      CASE_AVX2(function)                                            \
      CASE_AVX512(function)                                          \
      CASE_AMX(function)                                             \
      CASE_AVX512_EMULATED(function)                                 \
      CASE_AMX_EMULATED(function)                                    \
      default:                                                       \
        return answer(lfads::function##_generic(*call));             \
    }                                                                \
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
