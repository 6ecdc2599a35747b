// Products of float32 operands. `Single` is what the scans know of a kind of operand; the others,
// `Rounded` and `Tiled`, have the same members.
#pragma once
#include "sparse.h"

namespace lfads {
namespace {

// One of several products that share their left rows.
struct Product {
  const float *packed;
  Begin begin;
  float *c;
};

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

// Sums over rows of a block [n_rows, N], as it is.
INLINE void add_rows_of(int64_t n_rows, const float *rows, int64_t N, float *row_sum) {
  sweep(N, [&](int64_t c, auto part) {
    Vector partial = {};
    for (int64_t k = 0; k < n_rows; ++k) partial = partial + load(rows + k * N + c, part);
    store(row_sum + c, load(row_sum + c, part) + partial, part);
  });
}

struct Single {
  // Lives as long as a task that makes products.
  struct Ready {};
  // Whether products may leave out zeros: only where each sum is one chain over all entries.
  static constexpr bool kSkipsZeros = true;

  // A right operand [K, N], packed; in floats.
  static INLINE int64_t packed_size(int64_t K, int64_t N) { return lfads::packed_size(K, N); }
  static void pack(const float *B, int64_t row_stride, int64_t column_stride, int64_t K, int64_t N,
                   float *out) {
    lfads::pack(B, row_stride, column_stride, K, N, out);
  }

  // c[M, N] = begin + A[M, K] B[K, N] for each product; A's rows lie `row` apart.
  template <int n>
  static INLINE void multiply(int64_t M, int64_t N, int64_t K, const float *A, int64_t row,
                              const Product (&products)[n], int64_t c_row) {
    for (const Product &each : products) {
      lfads::multiply(M, N, K, {A, row, 1}, each.packed, each.begin, each.c, c_row);
    }
  }

  // Operands of a weight's gradient, packed, of a block of rows; in floats. The left one in panels
  // of ROWS columns, each one cache line further than it is long, so that the panels do not fall
  // on the same lines of the cache.
  static INLINE int64_t left_panel(int64_t n_rows) { return n_rows * ROWS + 16; }
  static INLINE int64_t left_size(int64_t n_rows, int64_t M) {
    return round_up(M, ROWS) / ROWS * left_panel(n_rows);
  }
  static INLINE int64_t right_size(int64_t n_rows, int64_t N) { return packed_size(n_rows, N); }

  // [panel][rows][kPanel]
  static void pack_right(Rows rows, int64_t n_rows, int64_t N, float *out) {
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

  // [panel of ROWS columns][rows][ROWS]
  static void pack_left(Rows rows, int64_t n_rows, int64_t M, float *out) {
    int64_t panel = left_panel(n_rows);
    for (int64_t r = 0; r < n_rows; ++r, out += ROWS) {
      const float *value = rows.value + r * rows.stride;
      const float *factor = rows.factor == nullptr ? nullptr : rows.factor + r * rows.factor_stride;
      float *to = out;
      int64_t c = 0;
      for (; c + ROWS <= M; c += ROWS, to += panel) {
        float some[ROWS];
        std::memcpy(some, value + c, sizeof(some));
        if (factor != nullptr) {
          for (int64_t k = 0; k < ROWS; ++k) some[k] *= factor[c + k];
        }
        std::memcpy(to, some, sizeof(some));
      }
      for (int64_t k = 0; c + k < M; ++k) {
        to[k] = factor == nullptr ? value[c + k] : value[c + k] * factor[c + k];
      }
    }
  }

  // out[M, N] += left^T right, both packed from n_rows.
  static void multiply_block(int64_t n_rows, int64_t M, int64_t N, const float *left,
                             const float *right, float *out, int64_t out_row) {
    for (int64_t j = 0; j < N; j += kPanel) {
      int64_t width = N - j < kPanel ? N - j : kPanel;
      for (int64_t i = 0; i < M; i += ROWS) {
        float *c = out + i * out_row + j;
        Left a = {left + i / ROWS * left_panel(n_rows), 1, ROWS};
        if (i + ROWS <= M) {
          rows_of<ROWS>(width, n_rows, a, right, {c, out_row}, c, out_row);
        } else {
          remaining_rows<ROWS / 2>(M - i, width, n_rows, a, right, {c, out_row}, c, out_row);
        }
      }
      right += n_rows * round_up(width, LANES);
    }
  }

  // row_sum[N] += the sum over a right operand's rows, which are at hand packed and as they are.
  static void add_rows(int64_t n_rows, const float *, const float *packed, int64_t N,
                       float *row_sum) {
    for (int64_t j = 0; j < N; j += kPanel) {
      int64_t width = N - j < kPanel ? N - j : kPanel, padded = round_up(width, LANES);
      sweep(width, [&](int64_t c, auto part) {
        Vector partial = {};
        for (int64_t k = 0; k < n_rows; ++k) {
          partial = partial + load(packed + k * padded + c, All{});
        }
        store(row_sum + j + c, load(row_sum + j + c, part) + partial, part);
      });
      packed += n_rows * padded;
    }
  }
};

}  // namespace
}  // namespace lfads
