#include "cuda/tables.h"

#include <algorithm>
#include <cstring>

#include "dispatch/plan_state.h"

namespace flash_mla::cuda {

namespace {

using internal::PlanState;
using internal::RowBlock;

constexpr int64_t kAlignment = static_cast<int64_t>(kWorkspaceAlignment);

/// [begin, end) of the visible keys of a block, as keys of its sequence: sinks apart where the piece has any.
void set_keys(const core::KeyRange& keys, int64_t begin, int64_t end, sm90::Unit& unit) {
  const int64_t shift = keys.window_begin - keys.sink_end;
  const int64_t sinks_end = std::min(end, keys.sink_end);
  const int64_t rest_begin = std::max(begin, keys.sink_end);
  int range = 0;
  if (begin < sinks_end) {
    unit.begin[range] = static_cast<int32_t>(begin);
    unit.end[range++] = static_cast<int32_t>(sinks_end);
  }
  if (rest_begin < end) {
    unit.begin[range] = static_cast<int32_t>(rest_begin + shift);
    unit.end[range] = static_cast<int32_t>(end + shift);
  }
}

int32_t first_token(const PlanState& plan, int32_t sequence) {
  return plan.ragged ? plan.cu_seqlens_q[sequence] : 0;
}

sm90::Unit unit_of(const PlanState& plan, const plan::Unit& piece) {
  const RowBlock& block = plan.blocks[piece.item];
  sm90::Unit unit{};
  unit.sequence = block.sequence;
  unit.kv_head = block.kv_head;
  unit.first_token = first_token(plan, block.sequence);
  unit.s_q =
      plan.ragged ? plan.cu_seqlens_q[block.sequence + 1] - unit.first_token : static_cast<int32_t>(plan.shape.s_q);
  unit.s_k = plan.seqlens[block.sequence];
  unit.row_begin = block.row_begin;
  unit.row_count = block.row_count;
  set_keys(block.keys, piece.begin, piece.end, unit);
  unit.partial_row = block.first_partial < 0 ? -1 : block.first_partial + int64_t{piece.split} * block.row_count;
  return unit;
}

sm90::Merge merge_of(const PlanState& plan, int32_t index) {
  const RowBlock& block = plan.blocks[index];
  return {block.sequence,     block.kv_head,   first_token(plan, block.sequence),
          block.row_begin,    block.row_count, plan.schedule.num_splits[index],
          block.first_partial};
}

}  // namespace

void make_tables(const PlanState& plan, DevicePlan& device) {
  DeviceLayout& layout = device.layout;
  int64_t size = 0;
  const auto take = [&size](int64_t bytes) {
    const int64_t offset = size;
    size += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return offset;
  };
  const auto num_units = static_cast<int64_t>(plan.schedule.units.size());
  const auto num_merges = static_cast<int64_t>(plan.split_blocks.size());
  const auto num_parts = static_cast<int64_t>(plan.schedule.part_begin.size());
  layout.units = take(num_units * static_cast<int64_t>(sizeof(sm90::Unit)));
  layout.merges = take(num_merges * static_cast<int64_t>(sizeof(sm90::Merge)));
  layout.part_begin = take(num_parts * static_cast<int64_t>(sizeof(int32_t)));
  layout.tables = size;
  layout.partial_out = take(plan.partial_rows * plan.shape.d_v * static_cast<int64_t>(sizeof(float)));
  layout.partial_lse = take(plan.partial_rows * static_cast<int64_t>(sizeof(float)));
  layout.size = num_units == 0 ? 0 : size;

  device.num_merges = static_cast<int32_t>(num_merges);
  device.tables.assign(static_cast<size_t>(layout.tables), 0);
  char* const tables = device.tables.data();
  for (int64_t i = 0; i < num_units; ++i) {
    const sm90::Unit unit = unit_of(plan, plan.schedule.units[i]);
    std::memcpy(tables + layout.units + i * static_cast<int64_t>(sizeof(unit)), &unit, sizeof(unit));
  }
  for (int64_t i = 0; i < num_merges; ++i) {
    const sm90::Merge merge = merge_of(plan, plan.split_blocks[i]);
    std::memcpy(tables + layout.merges + i * static_cast<int64_t>(sizeof(merge)), &merge, sizeof(merge));
  }
  std::memcpy(tables + layout.part_begin, plan.schedule.part_begin.data(), num_parts * sizeof(int32_t));
}

}  // namespace flash_mla::cuda
