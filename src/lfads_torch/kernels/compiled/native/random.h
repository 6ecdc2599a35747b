// Words of Philox 4x32-10, the same bits as training/streams.py, which says what they mean.
#pragma once
#include "cell.h"
#include "interface.h"

namespace lfads {
namespace {

constexpr int kAtOnce = 16;  // blocks of four words in one pass
constexpr int64_t kWords = 4 * kAtOnce;
constexpr uint32_t kFactor0 = 0xD2511F53u, kFactor2 = 0xCD9E8D57u;
constexpr uint32_t kKeyStep0 = 0x9E3779B9u, kKeyStep1 = 0xBB67AE85u;

// The words of one row of a site.
struct Stream {
  uint32_t key0, key1, step, member, row;
};

#if defined(__AVX2__)
typedef uint32_t Eight __attribute__((vector_size(32)));
constexpr int kEight = 8;

// Both halves of eight products of 32-bit numbers.
struct Halves {
  Eight high, low;
};

// The instruction multiplies every other number: first those in even places, then those in odd.
INLINE Halves multiply_wide(Eight x, uint32_t by) {
  typedef uint64_t Pairs __attribute__((vector_size(32)));
  __m256i factor = _mm256_set1_epi64x(by);
  Pairs even = (Pairs)_mm256_mul_epu32((__m256i)x, factor);
  Pairs odd = (Pairs)_mm256_mul_epu32((__m256i)((Pairs)x >> 32), factor);
  Pairs upper = ~Pairs{} << 32;
  return {(Eight)(even >> 32 | (odd & upper)), (Eight)((even & ~upper) | odd << 32)};
}

// Eight blocks of four words one after the other, from the words of the same place side by side.
INLINE void write_blocks(Eight a, Eight b, Eight c, Eight d, uint32_t *words) {
  __m256i low_ab = _mm256_unpacklo_epi32((__m256i)a, (__m256i)b);
  __m256i high_ab = _mm256_unpackhi_epi32((__m256i)a, (__m256i)b);
  __m256i low_cd = _mm256_unpacklo_epi32((__m256i)c, (__m256i)d);
  __m256i high_cd = _mm256_unpackhi_epi32((__m256i)c, (__m256i)d);
  __m256i pair[4] = {  // blocks i and i + 4
      _mm256_unpacklo_epi64(low_ab, low_cd), _mm256_unpackhi_epi64(low_ab, low_cd),
      _mm256_unpacklo_epi64(high_ab, high_cd), _mm256_unpackhi_epi64(high_ab, high_cd)};
  for (int i = 0; i < 4; ++i) {
    __m128i block[2] = {_mm256_castsi256_si128(pair[i]), _mm256_extracti128_si256(pair[i], 1)};
    std::memcpy(words + 4 * i, &block[0], 16);
    std::memcpy(words + 4 * (i + 4), &block[1], 16);
  }
}

// kWords words from word `from`, a multiple of four, on, in order.
INLINE void next_words(int64_t from, const Stream &of, uint32_t *words) {
  constexpr int V = kAtOnce / kEight;
  Eight c0[V], c1[V], c2[V], c3[V];
  for (int v = 0; v < V; ++v) {
    uint32_t first = static_cast<uint32_t>(from / 4 + v * kEight);
    c0[v] = first + Eight{0, 1, 2, 3, 4, 5, 6, 7};
    c1[v] = of.row - Eight{}, c2[v] = of.member - Eight{}, c3[v] = of.step - Eight{};
  }
  uint32_t k0 = of.key0, k1 = of.key1;
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round, k0 += kKeyStep0, k1 += kKeyStep1) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      Halves a = multiply_wide(c0[v], kFactor0), b = multiply_wide(c2[v], kFactor2);
      c0[v] = b.high ^ c1[v] ^ k0, c1[v] = b.low;
      c2[v] = a.high ^ c3[v] ^ k1, c3[v] = a.low;
    }
  }
  for (int v = 0; v < V; ++v) write_blocks(c0[v], c1[v], c2[v], c3[v], words + 4 * kEight * v);
}
#else
// The same, in loops that compilers make vectors of as far as the processor has any.
INLINE void next_words(int64_t from, const Stream &of, uint32_t *words) {
  uint32_t c0[kAtOnce], c1[kAtOnce], c2[kAtOnce], c3[kAtOnce];
  for (int i = 0; i < kAtOnce; ++i) {
    c0[i] = static_cast<uint32_t>(from / 4 + i), c1[i] = of.row, c2[i] = of.member, c3[i] = of.step;
  }
  uint32_t k0 = of.key0, k1 = of.key1;
  for (int round = 0; round < 10; ++round, k0 += kKeyStep0, k1 += kKeyStep1) {
    for (int i = 0; i < kAtOnce; ++i) {
      uint64_t a = uint64_t{kFactor0} * c0[i], b = uint64_t{kFactor2} * c2[i];
      c0[i] = static_cast<uint32_t>(b >> 32) ^ c1[i] ^ k0;
      c1[i] = static_cast<uint32_t>(b);
      c2[i] = static_cast<uint32_t>(a >> 32) ^ c3[i] ^ k1;
      c3[i] = static_cast<uint32_t>(a);
    }
  }
  for (int i = 0; i < kAtOnce; ++i, words += 4) {
    words[0] = c0[i], words[1] = c1[i], words[2] = c2[i], words[3] = c3[i];
  }
}
#endif

// 16-bit uniforms, two to a word, the lower half first. Room for a multiple of 2 * kWords.
INLINE int64_t halves_room(int64_t n) { return round_up(n, 2 * kWords); }

INLINE void draw_halves(int64_t n, const Stream &of, uint16_t *out) {
  for (int64_t at = 0; at < n; at += 2 * kWords) {
    uint32_t words[kWords];
    next_words(at / 2, of, words);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    std::memcpy(out + at, words, sizeof(words));  // the lower half of a word stands first
#else
    for (int64_t i = 0; i < kWords; ++i) {
      out[at + 2 * i] = static_cast<uint16_t>(words[i]);
      out[at + 2 * i + 1] = static_cast<uint16_t>(words[i] >> 16);
    }
#endif
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
