// Gradients of weights: sums over the rows of two operands, in blocks of rows. One chain of
// multiply-adds per entry, over all rows in order, however the rows are cut into blocks.
#pragma once
#include "sparse.h"

namespace lfads {
namespace {

// Rows of a sum over rows: row r at `value[r * stride]`, times `factor` where there is one.
struct Rows {
  const float *value;
  int64_t stride;
  const float *factor;  // or null
  int64_t factor_stride;

  INLINE Rows from(int64_t r) const {
    return {value + r * stride, stride, factor == nullptr ? nullptr : factor + r * factor_stride,
            factor_stride};
  }
};

// Rows as the right operand: [panel][rows][kPanel].
void pack_right(Rows rows, int64_t n_rows, int64_t N, float *out) {
  for (int64_t j = 0; j < N; j += kPanel) {
    int64_t width = N - j < kPanel ? N - j : kPanel, padded = round_up(width, LANES);
    for (int64_t r = 0; r < n_rows; ++r, out += padded) {
      const float *value = rows.value + r * rows.stride + j;
      if (rows.factor == nullptr) {
        sweep(width, [&](int64_t c, auto part) { store(out + c, load(value + c, part), All{}); });
      } else {
        const float *factor = rows.factor + r * rows.factor_stride + j;
        sweep(width, [&](int64_t c, auto part) {
          store(out + c, load(value + c, part) * load(factor + c, part), All{});
        });
      }
    }
  }
}

// The left operand: [panel of ROWS columns][rows][ROWS], each panel one cache line further than it
// is long, so that the panels do not fall on the same lines of the cache.
INLINE int64_t left_panel(int64_t n_rows) { return n_rows * ROWS + 16; }

INLINE void pack_left(Rows rows, int64_t n_rows, int64_t M, float *out) {
  int64_t panel = left_panel(n_rows);
  for (int64_t r = 0; r < n_rows; ++r, out += ROWS) {
    const float *value = rows.value + r * rows.stride;
    const float *factor = rows.factor == nullptr ? nullptr : rows.factor + r * rows.factor_stride;
    float *to = out;
    int64_t c = 0;
    for (; c + ROWS <= M; c += ROWS, to += panel) {
      float four[ROWS];
      std::memcpy(four, value + c, sizeof(four));
      if (factor != nullptr) {
        for (int64_t k = 0; k < ROWS; ++k) four[k] *= factor[c + k];
      }
      std::memcpy(to, four, sizeof(four));
    }
    for (int64_t k = 0; c + k < M; ++k) {
      to[k] = factor == nullptr ? value[c + k] : value[c + k] * factor[c + k];
    }
  }
}

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

INLINE int64_t weight_memory(int64_t largest_M, int64_t N, int64_t n_right) {
  int64_t left = round_up(largest_M, ROWS) / ROWS * left_panel(kBlock);
  int64_t entries = entries_memory(kBlock, largest_M);
  if (entries > left) left = entries;
  return n_right * kBlock * round_up(N, LANES) + left;
}

void multiply_block(int64_t n, const WeightSum &sum, const float *packed_left,
                    const float *packed_right, int64_t N, float *out) {
  for (int64_t j = 0; j < N; j += kPanel) {
    int64_t width = N - j < kPanel ? N - j : kPanel;
    for (int64_t i = 0; i < sum.M; i += ROWS) {
      float *c = out + i * sum.out_row + j;
      Left left = {packed_left + i / ROWS * left_panel(n), 1, ROWS};
      if (i + ROWS <= sum.M) {
        rows_of<ROWS>(width, n, left, packed_right, {c, sum.out_row}, c, sum.out_row);
      } else {
        remaining_rows<ROWS / 2>(sum.M - i, width, n, left, packed_right, {c, sum.out_row}, c,
                                 sum.out_row);
      }
    }
    packed_right += n * round_up(width, LANES);
  }
}

void add_rows(int64_t n, const float *packed_right, int64_t N, float *row_sum) {
  for (int64_t j = 0; j < N; j += kPanel) {
    int64_t width = N - j < kPanel ? N - j : kPanel, padded = round_up(width, LANES);
    sweep(width, [&](int64_t c, auto part) {
      Vector partial = {};
      for (int64_t k = 0; k < n; ++k) {
        partial = partial + load(packed_right + k * padded + c, All{});
      }
      store(row_sum + j + c, load(row_sum + j + c, part) + partial, part);
    });
    packed_right += n * padded;
  }
}

// Add to several weights that share right operands, and to the operands' sums over rows (`row_sum`,
// or null). Partial sums of kBlock rows each are added in order: exact enough for thousands of rows.
void add_weights(int64_t n_rows, RightRows right, int64_t N, const WeightSum *sums, int64_t n_sums,
                 float *row_sum, float *memory) {
  int64_t each = kBlock * round_up(N, LANES);
  float *packed_left = memory + (right.last - right.first) * each;
  for (int64_t r = 0; r < n_rows; r += kBlock) {
    int64_t n = n_rows - r < kBlock ? n_rows - r : kBlock;
    RightRows now = right.from(r, N);
    for (int64_t g = right.first; g < right.last; ++g) {
      float *packed = memory + (g - right.first) * each;
      pack_right({now.value + g * now.apart, N, now.factor, N}, n, N, packed);
      if (row_sum != nullptr) add_rows(n, packed, N, row_sum + g * N);
    }
    for (int64_t s = 0; s < n_sums; ++s) {
      const WeightSum &sum = sums[s];
      int64_t first = sum.first > right.first ? sum.first : right.first;
      int64_t last = sum.last < right.last ? sum.last : right.last;
      if (first >= last) continue;
      Entries entries = entries_in(packed_left, n);
      if (sum.is_sparse &&
          note_entries(sum.left.value + r * sum.left.stride, sum.left.stride, n, sum.M, entries)) {
        for (int64_t g = first; g < last; ++g) {
          add_entries(n, N, entries, memory + (g - right.first) * each, sum.out + g * N,
                      sum.out_row);
        }
        continue;
      }
      pack_left(sum.left.from(r), n, sum.M, packed_left);
      for (int64_t g = first; g < last; ++g) {
        multiply_block(n, sum, packed_left, memory + (g - right.first) * each, N, sum.out + g * N);
      }
    }
  }
}

}  // namespace
}  // namespace lfads
