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

void parallel_for(const Executor* executor, int count, void (*task)(void* context, int index), void* context) {
  if (executor != nullptr) {
    executor->parallel_for(executor->pool, count, task, context);
  } else if (count == 1) {
    task(context, 0);
  } else {
#pragma omp parallel for num_threads(count) schedule(static, 1)
    for (int index = 0; index < count; ++index) task(context, index);
  }
}

}  // namespace dispatch

}  // namespace flash_mla
