// Runs work in phases on the caller's executor, or on OpenMP.
#pragma once

#include "flash_mla/executor.h"

namespace flash_mla::dispatch {

/// Calls task(context, phase, index) for every index in [0, count), phase by phase.
void run_phases(const Executor* executor, int phases, int count, void (*task)(void* context, int phase, int index),
                void* context);

/// The same for a callable of two ints.
template <class Task>
void run_phases(const Executor* executor, int phases, int count, Task& task) {
  const auto call = [](void* context, int phase, int index) { (*static_cast<Task*>(context))(phase, index); };
  run_phases(executor, phases, count, +call, static_cast<void*>(&task));
}

}  // namespace flash_mla::dispatch
