// Vectors of float32 in the compiler's own vector types, so that one source serves every
// instruction set. LANES, ROWS: numbers in a vector, rows of a product's tile.
#pragma once
#include <cstdint>
#include <cstring>
#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

// LFADS_EMULATED: vectors as wide as those of AVX-512 on a processor without it, for tests.
#if defined(__AVX512F__) || defined(LFADS_EMULATED)
#define LANES 16
#define ROWS 8
#elif defined(__AVX2__)
#define LANES 8
#define ROWS 4
#else
#define LANES 4
#define ROWS 4
#endif
#define INLINE inline __attribute__((always_inline))

namespace lfads {
namespace {  // nothing here may be shared with a file compiled for another instruction set

typedef float Vector __attribute__((vector_size(4 * LANES)));
typedef int32_t Whole __attribute__((vector_size(4 * LANES)));
typedef float Anywhere __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

// How many numbers of a vector exist in memory: all, or the first n.
struct All {};
struct First {
  int64_t n;
};

INLINE Vector same(float x) { return x - Vector{}; }

INLINE Vector load(const float *p, All) { return *reinterpret_cast<const Anywhere *>(p); }
INLINE void store(float *p, Vector x, All) { *reinterpret_cast<Anywhere *>(p) = x; }

// Bit i: number i is not zero (NaN is not).
#if defined(__AVX512F__)
INLINE uint32_t nonzero(Vector x) {
  return _mm512_cmp_ps_mask((__m512)x, _mm512_setzero_ps(), _CMP_NEQ_UQ);
}
#elif defined(__AVX2__) && !defined(LFADS_EMULATED)
INLINE uint32_t nonzero(Vector x) {
  __m256 differs = _mm256_cmp_ps((__m256)x, _mm256_setzero_ps(), _CMP_NEQ_UQ);
  return static_cast<uint32_t>(_mm256_movemask_ps(differs));
}
#else
INLINE uint32_t nonzero(Vector x) {
  uint32_t bits = 0;
  for (int i = 0; i < LANES; ++i) bits |= static_cast<uint32_t>(x[i] != 0.0f) << i;
  return bits;
}
#endif

#if defined(__AVX512F__)
INLINE __mmask16 mask(First part) { return static_cast<__mmask16>((1u << part.n) - 1); }
INLINE Vector load(const float *p, First part) {
  return (Vector)_mm512_maskz_loadu_ps(mask(part), p);
}
INLINE void store(float *p, Vector x, First part) {
  _mm512_mask_storeu_ps(p, mask(part), (__m512)x);
}
#elif defined(__AVX2__) && !defined(LFADS_EMULATED)
INLINE __m256i mask(First part) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(part.n)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
INLINE Vector load(const float *p, First part) {
  return (Vector)_mm256_maskload_ps(p, mask(part));
}
// Not by a masked store, which takes an EPYC 5 ns where this takes 0.3.
INLINE void store(float *p, Vector x, First part) {
  __m128 rest = _mm256_castps256_ps128((__m256)x);
  if (part.n & 4) {
    _mm_storeu_ps(p, rest);
    rest = _mm256_extractf128_ps((__m256)x, 1);
    p += 4;
  }
  if (part.n & 2) {
    _mm_storel_pi(reinterpret_cast<__m64 *>(p), rest);
    rest = _mm_movehl_ps(rest, rest);
    p += 2;
  }
  if (part.n & 1) _mm_store_ss(p, rest);
}
#else
INLINE Vector load(const float *p, First part) {
  Vector x = {};
  for (int64_t i = 0; i < part.n; ++i) x[i] = p[i];
  return x;
}
INLINE void store(float *p, Vector x, First part) {
  for (int64_t i = 0; i < part.n; ++i) p[i] = x[i];
}
#endif

// Bytes of 0 or 1 as numbers; zeros beyond the part.
INLINE Vector load_bytes(const uint8_t *p, All) {
  typedef uint8_t Bytes __attribute__((vector_size(LANES)));
  Bytes bytes;
  std::memcpy(&bytes, p, LANES);
  return __builtin_convertvector(bytes, Vector);
}
INLINE Vector load_bytes(const uint8_t *p, First part) {
  uint8_t bytes[LANES] = {};
  std::memcpy(bytes, p, part.n);
  return load_bytes(bytes, All{});
}

// 1 for the numbers that exist, 0 beyond them.
INLINE Vector first_lanes(All) { return same(1.0f); }
INLINE Vector first_lanes(First part) {
  Vector x = {};
  for (int i = 0; i < LANES; ++i) x[i] = i < part.n ? 1.0f : 0.0f;
  return x;
}

INLINE Vector square_root(Vector x) {
  for (int i = 0; i < LANES; ++i) x[i] = __builtin_sqrtf(x[i]);
  return x;
}

// Call `pass(offset, part)` for n numbers side by side.
template <class Pass>
INLINE void sweep(int64_t n, Pass pass) {
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) pass(i, All{});
  if (i < n) pass(i, First{n - i});
}

// e^x as `power * (1 + rest)` with a power of two and |rest| < 0.42, so that nothing is lost where
// 1 is subtracted. Source of the polynomial: Cephes, expf.
struct Exponential {
  Vector power, rest;
};

INLINE Exponential split_exponential(Vector x) {
  // Adding 1.5 * 2^23 rounds to a whole number, which then stands in the low bits.
  const Vector rounder = same(12582912.0f);
  Vector shifted = x * same(1.44269504088896341f) + rounder;
  Vector n = shifted - rounder;
  Vector r = x - n * same(0.693359375f);
  r = r - n * same(-2.12194440e-4f);
  Vector p = same(1.9875691500e-4f);
  p = p * r + same(1.3981999507e-3f);
  p = p * r + same(8.3334519073e-3f);
  p = p * r + same(4.1665795894e-2f);
  p = p * r + same(1.6666665459e-1f);
  p = p * r + same(5.0000001201e-1f);
  Whole power = ((Whole)shifted << 23) + (Whole)same(1.0f);
  return {(Vector)power, p * (r * r) + r};
}

// NaN stays NaN: a comparison with it is false.
INLINE Vector between(Vector x, float bottom, float top) {
  x = x > same(top) ? same(top) : x;
  return x < same(bottom) ? same(bottom) : x;
}

INLINE Vector exponential(Vector x) {
  Exponential e = split_exponential(between(x, -87.3f, 88.0f));
  return e.power * e.rest + e.power;
}

INLINE Vector sigmoid(Vector x) { return same(1.0f) / (same(1.0f) + exponential(-x)); }

INLINE Vector hyperbolic_tangent(Vector x) {
  Exponential e = split_exponential(between(x + x, -40.0f, 40.0f));
  Vector scaled = e.power * e.rest;
  return ((e.power - same(1.0f)) + scaled) / ((e.power + same(1.0f)) + scaled);
}

INLINE int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

}  // namespace
}  // namespace lfads
