// What the controller sees of its encoder: states of other bins, dropped out; see model/encoder.py.
#pragma once
#include "cell.h"
#include "interface.h"

namespace lfads {
namespace {

struct Lagged {
  const LfadsLagged &call;

  // The bin whose state of direction d is seen at bin t; outside of the encoded ones: none is.
  INLINE int64_t bin_seen(int64_t d, int64_t t) const {
    if (t >= call.encoded_bins) return -1;
    int64_t bin = d == 0 ? t - call.lag : t + call.lag;
    return bin < call.encoded_bins ? bin : -1;
  }

  bool forward(int64_t task) const {
    int64_t p = task / call.bins, t = task % call.bins, H = call.size;
    for (int64_t d = 0; d < 2; ++d) {
      int64_t bin = bin_seen(d, t);
      for (int64_t b = 0; b < call.trials; ++b) {
        int64_t to = (task * call.trials + b) * 2 * H + d * H;
        if (bin < 0) {
          fill(call.seen + to, H, 0.0f);
          continue;
        }
        const float *from = call.states + (((p * 2 + d) * call.encoded_bins + bin) * call.trials + b) * H;
        masked(call.seen + to, from, call.mask == nullptr ? nullptr : call.mask + to, H);
      }
    }
    return true;
  }

  bool backward(int64_t task) const {
    int64_t pd = task / call.encoded_bins, bin = task % call.encoded_bins, H = call.size;
    int64_t p = pd / 2, d = pd % 2, t = d == 0 ? bin + call.lag : bin - call.lag;
    bool is_seen = t >= 0 && t < call.bins && t < call.encoded_bins;
    float *out = call.of_states + task * call.trials * H;
    for (int64_t b = 0; b < call.trials; ++b, out += H) {
      int64_t from = ((p * call.bins + t) * call.trials + b) * 2 * H + d * H;
      if (!is_seen) {
        fill(out, H, 0.0f);
      } else {
        masked(out, call.of_seen + from, call.mask == nullptr ? nullptr : call.mask + from, H);
      }
    }
    return true;
  }
};

bool run(const LfadsLagged &call) {
  Lagged pass{call};
  if (call.of_states != nullptr) {
    return run_all<&Lagged::backward>(call.members * 2 * call.encoded_bins, call.threads, pass);
  }
  return run_all<&Lagged::forward>(call.members * call.bins, call.threads, pass);
}

}  // namespace
}  // namespace lfads
