// One update of flat buffers, each member with its own numbers; see training/optimiser.py.
#pragma once
#include "cell.h"
#include "interface.h"

namespace lfads {
namespace {

struct AdamW {
  const LfadsAdamW &call;
  int64_t blocks;

  static constexpr int64_t kNumbers = 1 << 14;  // of one task

  bool update(int64_t task) const {
    int64_t p = task / blocks, at = task % blocks * kNumbers;
    if (!call.is_active[p]) return true;
    int64_t n = call.n - at < kNumbers ? call.n - at : kNumbers;
    const float *gradient = call.gradient + p * call.n + at;
    float *weights = call.weights + p * call.n + at;
    float *moment1 = call.moment1 + p * call.n + at, *moment2 = call.moment2 + p * call.n + at;
    const float *own = call.numbers + p * kOwn;
    Vector scale = same(own[kScale]), share1 = same(own[kShare1]), share2 = same(own[kShare2]);
    Vector rate = same(own[kRate]), correction2 = same(own[kCorrection2]);
    Vector epsilon = same(own[kEpsilon]), shrink = same(own[kShrink]);
    sweep(n, [&](int64_t i, auto part) {
      Vector g = load(gradient + i, part) * scale;
      Vector m = load(moment1 + i, part), v = load(moment2 + i, part);
      m = m + share1 * (g - m);
      v = v + share2 * (g * g - v);
      store(moment1 + i, m, part);
      store(moment2 + i, v, part);
      Vector root = square_root(v / correction2) + epsilon;
      store(weights + i, load(weights + i, part) * shrink - rate * m / root, part);
    });
    return true;
  }

  // A member's numbers, in this order.
  enum Own { kScale, kShare1, kShare2, kRate, kCorrection2, kEpsilon, kShrink, kOwn };
};

bool run(const LfadsAdamW &call) {
  AdamW pass{call, (call.n + AdamW::kNumbers - 1) / AdamW::kNumbers};
  return run_all<&AdamW::update>(call.members * pass.blocks, call.threads, pass);
}

}  // namespace
}  // namespace lfads
