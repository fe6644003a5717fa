// Defects of how work is handed out.
#include "dispatch/executor.h"

#include <omp.h>

#include <thread>

#include "planted.h"

namespace flash_mla::planted {

using Task = void (*)(void* context, int phase, int index);
#define FLASH_MLA_RUN_PHASES "_ZN9flash_mla8dispatch10run_phasesEPKNS_8ExecutorEiiPFvPviiES4_"

void real_run_phases(const Executor* executor, int phases, int count, Task task, void* context)
    FLASH_MLA_REAL(FLASH_MLA_RUN_PHASES);

void wrap_run_phases(const Executor* executor, int phases, int count, Task task, void* context)
    FLASH_MLA_WRAP(FLASH_MLA_RUN_PHASES);
void wrap_run_phases(const Executor* executor, int phases, int count, Task task, void* context) {
  if (is_planted("ignores_the_executor")) executor = nullptr;
  if (is_planted("asks_for_too_little") && count > 1) --count;
  if (is_planted("loses_work_in_dynamic_teams") && omp_get_dynamic() != 0) return;
  if (is_planted("hands_out_another_pool") && executor != nullptr) {
    const Executor other{&count, executor->parallel_for};
    return real_run_phases(&other, phases, count, task, context);
  }
  if (is_planted("works_on_another_thread")) {
    std::jthread([&] { real_run_phases(executor, phases, count, task, context); });
    return;
  }
  real_run_phases(executor, phases, count, task, context);
}

}  // namespace flash_mla::planted
