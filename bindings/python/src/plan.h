// Plans as Python objects.
#pragma once

#include <nanobind/nanobind.h>

#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "flash_mla/plan.h"

namespace flash_mla::python {

/// What a plan is made from, apart from its lengths.
struct PlanOptions {
  DecodeShape shape;
  Mask mask;
  PlanMode mode = PlanMode::standard;
  int num_workers = 0;
  std::string backend;
};

/// A plan that remembers its options. Calls that use it hold `mutex` shared, remake() holds it alone: Python threads
/// may do both at once.
class PythonPlan {
 public:
  PythonPlan(PlanOptions options, nanobind::handle seqlens, nanobind::handle cu_seqlens_q);

  void remake(nanobind::handle seqlens, nanobind::handle cu_seqlens_q);

  [[nodiscard]] const Plan& plan() const { return *plan_; }
  [[nodiscard]] const PlanOptions& options() const { return options_; }
  mutable std::shared_mutex mutex;

 private:
  PlanOptions options_;
  std::optional<Plan> plan_;
};

void define_plan(nanobind::module_& module);

}  // namespace flash_mla::python
