#include "dispatch/executor.h"

#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>

namespace flash_mla {

namespace {

int cores_in_affinity_mask() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : INT32_MAX;
}

/// cgroup v2's cpu.max is "quota period" in microseconds, or "max period".
int cores_in_cgroup_quota() {
  std::FILE* file = std::fopen("/sys/fs/cgroup/cpu.max", "r");
  if (file == nullptr) return INT32_MAX;
  long quota = 0, period = 0;
  const int fields = std::fscanf(file, "%ld %ld", &quota, &period);
  std::fclose(file);
  if (fields != 2 || quota <= 0 || period <= 0) return INT32_MAX;
  return static_cast<int>(std::max(1L, (quota + period - 1) / period));
}

}  // namespace

int default_num_workers() {
  static const int allowed = std::min(cores_in_affinity_mask(), cores_in_cgroup_quota());
  return std::clamp(omp_get_max_threads(), 1, std::max(1, allowed));
}

namespace dispatch {

namespace {

using Task = void (*)(void* context, int phase, int index);

/// A phase as the callers' parallel-for takes it.
struct Phase {
  Task task;
  void* context;
  int phase;

  static void run(void* self, int index) {
    const Phase& it = *static_cast<Phase*>(self);
    it.task(it.context, it.phase, index);
  }
};

/// One team for all phases: a barrier costs less than a second team. A team may be smaller than was asked for.
void run_on_openmp(int phases, int count, Task task, void* context) {
#pragma omp parallel num_threads(count)
  for (int phase = 0; phase < phases; ++phase) {
#pragma omp for schedule(static, 1)
    for (int index = 0; index < count; ++index) task(context, phase, index);
  }
}

}  // namespace

void run_phases(const Executor* executor, int phases, int count, Task task, void* context) {
  if (executor == nullptr && count > 1) {
    run_on_openmp(phases, count, task, context);
    return;
  }
  for (int phase = 0; phase < phases; ++phase) {
    if (executor == nullptr) {
      task(context, phase, 0);
    } else {
      Phase one{task, context, phase};
      executor->parallel_for(executor->pool, count, Phase::run, &one);
    }
  }
}

}  // namespace dispatch

}  // namespace flash_mla
