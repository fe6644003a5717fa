// Runs tasks on the caller's executor, or on OpenMP.
#pragma once

#include "flash_mla/executor.h"

namespace flash_mla::dispatch {

void parallel_for(const Executor* executor, int count, void (*task)(void* context, int index), void* context);

/// The same for a callable of one int.
template <class Task>
void parallel_for(const Executor* executor, int count, Task& task) {
  const auto call = [](void* context, int index) { (*static_cast<Task*>(context))(index); };
  parallel_for(executor, count, +call, static_cast<void*>(&task));
}

}  // namespace flash_mla::dispatch
