// Defects of plans and of the choice of backends and workers.
#include <utility>

#include "dispatch/registry.h"
#include "flash_mla/executor.h"
#include "flash_mla/plan.h"
#include "planted.h"

namespace flash_mla::planted {

#define FLASH_MLA_MAKE "_ZN9flash_mla4Plan4makeERKNS_8PlanSpecE"
#define FLASH_MLA_REMAKE "_ZN9flash_mla4Plan6remakeERKNS_8PlanSpecE"
#define FLASH_MLA_CHOOSE "_ZN9flash_mla8dispatch14choose_backendESt17basic_string_viewIcSt11char_traitsIcEE"
#define FLASH_MLA_FIND "_ZN9flash_mla12find_backendESt17basic_string_viewIcSt11char_traitsIcEE"
#define FLASH_MLA_BACKENDS "_ZN9flash_mla8backendsEv"
#define FLASH_MLA_WORKERS "_ZN9flash_mla19default_num_workersEv"

Result<Plan> real_make(const PlanSpec& spec) FLASH_MLA_REAL(FLASH_MLA_MAKE);
Status real_remake(Plan* plan, const PlanSpec& spec) FLASH_MLA_REAL(FLASH_MLA_REMAKE);
Result<const dispatch::Backend*> real_choose(std::string_view name) FLASH_MLA_REAL(FLASH_MLA_CHOOSE);
Result<BackendInfo> real_find(std::string_view name) FLASH_MLA_REAL(FLASH_MLA_FIND);
std::span<const BackendInfo> real_backends() FLASH_MLA_REAL(FLASH_MLA_BACKENDS);
int real_workers() FLASH_MLA_REAL(FLASH_MLA_WORKERS);

namespace {

PlanSpec empty_spec() {
  PlanSpec spec;
  spec.shape.h_q = 1;
  spec.backend = "scalar";
  return spec;
}

}  // namespace

Result<Plan> wrap_make(const PlanSpec& spec) FLASH_MLA_WRAP(FLASH_MLA_MAKE);
Result<Plan> wrap_make(const PlanSpec& spec) {
  const bool unlike = (is_planted("plan_takes_few_workers") && spec.num_workers > 64) ||
                      (is_planted("plan_looks_at_s_q_of_ragged_queries") && spec.shape.s_q < 1);
  if (unlike) return Status{StatusCode::invalid_argument, "planted"};
  Result<Plan> plan = real_make(spec);
  if (!plan.ok() && is_planted("plan_takes_anything")) return real_make(empty_spec());
  return plan;
}

Status wrap_remake(Plan* plan, const PlanSpec& spec) FLASH_MLA_WRAP(FLASH_MLA_REMAKE);
Status wrap_remake(Plan* plan, const PlanSpec& spec) {
  if (is_planted("remake_does_nothing")) return {};
  Status status = real_remake(plan, spec);
  if (!status.ok() && is_planted("failed_remake_spoils_the_plan"))
    return std::exchange(status, real_remake(plan, empty_spec()));
  return status;
}

Result<const dispatch::Backend*> wrap_choose(std::string_view name) FLASH_MLA_WRAP(FLASH_MLA_CHOOSE);
Result<const dispatch::Backend*> wrap_choose(std::string_view name) {
  if (is_planted("ignores_the_environment") && name.empty()) return real_choose("scalar");
  if (is_planted("ignores_the_backend's_name")) return real_choose("");
  Result<const dispatch::Backend*> chosen = real_choose(name);
  if (is_planted("runs_another_backend") && chosen.ok()) {
    static dispatch::Backend other;
    other.info = chosen.value()->info;
    other.kernels = real_choose(std::string_view(other.info.name) == "scalar" ? "" : "scalar").value()->kernels;
    return &std::as_const(other);
  }
  return chosen;
}

Result<BackendInfo> wrap_find(std::string_view name) FLASH_MLA_WRAP(FLASH_MLA_FIND);
Result<BackendInfo> wrap_find(std::string_view name) {
  Result<BackendInfo> found = real_find(name);
  if (!found.ok() && is_planted("finds_any_backend")) return real_find("scalar");
  return found;
}

std::span<const BackendInfo> wrap_backends() FLASH_MLA_WRAP(FLASH_MLA_BACKENDS);
std::span<const BackendInfo> wrap_backends() {
  return is_planted("lists_fewer_backends") ? real_backends().subspan(1) : real_backends();
}

int wrap_workers() FLASH_MLA_WRAP(FLASH_MLA_WORKERS);
int wrap_workers() {
  return is_planted("assumes_seven_workers") ? 7 : real_workers();
}

}  // namespace flash_mla::planted
