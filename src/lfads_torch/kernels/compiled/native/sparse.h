// Products with rows that are mostly zero, as spike counts are. Leaving out the zeros leaves every
// chain of multiply-adds as it was, so the bits are those of the dense products in product.h.
#pragma once
#include "product.h"

namespace lfads {
namespace {

struct Entry {
  int32_t column;
  float value;
};

// The entries of some rows that are not zero; those of row r end before `ends[r]`.
struct Entries {
  Entry *all;
  int32_t *ends;

  INLINE int32_t first(int64_t r) const { return r == 0 ? 0 : ends[r - 1]; }
};

// More entries than this, and the dense product is faster.
INLINE int64_t most_entries(int64_t n_rows, int64_t M) { return n_rows * M / 5; }
// In floats; the last row that is read may go beyond the limit.
INLINE int64_t entries_memory(int64_t n_rows, int64_t M) {
  return 2 * (most_entries(n_rows, M) + M) + n_rows;
}

INLINE Entries entries_in(float *memory, int64_t n_rows) {
  int32_t *ends = reinterpret_cast<int32_t *>(memory);
  return {reinterpret_cast<Entry *>(ends + n_rows), ends};
}

// Note the entries of rows [n_rows, M] that are not zero; false if there are too many.
bool note_entries(const float *rows, int64_t stride, int64_t n_rows, int64_t M, Entries to) {
  int64_t most = most_entries(n_rows, M), n = 0;
  for (int64_t r = 0; r < n_rows; ++r) {
    const float *row = rows + r * stride;
    sweep(M, [&](int64_t c, auto part) {
      for (uint32_t bits = nonzero(load(row + c, part)); bits != 0; bits &= bits - 1) {
        int64_t column = c + __builtin_ctz(bits);
        to.all[n++] = {static_cast<int32_t>(column), row[column]};
      }
    });
    if (n > most) return false;
    to.ends[r] = static_cast<int32_t>(n);
  }
  return true;
}

template <int V, class Part>
INLINE void sum_entries(const Entry *from, const Entry *end, const float *weight, int64_t row,
                        const float *bias, float *out, Part last) {
  Vector sum[V];
  for (int v = 0; v + 1 < V; ++v) sum[v] = load(bias + v * LANES, All{});
  sum[V - 1] = load(bias + (V - 1) * LANES, last);
  for (; from != end; ++from) {
    const float *weights = weight + from->column * row;
    Vector one = same(from->value);
    for (int v = 0; v + 1 < V; ++v) sum[v] = one * load(weights + v * LANES, All{}) + sum[v];
    sum[V - 1] = one * load(weights + (V - 1) * LANES, last) + sum[V - 1];
  }
  for (int v = 0; v + 1 < V; ++v) store(out + v * LANES, sum[v], All{});
  store(out + (V - 1) * LANES, sum[V - 1], last);
}

// C[n_rows, N] = bias + A W from the entries of A; `weight` [K, N] as it is, its rows `row` apart.
void multiply_entries(int64_t n_rows, int64_t N, Entries entries, const float *weight, int64_t row,
                      const float *bias, float *c, int64_t c_row) {
  constexpr int64_t kWide = 4 * LANES;
  for (int64_t r = 0; r < n_rows; ++r, c += c_row) {
    const Entry *from = entries.all + entries.first(r), *end = entries.all + entries.ends[r];
    int64_t j = 0;
    for (; j + kWide <= N; j += kWide) {
      sum_entries<4>(from, end, weight + j, row, bias + j, c + j, All{});
    }
    for (; j + LANES <= N; j += LANES) {
      sum_entries<1>(from, end, weight + j, row, bias + j, c + j, All{});
    }
    if (j < N) sum_entries<1>(from, end, weight + j, row, bias + j, c + j, First{N - j});
  }
}

template <int V, class Part>
INLINE void add_entry(const Entry &entry, const float *right, float *out, Part last) {
  Vector one = same(entry.value);
  for (int v = 0; v + 1 < V; ++v) {
    store(out + v * LANES, one * load(right + v * LANES, All{}) + load(out + v * LANES, All{}),
          All{});
  }
  int64_t v = (V - 1) * LANES;
  store(out + v, one * load(right + v, All{}) + load(out + v, last), last);
}

// out[M, N] += A^T B from the entries of A, with B packed as by pack_right.
void add_entries(int64_t n_rows, int64_t N, Entries entries, const float *packed_right, float *out,
                 int64_t out_row) {
  for (int64_t j = 0; j < N; j += kPanel) {
    int64_t width = N - j < kPanel ? N - j : kPanel, padded = round_up(width, LANES);
    for (int64_t r = 0; r < n_rows; ++r, packed_right += padded) {
      for (int32_t e = entries.first(r); e < entries.ends[r]; ++e) {
        const Entry &entry = entries.all[e];
        float *to = out + entry.column * out_row + j;
        if (width == kPanel) {
          add_entry<kVectors>(entry, packed_right, to, All{});
        } else {
          sweep(width, [&](int64_t c, auto part) {
            add_entry<1>(entry, packed_right + c, to + c, part);
          });
        }
      }
    }
  }
}

}  // namespace
}  // namespace lfads
