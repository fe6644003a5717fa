#include "device_call.h"

#include <gtest/gtest.h>

#include "dispatch/plan_state.h"

namespace flash_mla::test {

namespace {

size_t bytes_of(const ConstTensor& view) {
  int64_t last = 0;
  for (int axis = 0; axis < view.rank; ++axis) {
    if (view.shape[axis] == 0) return 0;
    last += (view.shape[axis] - 1) * view.strides[axis];
  }
  return static_cast<size_t>(last + 1) * size_of(view.dtype);
}

}  // namespace

Placed::Placed(const ConstTensor& view) : memory_(CudaMemory::allocate(bytes_of(view)).value()) {
  const Status status = memory_.write(view.data, 0, memory_.size());
  EXPECT_TRUE(status.ok()) << status.message();
}

void Placed::copy_back(void* to) const {
  const Status status = memory_.read(to, 0, memory_.size());
  EXPECT_TRUE(status.ok()) << status.message();
}

DeviceCall::DeviceCall(const Scene& scene) : args(scene.args()), scene_(scene) {
  const Status status = cuda_use_device(0);
  EXPECT_TRUE(status.ok()) << status.message();
  for (ConstTensor* view : {&args.q, &args.k_cache, &args.page_table, &args.seqlens, &args.cu_seqlens_q}) {
    if (view->data == nullptr) continue;
    arrays_.emplace_back(*view);
    view->data = arrays_.back().data();
  }
}

PlanSpec DeviceCall::spec(const RunOptions& options) const {
  PlanSpec spec = scene_.plan_spec();
  spec.backend = "sm90";
  spec.num_workers = options.workers;
  spec.mode = options.mode;
  return spec;
}

Status DeviceCall::run(const Plan& plan, Output& output) {
  const Placed out(output.out.view()), lse(output.lse.view());
  const CudaMemory workspace = CudaMemory::allocate(plan.workspace_size()).value();
  DecodeArgs call = args;
  call.out = output.out.view();
  call.out.data = out.data();
  call.lse = output.lse.view();
  call.lse.data = lse.data();
  call.workspace = workspace.data();
  call.workspace_size = workspace.size();
  const Status planned = plan.state().planned_on_device()
                             ? plan.plan_on_device(call.seqlens, call.workspace, call.workspace_size, nullptr)
                             : plan.upload(call.workspace, call.workspace_size, nullptr);
  if (!planned.ok()) return planned;
  if (const Status status = decode(plan, call); !status.ok()) return status;
  if (const Status status = cuda_synchronize(nullptr); !status.ok()) return status;
  out.copy_back(output.out.view().data);
  lse.copy_back(output.lse.view().data);
  return {};
}

}  // namespace flash_mla::test
