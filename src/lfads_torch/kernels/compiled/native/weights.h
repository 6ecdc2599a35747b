// Gradients of weights: sums over the rows of two operands, in blocks of rows. One chain of
// multiply-adds per entry, over all rows in order, however the rows are cut into blocks.
#pragma once
#include "single.h"

namespace lfads {
namespace {

// Gradients of one weight: `out[M, N] += left^T right` for each right operand from `first` to
// before `last`, N columns further each.
struct WeightSum {
  Rows left;
  int64_t M;
  float *out;
  int64_t out_row;
  int64_t first, last;
  bool is_sparse = false;  // its left rows may be mostly zero
};

// What is summed over rows: some right operands side by side, all [rows, N].
struct RightRows {
  const float *value;  // of operand 0
  int64_t apart;       // from one operand to the next
  const float *factor;  // [rows, N] or null
  int64_t first, last;  // the operands at work

  INLINE RightRows from(int64_t r, int64_t N) const {
    return {value + r * N, apart, factor == nullptr ? nullptr : factor + r * N, first, last};
  }
};

template <class Operand>
INLINE int64_t weight_memory(int64_t largest_M, int64_t N, int64_t n_right) {
  int64_t left = Operand::left_size(kBlock, largest_M);
  int64_t entries = entries_memory(kBlock, largest_M);
  if (Operand::kSkipsZeros && entries > left) left = entries;
  return n_right * Operand::right_size(kBlock, N) + left;
}

// Add to several weights that share right operands, and to the operands' sums over rows (`row_sum`,
// or null): these as partial sums of kBlock rows each, added in order, which is exact enough for
// thousands of rows. Weights have one chain of multiply-adds over all rows.
template <class Operand>
void add_weights(int64_t n_rows, RightRows right, int64_t N, const WeightSum *sums, int64_t n_sums,
                 float *row_sum, float *memory) {
  int64_t each = Operand::right_size(kBlock, N);
  float *packed_left = memory + (right.last - right.first) * each;
  for (int64_t r = 0; r < n_rows; r += kBlock) {
    int64_t n = n_rows - r < kBlock ? n_rows - r : kBlock;
    RightRows now = right.from(r, N);
    for (int64_t g = right.first; g < right.last; ++g) {
      float *packed = memory + (g - right.first) * each;
      const float *value = now.value + g * now.apart;
      Operand::pack_right({value, N, now.factor, N}, n, N, packed);
      if (row_sum != nullptr) Operand::add_rows(n, value, packed, N, row_sum + g * N);
    }
    for (int64_t s = 0; s < n_sums; ++s) {
      const WeightSum &sum = sums[s];
      int64_t first = sum.first > right.first ? sum.first : right.first;
      int64_t last = sum.last < right.last ? sum.last : right.last;
      if (first >= last) continue;
      if constexpr (Operand::kSkipsZeros) {
        Entries entries = entries_in(packed_left, n);
        if (sum.is_sparse && note_entries(sum.left.value + r * sum.left.stride, sum.left.stride,
                                          n, sum.M, entries)) {
          for (int64_t g = first; g < last; ++g) {
            add_entries(n, N, entries, memory + (g - right.first) * each, sum.out + g * N,
                        sum.out_row);
          }
          continue;
        }
      }
      Operand::pack_left(sum.left.from(r), n, sum.M, packed_left);
      for (int64_t g = first; g < last; ++g) {
        Operand::multiply_block(n, sum.M, N, packed_left, memory + (g - right.first) * each,
                                sum.out + g * N, sum.out_row);
      }
    }
  }
}

}  // namespace
}  // namespace lfads
