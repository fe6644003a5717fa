// Who runs the work: OpenMP by default, or the caller's own thread pool.
#pragma once

#include "flash_mla/export.h"

namespace flash_mla {

/// A caller's parallel-for. `parallel_for(pool, n, task, context)` calls `task(context, i)` once for every i in [0, n),
/// in any order and on any threads, and returns when all have finished. It may run them one after another.
/// Results never depend on who runs what.
struct Executor {
  void* pool = nullptr;
  void (*parallel_for)(void* pool, int count, void (*task)(void* context, int index), void* context) = nullptr;
};

/// The threads a plan is balanced for unless told otherwise: OpenMP's maximum (so `OMP_NUM_THREADS` and
/// `torch.set_num_threads` are obeyed), but no more than the CPU affinity mask and the cgroup quota allow.
FLASH_MLA_API int default_num_workers();

}  // namespace flash_mla
