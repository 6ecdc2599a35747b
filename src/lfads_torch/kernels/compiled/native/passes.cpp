// Compiled once for each instruction set; VARIANT names the one at hand. LFADS_TILES: products of
// bf16 operands use the tiles of AMX.
#include "adamw.h"
#include "batch.h"
#include "decoder_backward.h"
#include "gru.h"
#include "lagged.h"
#include "poisson.h"
#include "variants.h"
#if defined(LFADS_TILES)
#include "tiled.h"
#else
#include "rounded.h"
#endif

#define NAME2(function, variant) function##_##variant
#define NAME1(function, variant) NAME2(function, variant)
#define NAME(function) NAME1(function, VARIANT)

namespace lfads {

#if defined(LFADS_TILES)
using Brain = Tiled;
#else
using Brain = Rounded;
#endif

bool NAME(gru_forward)(const LfadsGru &call) {
  return call.bf16 ? run<Brain>(call) : run<Single>(call);
}
bool NAME(gru_backward)(const LfadsGru &call) {
  return call.bf16 ? run_back<Brain>(call) : run_back<Single>(call);
}
bool NAME(decoder_forward)(const LfadsDecoder &call) {
  return call.bf16 ? run<Brain>(call) : run<Single>(call);
}
bool NAME(decoder_backward)(const LfadsDecoder &call) {
  return call.bf16 ? run_back<Brain>(call) : run_back<Single>(call);
}
bool NAME(random)(const LfadsRandom &call) { return run(call); }
bool NAME(poisson)(const LfadsPoisson &call) { return run(call); }
bool NAME(batch)(const LfadsBatch &call) { return run(call); }
bool NAME(adamw)(const LfadsAdamW &call) { return run(call); }
bool NAME(lagged)(const LfadsLagged &call) { return run(call); }

}  // namespace lfads
