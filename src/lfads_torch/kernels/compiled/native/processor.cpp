#include "processor.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace lfads {
namespace {

// Source of the numbers: Intel 64 and IA-32 Architectures Software Developer's Manual, CPUID leaf 7
// and XCR0; the kernel's Documentation/arch/x86/xstate.rst.
constexpr uint32_t kAmxBf16 = 1u << 22, kAmxTile = 1u << 24, kOsXsave = 1u << 27;
constexpr uint32_t kTileStates = 3u << 17;
constexpr long kRequestPermission = 0x1023, kTileData = 18;

bool processor_has_tiles() {
  uint32_t a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & kOsXsave)) return false;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  return (d & kAmxBf16) && (d & kAmxTile);
}

bool system_keeps_tiles() {
  uint32_t low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & kTileStates) == kTileStates;
}

}  // namespace

bool has_tiles() { return processor_has_tiles() && system_keeps_tiles(); }

bool may_use_tiles() {
  static const bool may = has_tiles() &&
                          syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return may;
}

}  // namespace lfads

#else

bool lfads::has_tiles() { return false; }
bool lfads::may_use_tiles() { return false; }

#endif
