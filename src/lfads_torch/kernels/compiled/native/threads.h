// Threads and working memory. The only part that uses the C++ library: the files that are compiled
// for one instruction set must not, or the linker could keep their copy of a shared template.
#pragma once
#include <cstdint>

namespace lfads {

using Task = void (*)(const void *context, int64_t index);

// Run tasks 0 to n-1 on up to `threads` threads, the calling one among them, and wait for all.
// Which thread runs a task, and when, is open: tasks must not read what others write.
void run_tasks(int64_t n, int64_t threads, Task task, const void *context);

// Memory of the calling thread, kept and reused by its later calls. Null if there is none.
float *thread_memory(int64_t floats);

// Memory of one call, shared by its tasks; large blocks are kept for the next call.
class CallMemory {
 public:
  explicit CallMemory(int64_t floats);
  ~CallMemory();
  CallMemory(const CallMemory &) = delete;
  CallMemory &operator=(const CallMemory &) = delete;
  float *floats() const { return floats_; }

 private:
  float *floats_;
  int64_t bytes_;
};

}  // namespace lfads
