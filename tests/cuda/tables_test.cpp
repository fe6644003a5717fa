// A plan as the kernels read it: every key of every row block once, in the ranges that its masks leave.
#include "cuda/tables.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <tuple>

#include "device_call.h"
#include "dispatch/plan_state.h"

namespace flash_mla::test {
namespace {

std::vector<sm90::Unit> units_of(const Plan& plan) {
  std::vector<sm90::Unit> units(static_cast<size_t>(plan.num_units()));
  const cuda::DevicePlan& device = plan.state().device;
  std::memcpy(units.data(), device.tables.data() + device.layout.units, units.size() * sizeof(sm90::Unit));
  return units;
}

Plan plan_of(const SceneSpec& spec, int workers) {
  const Scene scene(spec);
  RunOptions options;
  options.workers = workers;
  return Plan::make(DeviceCall(scene).spec(options)).value();
}

TEST(CudaTables, EveryVisibleKeyOfEveryRowOnce) {
  SceneSpec spec;
  spec.shape = {.s_q = 3, .h_q = 96, .h_kv = 2, .d = 288, .d_v = 256, .page_size = 64};
  spec.seqlens = {3000, 0, 70};
  spec.mask = {.causal = true, .window = 2000, .sinks = 100};
  const Plan plan = plan_of(spec, 40);
  using Block = std::tuple<int32_t, int32_t, int32_t>;
  std::map<Block, std::vector<int>> seen;
  std::map<Block, int64_t> next_partial;
  for (const sm90::Unit& unit : units_of(plan)) {
    EXPECT_LE(unit.row_count, sm90::kTileRows);
    EXPECT_EQ(unit.s_q, 3);
    EXPECT_EQ(unit.s_k, spec.seqlens[unit.sequence]);
    std::vector<int>& keys = seen[{unit.sequence, unit.kv_head, unit.row_begin}];
    keys.resize(static_cast<size_t>(unit.s_k));
    for (int range = 0; range < 2; ++range) {
      for (int32_t key = unit.begin[range]; key < unit.end[range]; ++key) ++keys[key];
    }
  }
  int64_t blocks = 0;
  for (const auto& [block, keys] : seen) {
    ++blocks;
    const auto [sequence, head, row] = block;
    const int64_t s_k = spec.seqlens[sequence], group = 48;
    const int64_t first = row / group, last = std::min<int64_t>(3 * group - 1, row + 47) / group;
    const core::KeyRange visible = core::visible_keys(spec.mask, s_k, 3, first, last);
    for (int64_t key = 0; key < s_k; ++key) {
      ASSERT_EQ(keys[key], visible.contains(key) ? 1 : 0)
          << "sequence " << sequence << ", row " << row << ", key " << key;
    }
  }
  EXPECT_EQ(blocks, 3 * 2 * 3) << "three blocks of 48 rows for each of three sequences and two KV heads";
}

TEST(CudaTables, PartialRowsDoNotOverlap) {
  SceneSpec spec;
  spec.shape = {.h_q = 128, .d = 576, .d_v = 512, .page_size = 64};
  spec.seqlens = {20000, 300};
  const Plan plan = plan_of(spec, 16);
  const internal::PlanState& state = plan.state();
  std::vector<int> written(static_cast<size_t>(state.partial_rows));
  int split = 0;
  for (const sm90::Unit& unit : units_of(plan)) {
    if (unit.partial_row < 0) continue;
    ++split;
    for (int32_t row = 0; row < unit.row_count; ++row) ++written[unit.partial_row + row];
  }
  EXPECT_EQ(split, plan.num_split_units());
  EXPECT_GT(split, 2);
  for (const int count : written) EXPECT_EQ(count, 1);
  EXPECT_EQ(state.device.num_merges, static_cast<int32_t>(state.split_blocks.size()));
}

TEST(CudaTables, SplitsBeginAtWholeTiles) {
  SceneSpec spec;
  spec.shape = {.h_q = 16, .d = 576, .d_v = 512, .page_size = 64};
  spec.seqlens = {5000};
  for (const sm90::Unit& unit : units_of(plan_of(spec, 9))) EXPECT_EQ(unit.begin[0] % sm90::kTileKeys, 0);
}

}  // namespace
}  // namespace flash_mla::test
