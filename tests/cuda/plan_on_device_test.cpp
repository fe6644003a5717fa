// Plans that the device makes from lengths in its memory.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "device_call.h"
#include "dispatch/plan_state.h"
#include "dispatch/tuning.h"
#include "flash_mla/flash_mla.h"
#include "plan/wrap.h"
#include "support/accuracy.h"

namespace flash_mla::test {
namespace {

SceneSpec latents(std::vector<int32_t> seqlens, int64_t h_q = 16, int64_t s_q = 1) {
  SceneSpec spec;
  spec.shape = {.s_q = s_q, .h_q = h_q, .d = 288, .d_v = 256, .page_size = 64};
  spec.seqlens = std::move(seqlens);
  return spec;
}

PlanSpec on_device(const DeviceCall& call, int sms) {
  RunOptions options;
  options.workers = sms;
  PlanSpec spec = call.spec(options);
  spec.lengths_on_device = true;
  spec.seqlens = nullptr;
  return spec;
}

/// One plan for all: what a graph that was captured once replays.
void expect_right_for(const std::vector<SceneSpec>& steps, int sms) {
  std::optional<Plan> plan;
  for (const SceneSpec& step : steps) {
    const Scene scene(step);
    DeviceCall call(scene);
    if (!plan) plan = Plan::make(on_device(call, sms)).value();
    Output output(scene);
    const Status status = call.run(*plan, output);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_TRUE(is_accurate(scene, output, scene.reference()));
  }
}

TEST(CudaPlanOnDevice, ServesWhateverTheLengthsBecome) {
  expect_right_for({latents({130, 0, 64, 1}), latents({131, 1, 65, 2}), latents({0, 0, 0, 0}),
                    latents({2000, 3, 1, 64}), latents({640, 640, 640, 640})},
                   6);
}

TEST(CudaPlanOnDevice, ManyRowsKvHeadsAndMasks) {
  SceneSpec first = latents({300, 90}, 144, 2);
  first.shape.h_kv = 2;
  first.mask = {.causal = true, .window = 70, .sinks = 5};
  SceneSpec second = first;
  second.seqlens = {1, 1200};
  expect_right_for({first, second}, 9);
}

TEST(CudaPlanOnDevice, AnEmptyBatchLaunchesNothing) {
  expect_right_for({latents({})}, 3);
}

template <class T>
std::vector<T> read_back(const CudaMemory& workspace, int64_t offset, size_t count) {
  std::vector<T> values(count);
  EXPECT_TRUE(workspace.read(values.data(), static_cast<size_t>(offset), count * sizeof(T)).ok());
  return values;
}

TEST(CudaPlanOnDevice, IsThePlanThatTheHostWouldMakeByTheSameRule) {
  constexpr int kSms = 7;
  const Scene scene(latents({500, 70, 0, 3000, 64, 65, 1000}, 16));
  const DeviceCall call(scene);
  const Plan plan = Plan::make(on_device(call, kSms)).value();
  const CudaMemory workspace = CudaMemory::allocate(plan.workspace_size()).value();
  ASSERT_TRUE(plan.plan_on_device(call.args.seqlens, workspace.data(), workspace.size(), nullptr).ok());
  ASSERT_TRUE(cuda_synchronize(nullptr).ok());
  const cuda::DeviceLayout& layout = plan.state().device.layout;
  const auto part_begin = read_back<int32_t>(workspace, layout.part_begin, kSms + 1);
  const auto units = read_back<sm90::Unit>(workspace, layout.units, static_cast<size_t>(part_begin.back()));

  const std::vector<int32_t>& lengths = scene.spec().seqlens;
  std::vector<int32_t> order(lengths.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
  const auto quanta = [&](int32_t sequence) { return (lengths[sequence] + 63) / 64; };
  std::ranges::stable_sort(order, [&](int32_t a, int32_t b) { return quanta(a) > quanta(b); });
  const plan::CostModel costs = dispatch::sm90_cost_model(plan.state().shape, 16);
  const plan::WrapModel model{std::llround(costs.unit_cost), std::llround(costs.split_cost),
                              std::llround(64 * dispatch::sm90_key_cost(plan.state().shape))};
  int64_t total = 0;
  for (const int32_t sequence : order) total += model.whole(quanta(sequence));
  std::vector<int64_t> loads(kSms);
  std::vector<std::vector<std::vector<int32_t>>> expected;
  for (int32_t target = 0; target < plan::kWrapTargets; ++target) {
    expected.assign(kSms, {});
    if (plan::wrap(
            static_cast<int32_t>(order.size()), kSms, model, plan::wrap_target(total, kSms, model, target),
            [&](int32_t item) { return quanta(order[item]); }, [&](int32_t part) -> int64_t& { return loads[part]; },
            [&](int32_t part, const plan::WrapUnit& unit) {
              const int32_t sequence = order[unit.item];
              expected[part].push_back(
                  {sequence, unit.begin * 64, std::min(lengths[sequence], (unit.begin + unit.count) * 64)});
            })) {
      break;
    }
  }
  for (int part = 0; part < kSms; ++part) {
    std::vector<std::vector<int32_t>> found;
    for (int32_t i = part_begin[part]; i < part_begin[part + 1]; ++i) {
      found.push_back({units[i].sequence, units[i].begin[0], units[i].end[0]});
    }
    EXPECT_EQ(found, expected[part]) << "part " << part;
  }
  EXPECT_GT(units.size(), lengths.size());  // something was cut
}

TEST(CudaPlanOnDevice, APlanIsMadeAnewForTheHost) {
  const Scene scene(latents({20, 3}));
  const DeviceCall call(scene);
  Plan plan = Plan::make(on_device(call, 3)).value();
  for (const char* const backend : {"sm90", "scalar"}) {
    RunOptions options;
    options.workers = 3;
    PlanSpec spec = call.spec(options);
    spec.backend = backend;
    ASSERT_TRUE(plan.remake(spec).ok());
    const Plan fresh = Plan::make(spec).value();
    EXPECT_EQ(plan.workspace_size(), fresh.workspace_size()) << backend;
    EXPECT_EQ(plan.num_units(), fresh.num_units()) << backend;
    EXPECT_FALSE(plan.state().planned_on_device()) << backend;
    ASSERT_TRUE(plan.remake(on_device(call, 3)).ok());
  }
}

TEST(CudaPlanOnDevice, Refusals) {
  const Scene scene(latents({20, 3}));
  const DeviceCall call(scene);
  PlanSpec spec = on_device(call, 257);
  EXPECT_EQ(Plan::make(spec).status().message(), "num_workers is 257 with lengths_on_device: expected at most 256");
  spec = on_device(call, 3);
  spec.mode = PlanMode::batch_invariant;
  EXPECT_EQ(Plan::make(spec).status().message(), "lengths_on_device is true: expected mode standard (0)");
  spec = on_device(call, 3);
  spec.backend = "scalar";
  EXPECT_EQ(Plan::make(spec).status().message(), "lengths_on_device is true: backend scalar reads lengths on the host");

  const Plan plan = Plan::make(on_device(call, 3)).value();
  const CudaMemory workspace = CudaMemory::allocate(plan.workspace_size()).value();
  EXPECT_EQ(plan.upload(workspace.data(), workspace.size(), nullptr).message(),
            "the plan has lengths_on_device; call plan_on_device()");
  EXPECT_EQ(plan.plan_on_device({}, workspace.data(), workspace.size(), nullptr).code(), StatusCode::invalid_argument);
  EXPECT_EQ(plan.plan_on_device(call.args.seqlens, workspace.data(), 5, nullptr).code(), StatusCode::invalid_argument);
  RunOptions options;
  options.workers = 3;
  const Plan by_host = Plan::make(call.spec(options)).value();
  EXPECT_EQ(by_host.plan_on_device(call.args.seqlens, workspace.data(), workspace.size(), nullptr).message(),
            "the plan was made without lengths_on_device");
}

}  // namespace
}  // namespace flash_mla::test
