// Numbers of 16 bits, bf16: the upper half of a float32, rounded to nearest, ties to even. NaN
// stays NaN.
#pragma once
#include "vector.h"

namespace lfads {
namespace {

typedef uint32_t Bits __attribute__((vector_size(4 * LANES)));

// The bits of float32 whose upper halves are the rounded numbers; the lower halves are not zeroed.
INLINE Bits rounded_up_to_half(Vector x) {
  Bits bits = (Bits)x;
  Bits even = (bits >> 16) & 1;
  return (Bits)(x == x) ? bits + even + 0x7fff : bits | 0x400000;
}

INLINE Vector to_brain(Vector x) { return (Vector)(rounded_up_to_half(x) & 0xffff0000u); }

}  // namespace
}  // namespace lfads
