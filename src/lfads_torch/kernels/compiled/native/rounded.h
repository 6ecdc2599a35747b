// Products of bf16 operands where the processor has none: both operands are rounded and stay
// float32, so that every product of two is exact and the sums are those of `Single`. The numbers
// are the definition; nothing is gained in speed.
#pragma once
#include "brain.h"
#include "single.h"

namespace lfads {
namespace {

struct Rounded : Single {
  static constexpr bool kSkipsZeros = false;
  static constexpr int64_t kRows = 32, kDepth = 128;  // of the left operand, rounded at once

  static INLINE void round_all(float *numbers, int64_t n) {
    sweep(n, [&](int64_t i, auto part) {
      store(numbers + i, to_brain(load(numbers + i, part)), part);
    });
  }

  static void pack(const float *B, int64_t row_stride, int64_t column_stride, int64_t K, int64_t N,
                   float *out) {
    Single::pack(B, row_stride, column_stride, K, N, out);
    round_all(out, packed_size(K, N));
  }

  // Parts of the depth follow one another in one chain of sums, whatever their size.
  template <int n>
  static void multiply(int64_t M, int64_t N, int64_t K, const float *A, int64_t row,
                       const Product (&products)[n], int64_t c_row) {
    alignas(64) float rounded[kRows * kDepth];
    for (int64_t i = 0; i < M; i += kRows) {
      int64_t n_rows = M - i < kRows ? M - i : kRows;
      for (int64_t k = 0; k < K || k == 0; k += kDepth) {
        int64_t depth = K - k < kDepth ? K - k : kDepth;
        for (int64_t r = 0; r < n_rows; ++r) {
          const float *from = A + (i + r) * row + k;
          sweep(depth, [&](int64_t c, auto part) {
            store(rounded + r * kDepth + c, to_brain(load(from + c, part)), part);
          });
        }
        for (const Product &each : products) {
          multiply_part({n_rows, N, K, i, k, depth}, rounded, each, c_row);
        }
      }
    }
  }

  static void pack_left(Rows rows, int64_t n_rows, int64_t M, float *out) {
    Single::pack_left(rows, n_rows, M, out);
    for (int64_t i = 0; i < M; i += ROWS, out += left_panel(n_rows)) {
      round_all(out, n_rows * ROWS);
    }
  }

  static void pack_right(Rows rows, int64_t n_rows, int64_t N, float *out) {
    Single::pack_right(rows, n_rows, N, out);
    round_all(out, right_size(n_rows, N));
  }

  static void add_rows(int64_t n_rows, const float *rows, const float *, int64_t N,
                       float *row_sum) {
    add_rows_of(n_rows, rows, N, row_sum);
  }

 private:
  // Rows from i and entries from k of a product of depth K.
  struct Part {
    int64_t n_rows, N, K, i, k, depth;
  };

  static INLINE void multiply_part(Part at, const float *rounded, const Product &given,
                                   int64_t c_row) {
    float *c = given.c + at.i * c_row;
    Begin begin = {c, c_row};
    if (at.k == 0) begin = given.begin;
    if (at.k == 0 && begin.first != nullptr) begin.first += at.i * begin.row;
    const float *packed = given.packed;
    for (int64_t j = 0; j < at.N; j += kPanel) {
      int64_t width = at.N - j < kPanel ? at.N - j : kPanel, padded = round_up(width, LANES);
      Begin from = {begin.first == nullptr ? nullptr : begin.first + j, begin.row};
      Left left = {rounded, kDepth, 1};
      lfads::panel<ROWS>(at.n_rows, width, at.depth, left, packed + at.k * padded, from, c + j,
                         c_row);
      packed += at.K * padded;
    }
  }
};

}  // namespace
}  // namespace lfads
