// Words of Philox 4x32-10, the same bits as training/streams.py, which says what they mean.
#pragma once
#include "cell.h"
#include "interface.h"

namespace lfads {
namespace {

constexpr int kAtOnce = 16;  // blocks of four words in one pass, whose rounds the compiler vectorises

// Words 4 * first .. of one row: `words[w][i]` is word w of block first + i.
INLINE void philox(uint32_t first, uint32_t row, uint32_t member, const LfadsRandom &call,
                   uint32_t words[4][kAtOnce]) {
  uint32_t *c0 = words[0], *c1 = words[1], *c2 = words[2], *c3 = words[3];
  for (int i = 0; i < kAtOnce; ++i) {
    c0[i] = first + static_cast<uint32_t>(i), c1[i] = row, c2[i] = member, c3[i] = call.step;
  }
  uint32_t k0 = call.key0, k1 = call.key1;
  for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
    for (int i = 0; i < kAtOnce; ++i) {
      uint64_t a = uint64_t{0xD2511F53u} * c0[i], b = uint64_t{0xCD9E8D57u} * c2[i];
      c0[i] = static_cast<uint32_t>(b >> 32) ^ c1[i] ^ k0;
      c1[i] = static_cast<uint32_t>(b);
      c2[i] = static_cast<uint32_t>(a >> 32) ^ c3[i] ^ k1;
      c3[i] = static_cast<uint32_t>(a);
    }
  }
}

struct Random {
  const LfadsRandom &call;

  bool row(int64_t index) const {
    int64_t p = index / call.rows;
    for (int64_t first = 0; first < call.words; first += 4 * kAtOnce) {
      uint32_t words[4][kAtOnce], ordered[4 * kAtOnce];
      philox(static_cast<uint32_t>(first / 4), static_cast<uint32_t>(call.row[index]),
             static_cast<uint32_t>(call.member[p]), call, words);
      for (int i = 0; i < kAtOnce; ++i) {
        for (int w = 0; w < 4; ++w) ordered[4 * i + w] = words[w][i];
      }
      if (call.bits != nullptr) write_bits(index, first, ordered);
      if (call.kept != nullptr || call.mask != nullptr) write_halves(index, p, first, ordered);
    }
    return true;
  }

  void write_bits(int64_t index, int64_t first, const uint32_t *words) const {
    int64_t n = call.words - first < 4 * kAtOnce ? call.words - first : 4 * kAtOnce;
    int64_t *out = call.bits + index * call.words + first;
    for (int64_t i = 0; i < n; ++i) out[i] = words[i];
  }

  void write_halves(int64_t index, int64_t p, int64_t first, const uint32_t *words) const {
    int64_t n = call.elements - 2 * first < 8 * kAtOnce ? call.elements - 2 * first : 8 * kAtOnce;
    int64_t at = index * call.elements + 2 * first;
    uint16_t halves[8 * kAtOnce];
    for (int i = 0; i < 4 * kAtOnce; ++i) {
      halves[2 * i] = static_cast<uint16_t>(words[i]);
      halves[2 * i + 1] = static_cast<uint16_t>(words[i] >> 16);
    }
    uint32_t threshold = static_cast<uint32_t>(call.threshold[p]);
    if (call.kept != nullptr) {
      uint8_t *out = call.kept + at;
      for (int64_t i = 0; i < n; ++i) out[i] = halves[i] < threshold;
    }
    if (call.mask != nullptr) {
      float *out = call.mask + at, scale = static_cast<float>(call.scale[p]);
      for (int64_t i = 0; i < n; ++i) out[i] = halves[i] < threshold ? scale : 0.0f;
    }
  }
};

bool run(const LfadsRandom &call) {
  return run_all<&Random::row>(call.members * call.rows, call.threads, Random{call});
}

}  // namespace
}  // namespace lfads
