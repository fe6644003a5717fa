// Executors as callers might pass them.
#pragma once

#include "flash_mla/executor.h"

namespace flash_mla::test {

/// On the calling thread, from the first to the last.
Executor serial_executor();
/// On the calling thread, from the last to the first.
Executor reverse_executor();
/// Each index on a thread of its own, all at once.
Executor thread_executor();
/// Counts the calls of each index in `counts`, which the caller owns, and runs them one after another.
struct CallCounts {
  static constexpr int kMost = 64;
  int calls = 0;
  int of_index[kMost] = {};
};
Executor counting_executor(CallCounts& counts);

}  // namespace flash_mla::test
