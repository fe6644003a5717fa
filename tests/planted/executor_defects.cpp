// Defects of how work is handed out.
#include "dispatch/executor.h"

#include <omp.h>

#include <thread>

#include "planted.h"

namespace flash_mla::planted {

using Task = void (*)(void* context, int index);
#define FLASH_MLA_PARALLEL "_ZN9flash_mla8dispatch12parallel_forEPKNS_8ExecutorEiPFvPviES4_"

void real_parallel(const Executor* executor, int count, Task task, void* context) FLASH_MLA_REAL(FLASH_MLA_PARALLEL);

void wrap_parallel(const Executor* executor, int count, Task task, void* context) FLASH_MLA_WRAP(FLASH_MLA_PARALLEL);
void wrap_parallel(const Executor* executor, int count, Task task, void* context) {
  if (is_planted("ignores_the_executor")) executor = nullptr;
  if (is_planted("asks_for_too_little") && count > 1) --count;
  if (is_planted("loses_work_in_dynamic_teams") && omp_get_dynamic() != 0) return;
  if (is_planted("hands_out_another_pool") && executor != nullptr) {
    const Executor other{&count, executor->parallel_for};
    return real_parallel(&other, count, task, context);
  }
  if (is_planted("works_on_another_thread")) {
    std::jthread([&] { real_parallel(executor, count, task, context); });
    return;
  }
  real_parallel(executor, count, task, context);
}

}  // namespace flash_mla::planted
