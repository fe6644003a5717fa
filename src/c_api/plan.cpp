#include "c_api/plan.h"

#include <utility>

#include "c_api/guard.h"
#include "c_api/tensor.h"

namespace flash_mla::c_api {

namespace {

static_assert(FLASH_MLA_PLAN_STANDARD == static_cast<int>(PlanMode::standard));
static_assert(FLASH_MLA_PLAN_BATCH_INVARIANT == static_cast<int>(PlanMode::batch_invariant));
static_assert(FLASH_MLA_WORKSPACE_ALIGNMENT == kWorkspaceAlignment);

PlanSpec convert_spec(const flash_mla_plan_spec& spec) {
  PlanSpec result;
  result.shape = {.dtype = static_cast<DType>(spec.dtype),
                  .out_dtype = static_cast<DType>(spec.out_dtype),
                  .batch = spec.batch,
                  .s_q = spec.s_q,
                  .h_q = spec.h_q,
                  .h_kv = spec.h_kv,
                  .d = spec.d,
                  .d_v = spec.d_v,
                  .page_size = spec.page_size,
                  .separate_v = spec.separate_v != 0};
  result.seqlens = spec.seqlens;
  result.cu_seqlens_q = spec.cu_seqlens_q;
  result.mask = to_cpp(spec.mask);
  result.mode = static_cast<PlanMode>(spec.mode);
  result.lengths_on_device = spec.lengths_on_device != 0;
  result.num_workers = spec.num_workers;
  result.backend = spec.backend == nullptr ? "" : spec.backend;
  return result;
}

}  // namespace

}  // namespace flash_mla::c_api

using namespace flash_mla::c_api;  // NOLINT(google-build-using-namespace): this file is the namespace's C face

void flash_mla_plan_spec_init(flash_mla_plan_spec* spec) {
  if (spec == nullptr) return;
  const flash_mla::DecodeShape shape;
  *spec = {};
  spec->dtype = static_cast<int32_t>(shape.dtype);
  spec->out_dtype = static_cast<int32_t>(shape.out_dtype);
  spec->s_q = shape.s_q;
  spec->h_kv = shape.h_kv;
  spec->d = shape.d;
  spec->d_v = shape.d_v;
  spec->page_size = shape.page_size;
}

flash_mla_status flash_mla_plan_create(const flash_mla_plan_spec* spec, flash_mla_plan** plan) {
  if (plan == nullptr) return report_null("plan is null; expected a place for the plan");
  *plan = nullptr;
  if (spec == nullptr) return report_null("spec is null");
  return guard([&]() -> flash_mla::Status {
    auto made = flash_mla::Plan::make(convert_spec(*spec));
    if (!made.ok()) return made.status();
    *plan = new flash_mla_plan{std::move(made).value()};
    return {};
  });
}

flash_mla_status flash_mla_plan_remake(flash_mla_plan* plan, const flash_mla_plan_spec* spec) {
  if (plan == nullptr) return report_null("plan is null");
  if (spec == nullptr) return report_null("spec is null");
  return guard([&] { return plan->plan.remake(convert_spec(*spec)); });
}

void flash_mla_plan_destroy(flash_mla_plan* plan) {
  delete plan;
}

flash_mla_status flash_mla_plan_upload(const flash_mla_plan* plan, void* workspace, size_t workspace_size,
                                       void* stream) {
  if (plan == nullptr) return report_null("plan is null");
  return guard([&] { return plan->plan.upload(workspace, workspace_size, stream); });
}

flash_mla_status flash_mla_plan_on_device(const flash_mla_plan* plan, const flash_mla_const_tensor* seqlens,
                                          void* workspace, size_t workspace_size, void* stream) {
  if (plan == nullptr) return report_null("plan is null");
  if (seqlens == nullptr) return report_null("seqlens is null");
  return guard([&] { return plan->plan.plan_on_device(to_cpp(*seqlens), workspace, workspace_size, stream); });
}

size_t flash_mla_plan_workspace_size(const flash_mla_plan* plan) {
  return plan == nullptr ? 0 : plan->plan.workspace_size();
}

const char* flash_mla_plan_backend(const flash_mla_plan* plan) {
  return plan == nullptr ? "" : plan->plan.backend();
}

int flash_mla_plan_num_workers(const flash_mla_plan* plan) {
  return plan == nullptr ? 0 : plan->plan.num_workers();
}

int64_t flash_mla_plan_num_units(const flash_mla_plan* plan) {
  return plan == nullptr ? 0 : plan->plan.num_units();
}

int64_t flash_mla_plan_num_split_units(const flash_mla_plan* plan) {
  return plan == nullptr ? 0 : plan->plan.num_split_units();
}
