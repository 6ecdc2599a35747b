// The eight tile registers of AMX: 16 rows of 64 bytes each. Here they hold 16 x 16 float32, or
// 16 x 32 bf16; as right operand of a product the latter are 32 x 16, rows 2k and 2k + 1 side by
// side. Two implementations: the instructions, and (LFADS_TILES_EMULATED) the same numbers, memory
// and errors without them, so that all that is built on them can be tested on any machine.
// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, TDPBF16PS.
#pragma once
#include <cstdint>

#include "brain.h"

namespace lfads {
namespace {

// As LDTILECFG reads it: palette 1, eight tiles of full size.
struct alignas(64) TileShapes {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

#if defined(LFADS_TILES_EMULATED)

struct TileRegisters {
  bool are_ready = false;
  alignas(64) float row[8][16][16];
};

INLINE TileRegisters &tile_registers() {
  static thread_local TileRegisters registers;
  return registers;
}

// Using tiles that were not configured is an illegal instruction, as on the processor.
INLINE float (&tile_at(int tile))[16][16] {
  if (!tile_registers().are_ready) __builtin_trap();
  return tile_registers().row[tile];
}

INLINE void configure_tiles(const TileShapes &shapes) {
  if (shapes.palette != 1 || shapes.row_bytes[7] != 64 || shapes.rows[7] != 16) __builtin_trap();
  std::memset(tile_registers().row, 0, sizeof(TileRegisters::row));
  tile_registers().are_ready = true;
}
INLINE void release_tiles() { tile_registers().are_ready = false; }

template <int tile>
INLINE void zero_tile() {
  std::memset(tile_at(tile), 0, sizeof(tile_at(tile)));
}
template <int tile>
INLINE void load_tile(const void *from, int64_t row_bytes) {
  for (int i = 0; i < 16; ++i) {
    std::memcpy(tile_at(tile)[i], static_cast<const char *>(from) + i * row_bytes, 64);
  }
}
template <int tile>
INLINE void store_tile(void *to, int64_t row_bytes) {
  for (int i = 0; i < 16; ++i) {
    std::memcpy(static_cast<char *>(to) + i * row_bytes, tile_at(tile)[i], 64);
  }
}

// Numbers below the smallest normal one count as zero, as operands and as results.
INLINE Vector without_denormal(Vector x) {
  Vector size = (Vector)((Bits)x & 0x7fffffffu);
  return size < same(1.17549435e-38f) ? Vector{} : x;
}
INLINE Vector lower_half(Vector pairs) { return without_denormal((Vector)((Bits)pairs << 16)); }
INLINE Vector upper_half(Vector pairs) {
  return without_denormal((Vector)((Bits)pairs & 0xffff0000u));
}

// c += a b: even and odd entries are summed apart, each by multiply-adds in order, then together.
template <int c, int a, int b>
INLINE void multiply_tiles() {
  static_assert(LANES == 16, "a row of a tile is one vector");
  for (int i = 0; i < 16; ++i) {
    Vector even = {}, odd = {};
    for (int k = 0; k < 16; ++k) {
      Vector left = same(tile_at(a)[i][k]), right = load(tile_at(b)[k], All{});
      even = without_denormal(lower_half(left) * lower_half(right) + even);
      odd = without_denormal(upper_half(left) * upper_half(right) + odd);
    }
    float *row = tile_at(c)[i];
    Vector sum = without_denormal(even + odd);
    store(row, without_denormal(without_denormal(load(row, All{})) + sum), All{});
  }
}

#else

// The compilers' own functions take nothing but literal numbers of tiles, and some do not say
// that memory is read and written.
INLINE void configure_tiles(const TileShapes &shapes) {
  asm volatile("ldtilecfg %0" ::"m"(shapes) : "memory");
}
INLINE void release_tiles() { asm volatile("tilerelease" ::: "memory"); }

template <int tile>
INLINE void zero_tile() {
  asm volatile("tilezero %%tmm%c0" ::"i"(tile));
}
template <int tile>
INLINE void load_tile(const void *from, int64_t row_bytes) {
  asm volatile("tileloadd (%1,%2,1), %%tmm%c0" ::"i"(tile), "r"(from), "r"(row_bytes) : "memory");
}
template <int tile>
INLINE void store_tile(void *to, int64_t row_bytes) {
  asm volatile("tilestored %%tmm%c0, (%1,%2,1)" ::"i"(tile), "r"(to), "r"(row_bytes) : "memory");
}
template <int c, int a, int b>
INLINE void multiply_tiles() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(c), "i"(a), "i"(b));
}

#endif

}  // namespace
}  // namespace lfads
