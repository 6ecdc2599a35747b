// Small matrix products with fixed order: every entry of a result is summed over k = 0, 1, ... by
// one chain of multiply-adds, so it depends on its own row and column alone, never on the tile,
// on the other rows, or on the number of threads.
#pragma once
#include "vector.h"

namespace lfads {
namespace {

constexpr int64_t kVectors = 3;  // vectors in a panel's row; with ROWS rows all sums stay in registers
constexpr int64_t kPanel = kVectors * LANES;
constexpr int64_t kBlock = 128;  // rows of a weight gradient's block, whose panels fit the L1 cache

// A matrix [K, N] in panels of kPanel columns: [panel][K][kPanel], the last one narrower.
INLINE int64_t packed_size(int64_t K, int64_t N) { return K * round_up(N, LANES); }

void pack(const float *B, int64_t row_stride, int64_t column_stride, int64_t K, int64_t N,
          float *out) {
  for (int64_t j = 0; j < N; j += kPanel) {
    int64_t width = N - j < kPanel ? N - j : kPanel, padded = round_up(width, LANES);
    for (int64_t k = 0; k < K; ++k, out += padded) {
      const float *row = B + k * row_stride + j * column_stride;
      if (column_stride == 1) {
        sweep(width, [&](int64_t c, auto part) { store(out + c, load(row + c, part), All{}); });
      } else {
        for (int64_t c = 0; c < width; ++c) out[c] = row[c * column_stride];
        for (int64_t c = width; c < padded; ++c) out[c] = 0.0f;
      }
    }
  }
}

// The left operand: entry (i, k) at `first[i * row + k * column]`.
struct Left {
  const float *first;
  int64_t row, column;
};

// Where a tile of the result begins its sums: its own old values, a bias (stride 0), or zero.
struct Begin {
  const float *first;  // null: zero
  int64_t row;
};

template <int R, int V, class Part>
INLINE void tile(int64_t K, Left a, const float *b, Begin begin, float *c, int64_t c_row,
                 Part last) {
  Vector sum[R][V];
  for (int i = 0; i < R; ++i) {
    for (int v = 0; v < V; ++v) {
      const float *from = begin.first + i * begin.row + v * LANES;
      if (begin.first == nullptr) {
        sum[i][v] = Vector{};
      } else if (v + 1 < V) {
        sum[i][v] = load(from, All{});
      } else {
        sum[i][v] = load(from, last);
      }
    }
  }
  const float *left = a.first;
  for (int64_t k = 0; k < K; ++k, left += a.column, b += V * LANES) {
    Vector right[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) right[v] = load(b + v * LANES, All{});
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
      Vector one = same(left[i * a.row]);
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) sum[i][v] = one * right[v] + sum[i][v];
    }
  }
  for (int i = 0; i < R; ++i) {
    for (int v = 0; v + 1 < V; ++v) store(c + i * c_row + v * LANES, sum[i][v], All{});
    store(c + i * c_row + (V - 1) * LANES, sum[i][V - 1], last);
  }
}

template <int R, int V>
INLINE void tile_of_width(int64_t width, int64_t K, Left a, const float *b, Begin begin, float *c,
                          int64_t c_row) {
  int64_t n_last = width - (V - 1) * LANES;
  if (n_last == LANES) {
    tile<R, V>(K, a, b, begin, c, c_row, All{});
  } else {
    tile<R, V>(K, a, b, begin, c, c_row, First{n_last});
  }
}

template <int R>
INLINE void rows_of(int64_t width, int64_t K, Left a, const float *b, Begin begin, float *c,
             int64_t c_row) {
  if (R <= ROWS && width > 2 * LANES) {
    tile_of_width<R, 3>(width, K, a, b, begin, c, c_row);
  } else if (R <= ROWS && width > LANES) {
    tile_of_width<R, 2>(width, K, a, b, begin, c, c_row);
  } else {
    tile_of_width<R, 1>(width, K, a, b, begin, c, c_row);
  }
}

// The rows that do not fill a tile, R at a time.
template <int R>
INLINE void remaining_rows(int64_t n, int64_t width, int64_t K, Left a, const float *b,
                           Begin begin, float *c, int64_t c_row) {
  if constexpr (R > 0) {
    if (n >= R) {
      rows_of<R>(width, K, a, b, begin, c, c_row);
      a.first += R * a.row;
      if (begin.first != nullptr) begin.first += R * begin.row;
      c += R * c_row;
      n -= R;
    }
    remaining_rows<R / 2>(n, width, K, a, b, begin, c, c_row);
  }
}

// All rows of one panel, R at a time. A narrow panel takes more rows, to have enough sums at once.
template <int R>
void panel(int64_t M, int64_t width, int64_t K, Left a, const float *b, Begin begin, float *c,
           int64_t c_row) {
  int64_t i = 0;
  for (; i + R <= M; i += R) {
    rows_of<R>(width, K, a, b, begin, c, c_row);
    a.first += R * a.row;
    if (begin.first != nullptr) begin.first += R * begin.row;
    c += R * c_row;
  }
  remaining_rows<R / 2>(M - i, width, K, a, b, begin, c, c_row);
}

// C[M, N] = begin + A[M, K] B[K, N], with B packed. C may be what it begins with.
void multiply(int64_t M, int64_t N, int64_t K, Left a, const float *packed, Begin begin, float *c,
              int64_t c_row) {
  for (int64_t j = 0; j < N; j += kPanel) {
    int64_t width = N - j < kPanel ? N - j : kPanel;
    Begin from = {begin.first == nullptr ? nullptr : begin.first + j, begin.row};
    if (width <= LANES) {
      panel<2 * ROWS>(M, width, K, a, packed, from, c + j, c_row);
    } else {
      panel<ROWS>(M, width, K, a, packed, from, c + j, c_row);
    }
    packed += K * round_up(width, LANES);
  }
}

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
      pack_left(sum.left.from(r), n, sum.M, packed_left);
      for (int64_t g = first; g < last; ++g) {
        multiply_block(n, sum, packed_left, memory + (g - right.first) * each, N, sum.out + g * N);
      }
    }
  }
}

}  // namespace
}  // namespace lfads
