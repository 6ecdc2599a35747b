// Products of bf16 operands on AMX: blocks of 32 x 32 float32 sums in four tiles, from 32 rows and
// 32 columns of operands of depth 32. What does not fill a tile is padded with zeros.
//
// A left tile is [16 rows][32 k]; a right tile is [16 pairs of k][16 columns][2]. Operands lie tile
// by tile in the order in which a block reads them: left [16 rows each][step of 32 k], right
// [32 columns each][step][one or two tiles].
#pragma once
#include "single.h"
#include "tiles.h"

namespace lfads {
namespace {

constexpr int64_t kTileFloats = 256, kStep = 32, kSide = 16, kSquare = 32;

// Pairs of bf16 from the numbers of two vectors: the first in the lower halves.
INLINE Bits brain_pairs(Vector first, Vector second) {
  return rounded_up_to_half(first) >> 16 | (rounded_up_to_half(second) & 0xffff0000u);
}

// 32 numbers of which the first `n` exist, as 32 bf16 in order.
INLINE void write_brains(const float *from, int64_t n, void *to) {
  Vector first = n < LANES ? load(from, First{n}) : load(from, All{}), second = {};
  if (n > LANES) {
    second = n < 2 * LANES ? load(from + LANES, First{n - LANES}) : load(from + LANES, All{});
  }
#if defined(__AVX512BF16__)
  __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
  std::memcpy(to, &both, 64);
#else
  typedef uint16_t Brains __attribute__((vector_size(2 * LANES)));
  Brains halves[2] = {__builtin_convertvector(rounded_up_to_half(first) >> 16, Brains),
                      __builtin_convertvector(rounded_up_to_half(second) >> 16, Brains)};
  std::memcpy(to, halves, 64);
#endif
}

// Where lane l of the first of two vectors comes from when their pieces of `d` lanes change places.
constexpr int swapped(int l, int d) { return (l & d) == 0 ? l : LANES + l - d; }

template <int d>
INLINE void swap_pieces(Bits *row) {
#define FROM(l) swapped(l, d)
#define FROM_SECOND(l) (((l) & d) == 0 ? (l) + d : LANES + (l))
#define ALL(f) \
  f(0), f(1), f(2), f(3), f(4), f(5), f(6), f(7), f(8), f(9), f(10), f(11), f(12), f(13), f(14), f(15)
  for (int i = 0; i < 16; ++i) {
    if ((i & d) != 0) continue;
    Bits first = row[i], second = row[i + d];
    row[i] = __builtin_shufflevector(first, second, ALL(FROM));
    row[i + d] = __builtin_shufflevector(first, second, ALL(FROM_SECOND));
  }
#undef FROM
#undef FROM_SECOND
#undef ALL
}

// Rows and columns of 16 x 16 numbers of 32 bits change places.
INLINE void transpose(Bits *row) {
  swap_pieces<8>(row);
  swap_pieces<4>(row);
  swap_pieces<2>(row);
  swap_pieces<1>(row);
}

// Columns from c on of rows 2k and 2k + 1 of a block, for k from `pair` on: 16 pairs, zeros beyond.
INLINE void read_pairs(Rows rows, int64_t n_rows, int64_t n_columns, int64_t pair, int64_t c,
                       Bits *to) {
  int64_t width = n_columns - c < kSide ? n_columns - c : kSide;
  auto at = [&](int64_t r) {
    if (r >= n_rows) return Vector{};
    First part{width};
    const float *value = rows.value + r * rows.stride + c;
    Vector x = width == kSide ? load(value, All{}) : load(value, part);
    if (rows.factor == nullptr) return x;
    const float *factor = rows.factor + r * rows.factor_stride + c;
    return x * (width == kSide ? load(factor, All{}) : load(factor, part));
  };
  for (int64_t k = 0; k < 16; ++k) to[k] = brain_pairs(at(2 * (pair + k)), at(2 * (pair + k) + 1));
}

// One tile of sums, rows x columns of which exist in memory.
struct Sums {
  int64_t rows, columns;

  INLINE bool is_whole() const { return rows == kSide && columns == kSide; }

  template <int tile>
  INLINE void begin(Begin from) const {
    if (from.first == nullptr) return zero_tile<tile>();
    if (is_whole()) return load_tile<tile>(from.first, from.row * 4);
    alignas(64) float padded[kSide][kSide] = {};
    for (int64_t r = 0; r < rows; ++r) {
      std::memcpy(padded[r], from.first + r * from.row, columns * sizeof(float));
    }
    load_tile<tile>(padded, 64);
  }

  template <int tile>
  INLINE void end(float *c, int64_t c_row) const {
    if (is_whole()) return store_tile<tile>(c, c_row * 4);
    alignas(64) float padded[kSide][kSide];
    store_tile<tile>(padded, 64);
    for (int64_t r = 0; r < rows; ++r) {
      std::memcpy(c + r * c_row, padded[r], columns * sizeof(float));
    }
  }
};

INLINE Begin further(Begin begin, int64_t rows, int64_t columns) {
  if (begin.first == nullptr) return begin;
  return {begin.first + rows * begin.row + columns, begin.row};
}

// Up to 32 x 32 sums: tiles 0 to 3; their operands: 4 and 5, 6 and 7.
template <bool two_high, bool two_wide>
INLINE void square(int64_t rows, int64_t columns, int64_t n_steps, const float *left,
                   const float *right, Begin begin, float *c, int64_t c_row) {
  Sums first = {two_high ? kSide : rows, two_wide ? kSide : columns};
  Sums beside = {first.rows, columns - kSide}, below = {rows - kSide, first.columns};
  Sums last = {below.rows, beside.columns};
  float *c_below = c + kSide * c_row;
  first.begin<0>(begin);
  if constexpr (two_wide) beside.begin<1>(further(begin, 0, kSide));
  if constexpr (two_high) below.begin<2>(further(begin, kSide, 0));
  if constexpr (two_high && two_wide) last.begin<3>(further(begin, kSide, kSide));
  const float *lower = left + n_steps * kTileFloats;
  for (int64_t s = 0; s < n_steps; ++s) {
    load_tile<4>(left + s * kTileFloats, 64);
    load_tile<6>(right, 64);
    multiply_tiles<0, 4, 6>();
    if constexpr (two_high) {
      load_tile<5>(lower + s * kTileFloats, 64);
      multiply_tiles<2, 5, 6>();
    }
    if constexpr (two_wide) {
      load_tile<7>(right + kTileFloats, 64);
      multiply_tiles<1, 4, 7>();
    }
    if constexpr (two_high && two_wide) multiply_tiles<3, 5, 7>();
    right += (two_wide ? 2 : 1) * kTileFloats;
  }
  first.end<0>(c, c_row);
  if constexpr (two_wide) beside.end<1>(c + kSide, c_row);
  if constexpr (two_high) below.end<2>(c_below, c_row);
  if constexpr (two_high && two_wide) last.end<3>(c_below + kSide, c_row);
}

void square_of(int64_t rows, int64_t columns, int64_t n_steps, const float *left,
               const float *right, Begin begin, float *c, int64_t c_row) {
  bool high = rows > kSide, wide = columns > kSide;
  if (high && wide) return square<true, true>(rows, columns, n_steps, left, right, begin, c, c_row);
  if (high) return square<true, false>(rows, columns, n_steps, left, right, begin, c, c_row);
  if (wide) return square<false, true>(rows, columns, n_steps, left, right, begin, c, c_row);
  square<false, false>(rows, columns, n_steps, left, right, begin, c, c_row);
}

struct Tiled {
  struct Ready {
    Ready() { configure_tiles(TileShapes{}); }
    ~Ready() { release_tiles(); }
    Ready(const Ready &) = delete;
    Ready &operator=(const Ready &) = delete;
  };
  static constexpr bool kSkipsZeros = false;
  static constexpr int64_t kDepth = 512;  // of the left operand, packed at once

  static INLINE int64_t steps(int64_t K) { return (K + kStep - 1) / kStep; }

  static INLINE int64_t packed_size(int64_t K, int64_t N) {
    return steps(K) * round_up(N, kSide) * kSide;
  }

  // Columns that are not side by side are gathered row by row.
  static void pack(const float *B, int64_t row_stride, int64_t column_stride, int64_t K, int64_t N,
                   float *out) {
    alignas(64) float part[kStep * kSide];
    for_right_tiles(K, N, [&](int64_t k, int64_t j) {
      Rows rows = {B + k * row_stride + j * column_stride, row_stride, nullptr, 0};
      int64_t depth = K - k < kStep ? K - k : kStep, width = N - j < kSide ? N - j : kSide;
      if (column_stride != 1) {
        for (int64_t r = 0; r < depth; ++r) {
          const float *row = rows.value + r * row_stride;
          for (int64_t c = 0; c < width; ++c) part[r * kSide + c] = row[c * column_stride];
        }
        rows = {part, kSide, nullptr, 0};
      }
      Bits pairs[16];
      read_pairs(rows, depth, width, 0, 0, pairs);
      std::memcpy(out, pairs, sizeof(pairs));
      out += kTileFloats;
    });
  }

  template <int n>
  static void multiply(int64_t M, int64_t N, int64_t K, const float *A, int64_t row,
                       const Product (&products)[n], int64_t c_row) {
    alignas(64) float left[kSquare * kDepth / 2];
    for (int64_t i = 0; i < M; i += kSquare) {
      int64_t rows = M - i < kSquare ? M - i : kSquare;
      for (int64_t k = 0; k < K || k == 0; k += kDepth) {
        int64_t depth = K - k < kDepth ? K - k : kDepth, n_steps = steps(depth);
        pack_rows(A + i * row + k, row, rows, depth, left);
        for (const Product &each : products) {
          float *c = each.c + i * c_row;
          Begin begin = {c, c_row};
          if (k == 0) begin = further(each.begin, i, 0);
          for (int64_t j = 0; j < N; j += kSquare) {
            int64_t columns = N - j < kSquare ? N - j : kSquare;
            int64_t tiles = columns > kSide ? 2 : 1;
            const float *right = each.packed +
                (j / kSide * steps(K) + k / kStep * tiles) * kTileFloats;
            square_of(rows, columns, n_steps, left, right, further(begin, 0, j), c + j, c_row);
          }
        }
      }
    }
  }

  static INLINE int64_t left_size(int64_t n_rows, int64_t M) { return packed_size(n_rows, M); }
  static INLINE int64_t right_size(int64_t n_rows, int64_t N) { return packed_size(n_rows, N); }

  static void pack_left(Rows rows, int64_t n_rows, int64_t M, float *out) {
    for (int64_t i = 0; i < M; i += kSide) {
      for (int64_t k = 0; k < n_rows; k += kStep, out += kTileFloats) {
        Bits pairs[16];
        read_pairs(rows, n_rows, M, k / 2, i, pairs);
        transpose(pairs);
        std::memcpy(out, pairs, sizeof(pairs));
      }
    }
  }

  static void pack_right(Rows rows, int64_t n_rows, int64_t N, float *out) {
    for_right_tiles(n_rows, N, [&](int64_t k, int64_t j) {
      Bits pairs[16];
      read_pairs(rows, n_rows, N, k / 2, j, pairs);
      std::memcpy(out, pairs, sizeof(pairs));
      out += kTileFloats;
    });
  }

  static void multiply_block(int64_t n_rows, int64_t M, int64_t N, const float *left,
                             const float *right, float *out, int64_t out_row) {
    int64_t n_steps = steps(n_rows), tile_row = n_steps * kTileFloats;
    for (int64_t i = 0; i < M; i += kSquare) {
      for (int64_t j = 0; j < N; j += kSquare) {
        int64_t rows = M - i < kSquare ? M - i : kSquare;
        int64_t columns = N - j < kSquare ? N - j : kSquare;
        float *c = out + i * out_row + j;
        square_of(rows, columns, n_steps, left + i / kSide * tile_row,
                  right + j / kSide * tile_row, {c, out_row}, c, out_row);
      }
    }
  }

  static void add_rows(int64_t n_rows, const float *rows, const float *, int64_t N,
                       float *row_sum) {
    add_rows_of(n_rows, rows, N, row_sum);
  }

 private:
  // Visit the tiles of a right operand [K, N] in the order in which they lie.
  template <class Visit>
  static INLINE void for_right_tiles(int64_t K, int64_t N, Visit visit) {
    for (int64_t j = 0; j < N; j += kSquare) {
      for (int64_t k = 0; k < K; k += kStep) {
        visit(k, j);
        if (j + kSide < N) visit(k, j + kSide);
      }
    }
  }

  // Up to 32 rows of `depth` numbers as left tiles; rows that do not exist are zero.
  static void pack_rows(const float *from, int64_t row, int64_t n_rows, int64_t depth, float *to) {
    int64_t n_steps = steps(depth), n_padded = round_up(n_rows, kSide);
    for (int64_t r = 0; r < n_padded; ++r) {
      float *tile_row = to + (r / kSide * n_steps * kSide + r % kSide) * kSide;
      for (int64_t k = 0; k < depth; k += kStep, tile_row += kTileFloats) {
        if (r < n_rows) {
          write_brains(from + r * row + k, depth - k < kStep ? depth - k : kStep, tile_row);
        } else {
          std::memset(tile_row, 0, 64);
        }
      }
    }
  }
};

}  // namespace
}  // namespace lfads
