// What a forked process may still do.
#pragma once

#include "flash_mla/executor.h"

namespace flash_mla::python {

/// OpenMP's threads do not survive a fork, and its runtime would wait for them for ever. In a process that was forked
/// from one with several threads this is an executor that runs on the calling thread; elsewhere null, OpenMP.
const Executor* executor_after_fork();

/// Starts watching for forks. Once a process.
void watch_forks();

}  // namespace flash_mla::python
