#include "threads.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace lfads {
namespace {

struct Work {
  int64_t n;
  Task task;
  const void *context;
  std::atomic<int64_t> next{0};

  void help() {
    for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < n;) task(context, i);
  }
};

// Sleeping helpers that wake for a piece of work. It is never destroyed: at exit and in a child
// after fork its threads are gone, and joining them would hang.
class Pool {
 public:
  void run(Work &work, int64_t n_helpers) {
    grow(n_helpers);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      work_ = &work;
      wanted_ = n_helpers < n_threads_ ? n_helpers : n_threads_;
      ++round_;
    }
    wake_.notify_all();
    work.help();
    std::unique_lock<std::mutex> lock(mutex_);
    wanted_ = 0;  // who has not begun by now need not begin
    done_.wait(lock, [this] { return n_busy_ == 0; });
    work_ = nullptr;
  }

  std::mutex in_use;

 private:
  void grow(int64_t n) {
    try {
      while (n_threads_ < n) {
        std::thread(&Pool::serve, this).detach();
        ++n_threads_;
      }
    } catch (const std::system_error &) {
      // The machine grants no more threads: the others do the work.
    }
  }

  void serve() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (uint64_t seen = 0;;) {
      wake_.wait(lock, [&] { return round_ != seen; });
      seen = round_;
      if (wanted_ <= 0) continue;
      --wanted_;
      ++n_busy_;
      Work *work = work_;
      lock.unlock();
      work->help();
      lock.lock();
      if (--n_busy_ == 0) done_.notify_one();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_, done_;
  Work *work_ = nullptr;
  uint64_t round_ = 0;
  int64_t n_threads_ = 0, wanted_ = 0, n_busy_ = 0;
};

// A child after fork has the parent's memory but none of its threads, and possibly locks that
// nobody will release: it begins with a new pool, and the old one is left alone.
struct Shared {
  Pool *pool = new Pool;
  std::mutex *kept_mutex = new std::mutex;
  void *kept = nullptr;
  int64_t kept_bytes = 0;

  Shared() { pthread_atfork(nullptr, nullptr, [] { shared().begin_child(); }); }

  void begin_child() {
    pool = new Pool;
    kept_mutex = new std::mutex;
    kept = nullptr;  // a thread of the parent may have been between taking and noting it
  }

  static Shared &shared() {
    static Shared *one = new Shared;
    return *one;
  }
};

class ThreadMemory {
 public:
  ~ThreadMemory() { std::free(memory_); }
  float *get(int64_t floats) {
    if (floats > floats_) {
      std::free(memory_);
      floats_ = floats;
      size_t bytes = (static_cast<size_t>(floats) * sizeof(float) + 63) / 64 * 64;
      memory_ = static_cast<float *>(std::aligned_alloc(64, bytes));
      if (memory_ == nullptr) floats_ = 0;
    }
    return memory_;
  }

 private:
  float *memory_ = nullptr;
  int64_t floats_ = 0;
};

constexpr int64_t kPage = int64_t{1} << 21;
constexpr int64_t kKeepAtMost = int64_t{1} << 29;

}  // namespace

void run_tasks(int64_t n, int64_t threads, Task task, const void *context) {
  Work work{n, task, context};
  int64_t n_helpers = (threads < n ? threads : n) - 1;
  if (n_helpers > 0) {
    Pool &pool = *Shared::shared().pool;
    // Another Python thread is at work: better alone than in turn. The numbers are the same.
    std::unique_lock<std::mutex> lock(pool.in_use, std::try_to_lock);
    if (lock.owns_lock()) return pool.run(work, n_helpers);
  }
  work.help();
}

float *thread_memory(int64_t floats) {
  static thread_local ThreadMemory memory;
  return memory.get(floats);
}

CallMemory::CallMemory(int64_t floats) : floats_(nullptr) {
  bytes_ = (floats * static_cast<int64_t>(sizeof(float)) + kPage) / kPage * kPage;
  Shared &shared = Shared::shared();
  {
    std::lock_guard<std::mutex> lock(*shared.kept_mutex);
    if (shared.kept != nullptr && shared.kept_bytes >= bytes_) {
      floats_ = static_cast<float *>(std::exchange(shared.kept, nullptr));
      bytes_ = shared.kept_bytes;
      return;
    }
  }
  void *memory = std::aligned_alloc(kPage, bytes_);
#ifdef MADV_HUGEPAGE
  // Fewer page faults; where it is not granted, small pages do as well.
  if (memory != nullptr) madvise(memory, bytes_, MADV_HUGEPAGE);
#endif
  floats_ = static_cast<float *>(memory);
}

CallMemory::~CallMemory() {
  if (floats_ == nullptr) return;
  void *unneeded = floats_;
  Shared &shared = Shared::shared();
  if (bytes_ <= kKeepAtMost) {
    std::lock_guard<std::mutex> lock(*shared.kept_mutex);
    if (shared.kept == nullptr || shared.kept_bytes < bytes_) {
      std::swap(shared.kept, unneeded);
      shared.kept_bytes = bytes_;
    }
  }
  std::free(unneeded);
}

}  // namespace lfads
