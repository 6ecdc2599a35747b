// The passes of every instruction set that the compiler could make.
#pragma once
#include "interface.h"

#define LFADS_DECLARE(variant)                            \
  bool gru_forward_##variant(const LfadsGru &);           \
  bool gru_backward_##variant(const LfadsGru &);          \
  bool decoder_forward_##variant(const LfadsDecoder &);   \
  bool decoder_backward_##variant(const LfadsDecoder &);  \
  bool random_##variant(const LfadsRandom &);             \
  bool poisson_##variant(const LfadsPoisson &);           \
  bool batch_##variant(const LfadsBatch &);               \
  bool adamw_##variant(const LfadsAdamW &);               \
  bool lagged_##variant(const LfadsLagged &);

namespace lfads {

LFADS_DECLARE(generic)
LFADS_DECLARE(avx2)
LFADS_DECLARE(avx512)
LFADS_DECLARE(amx)
LFADS_DECLARE(avx512_emulated)
LFADS_DECLARE(amx_emulated)

}  // namespace lfads
