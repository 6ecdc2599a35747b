// Words of Philox 4x32-10, the same bits as training/streams.py, which says what they mean.
#pragma once
#include "cell.h"
#include "interface.h"

namespace lfads {
namespace {

constexpr int kAtOnce = 16;  // blocks of four words in one pass, whose rounds the compiler vectorises
constexpr int64_t kWords = 4 * kAtOnce;

// The words of one row of a site.
struct Stream {
  uint32_t key0, key1, step, member, row;
};

// Words 4 * first .. of the row: `words[w][i]` is word w of block first + i.
INLINE void philox(uint32_t first, const Stream &of, uint32_t words[4][kAtOnce]) {
  uint32_t *c0 = words[0], *c1 = words[1], *c2 = words[2], *c3 = words[3];
  for (int i = 0; i < kAtOnce; ++i) {
    c0[i] = first + static_cast<uint32_t>(i), c1[i] = of.row, c2[i] = of.member, c3[i] = of.step;
  }
  uint32_t k0 = of.key0, k1 = of.key1;
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

// kWords words from word `first` on, in order.
INLINE void next_words(int64_t first, const Stream &of, uint32_t *ordered) {
  uint32_t words[4][kAtOnce];
  philox(static_cast<uint32_t>(first / 4), of, words);
  for (int i = 0; i < kAtOnce; ++i) {
    for (int w = 0; w < 4; ++w) ordered[4 * i + w] = words[w][i];
  }
}

// 16-bit uniforms, two to a word, the lower half first. Room for a multiple of 2 * kWords.
INLINE int64_t halves_room(int64_t n) { return round_up(n, 2 * kWords); }

INLINE void draw_halves(int64_t n, const Stream &of, uint16_t *out) {
  for (int64_t at = 0; at < n; at += 2 * kWords) {
    uint32_t words[kWords];
    next_words(at / 2, of, words);
    for (int64_t i = 0; i < kWords; ++i) {
      out[at + 2 * i] = static_cast<uint16_t>(words[i]);
      out[at + 2 * i + 1] = static_cast<uint16_t>(words[i] >> 16);
    }
  }
}

struct Random {
  const LfadsRandom &call;

  bool row(int64_t index) const {
    int64_t p = index / call.rows;
    Stream of = {call.key0, call.key1, call.step, static_cast<uint32_t>(call.member[p]),
                 static_cast<uint32_t>(call.row[index])};
    if (call.bits != nullptr) write_bits(index, of);
    if (call.kept == nullptr && call.mask == nullptr) return true;
    float *memory = thread_memory(halves_room(call.elements) / 2);
    if (memory == nullptr) return false;
    uint16_t *halves = reinterpret_cast<uint16_t *>(memory);
    draw_halves(call.elements, of, halves);
    write_masks(index, p, halves);
    return true;
  }

  void write_bits(int64_t index, const Stream &of) const {
    int64_t *out = call.bits + index * call.words;
    for (int64_t first = 0; first < call.words; first += kWords) {
      uint32_t words[kWords];
      next_words(first, of, words);
      int64_t n = call.words - first < kWords ? call.words - first : kWords;
      for (int64_t i = 0; i < n; ++i) out[first + i] = words[i];
    }
  }

  // A row's elements are cut into `bins` pieces; bin t of row r stands at [p, t, r].
  void write_masks(int64_t index, int64_t p, const uint16_t *halves) const {
    uint32_t threshold = static_cast<uint32_t>(call.threshold[p]);
    float scale = call.mask == nullptr ? 0.0f : static_cast<float>(call.scale[p]);
    int64_t r = index % call.rows, n = call.elements / call.bins;
    for (int64_t t = 0; t < call.bins; ++t, halves += n) {
      int64_t at = ((p * call.bins + t) * call.rows + r) * n;
      for (int64_t i = 0; i < n && call.kept != nullptr; ++i) {
        call.kept[at + i] = halves[i] < threshold;
      }
      for (int64_t i = 0; i < n && call.mask != nullptr; ++i) {
        call.mask[at + i] = halves[i] < threshold ? scale : 0.0f;
      }
    }
  }
};

bool run(const LfadsRandom &call) {
  return run_all<&Random::row>(call.members * call.rows, call.threads, Random{call});
}

}  // namespace
}  // namespace lfads
