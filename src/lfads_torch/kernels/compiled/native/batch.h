// A training batch: trials gathered by index, hidden by coordinated dropout, dropped out, and put
// in the order of time. The numbers are those of training/augment.py and model/encoder.py.
#pragma once
#include "random.h"

namespace lfads {
namespace {

struct Batch {
  const LfadsBatch &call;
  int64_t hidden, dropped;  // elements of a trial that the two dropouts draw for

  explicit Batch(const LfadsBatch &given)
      : call(given), hidden((given.encoded_bins - given.first_bin) * given.units),
        dropped(given.encoded_bins * given.inputs) {}

  Stream stream(uint32_t site, int64_t index) const {
    return {call.key0, site, call.step, static_cast<uint32_t>(call.member[index / call.trials]),
            static_cast<uint32_t>(call.row[index])};
  }

  bool trial(int64_t index) const {
    int64_t n_hidden = halves_room(hidden), n_dropped = halves_room(dropped);
    float *memory = thread_memory((2 * n_hidden + n_dropped + call.inputs + 1) / 2);
    if (memory == nullptr) return false;
    uint16_t *hides = reinterpret_cast<uint16_t *>(memory);
    uint16_t *passes = hides + n_hidden, *drops = passes + n_hidden, *room = drops + n_dropped;
    if (call.hide_threshold != nullptr) {
      draw_halves(hidden, stream(call.hide_site, index), hides);
      if (call.pass_threshold != nullptr) {
        draw_halves(hidden, stream(call.pass_site, index), passes);
      }
      write_gradient(index, hides, passes);
    }
    if (call.drop_threshold != nullptr) draw_halves(dropped, stream(call.drop_site, index), drops);
    write_input(index, hides, drops, room);
    return true;
  }

  // `room`: for a number of each encoded unit.
  void write_input(int64_t index, const uint16_t *hides, const uint16_t *drops,
                   uint16_t *room) const {
    int64_t p = index / call.trials, b = index % call.trials, I = call.inputs;
    const float *counts = call.counts + call.index[index] * call.recording_bins * call.units;
    bool hides_some = call.hide_threshold != nullptr;
    uint32_t kept = hides_some ? static_cast<uint32_t>(call.hide_threshold[p]) : 0;
    float kept_scale = hides_some ? static_cast<float>(call.hide_scale[p]) : 1.0f;
    for (int64_t t = 0; t < call.encoded_bins; ++t, counts += call.units) {
      float *out = call.x + ((p * call.encoded_bins + t) * call.trials + b) * I;
      for (int64_t i = 0; i < I; ++i) out[i] = counts[call.unit[i]];
      if (hides_some && t >= call.first_bin) {
        const uint16_t *hide = hides + (t - call.first_bin) * call.units;
        // Numbers first gathered, then compared: a branch on random numbers would be guessed wrong.
        for (int64_t i = 0; i < I; ++i) room[i] = hide[call.unit[i]];
        for (int64_t i = 0; i < I; ++i) out[i] = room[i] < kept ? out[i] * kept_scale : 0.0f;
      }
      if (call.drop_threshold != nullptr) drop(p, drops + t * I, out);
    }
  }

  void drop(int64_t p, const uint16_t *drops, float *out) const {
    uint32_t threshold = static_cast<uint32_t>(call.drop_threshold[p]);
    float scale = static_cast<float>(call.drop_scale[p]);
    for (int64_t i = 0; i < call.inputs; ++i) {
      out[i] *= drops[i] < threshold ? scale : 0.0f;
    }
  }

  // Hidden entries give gradient, and those that were passed; so does all that is never hidden.
  void write_gradient(int64_t index, const uint16_t *hides, const uint16_t *passes) const {
    int64_t p = index / call.trials, b = index % call.trials, N = call.units;
    uint32_t kept = static_cast<uint32_t>(call.hide_threshold[p]);
    uint32_t unpassed =
        call.pass_threshold == nullptr ? 65536 : static_cast<uint32_t>(call.pass_threshold[p]);
    int64_t n_hidden_bins = call.encoded_bins - call.first_bin;
    for (int64_t t = 0; t < call.bins; ++t, hides += N, passes += N) {
      uint8_t *out = call.has_gradient + ((p * call.bins + t) * call.trials + b) * N;
      if (t >= n_hidden_bins || call.hides_nothing[p]) {
        std::memset(out, 1, N);
      } else if (unpassed == 65536) {
        for (int64_t n = 0; n < N; ++n) out[n] = call.never_hidden[n] | (hides[n] >= kept);
      } else {
        for (int64_t n = 0; n < N; ++n) {
          out[n] = call.never_hidden[n] | (hides[n] >= kept) | (passes[n] >= unpassed);
        }
      }
    }
  }
};

bool run(const LfadsBatch &call) {
  return run_all<&Batch::trial>(call.members * call.trials, call.threads, Batch(call));
}

}  // namespace
}  // namespace lfads
