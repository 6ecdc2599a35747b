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

}  // namespace
}  // namespace lfads
