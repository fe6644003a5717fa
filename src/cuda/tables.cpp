#include "cuda/tables.h"

#include <algorithm>
#include <cstring>

#include "dispatch/plan_state.h"
#include "plan/wrap.h"
#include "sm90/unit.h"

namespace flash_mla::cuda {

namespace {

using internal::PlanState;
using internal::RowBlock;

constexpr int64_t kAlignment = static_cast<int64_t>(kWorkspaceAlignment);

sm90::RowBlock block_of(const PlanState& plan, int32_t index) {
  const RowBlock& block = plan.blocks[index];
  const int32_t first_token = plan.ragged ? plan.cu_seqlens_q[block.sequence] : 0;
  const int32_t s_q =
      plan.ragged ? plan.cu_seqlens_q[block.sequence + 1] - first_token : static_cast<int32_t>(plan.shape.s_q);
  return {block.sequence,  block.kv_head, first_token,        s_q, plan.seqlens[block.sequence], block.row_begin,
          block.row_count, block.keys,    block.first_partial};
}

/// Hands out aligned pieces of the workspace.
struct Room {
  int64_t size = 0;

  template <class T>
  int64_t take(int64_t count) {
    const int64_t offset = size;
    size += (count * static_cast<int64_t>(sizeof(T)) + kAlignment - 1) / kAlignment * kAlignment;
    return offset;
  }
};

void lay_out_tables(int64_t num_units, int64_t num_merges, int64_t num_parts, Room& room, DeviceLayout& layout) {
  layout.units = room.take<sm90::Unit>(num_units);
  layout.merges = room.take<sm90::Merge>(num_merges);
  layout.part_begin = room.take<int32_t>(num_parts);
  layout.tables = room.size;
}

void lay_out_partials(int64_t rows, int64_t d_v, Room& room, DeviceLayout& layout) {
  layout.partial_out = room.take<float>(rows * d_v);
  layout.partial_lse = room.take<float>(rows);
}

}  // namespace

void make_room(const PlanState& plan, int64_t rows_per_block, DevicePlan& device) {
  const DecodeShape& shape = plan.shape;
  const int64_t rows = shape.s_q * (shape.h_q / shape.h_kv);
  const int64_t parts = plan.num_workers;
  device.rows_per_block = static_cast<int32_t>(rows_per_block);
  device.row_blocks = static_cast<int32_t>(rows == 0 ? 0 : (rows + rows_per_block - 1) / rows_per_block);
  const int64_t items = shape.batch * shape.h_kv * device.row_blocks;
  device.num_merges = static_cast<int32_t>(std::min(items, parts));  // a part cuts one item at most
  device.tables.clear();
  DeviceLayout& layout = device.layout;
  Room room;
  const int64_t units = plan::most_wrap_units(items, parts);
  lay_out_tables(units, device.num_merges, parts + 1, room, layout);
  layout.quanta = room.take<int32_t>(items);
  layout.order = room.take<int32_t>(items);
  layout.loads = room.take<int64_t>(parts * sm90::kPlanThreads);
  layout.planned = room.take<sm90::PlannedUnit>(units);
  layout.items = room.take<sm90::PlannedItem>(items);
  lay_out_partials(plan::most_wrap_pieces(parts) * rows_per_block, shape.d_v, room, layout);
  layout.size = items == 0 ? 0 : room.size;
}

void make_tables(const PlanState& plan, DevicePlan& device) {
  DeviceLayout& layout = device.layout;
  Room room;
  const auto num_units = static_cast<int64_t>(plan.schedule.units.size());
  const auto num_merges = static_cast<int64_t>(plan.split_blocks.size());
  const auto num_parts = static_cast<int64_t>(plan.schedule.part_begin.size());
  lay_out_tables(num_units, num_merges, num_parts, room, layout);
  lay_out_partials(plan.partial_rows, plan.shape.d_v, room, layout);
  layout.size = num_units == 0 ? 0 : room.size;

  device.num_merges = static_cast<int32_t>(num_merges);
  device.tables.assign(static_cast<size_t>(layout.tables), 0);
  char* const tables = device.tables.data();
  for (int64_t i = 0; i < num_units; ++i) {
    const plan::Unit& piece = plan.schedule.units[i];
    const sm90::Unit unit = sm90::make_unit(block_of(plan, piece.item), piece.split, piece.begin, piece.end);
    std::memcpy(tables + layout.units + i * static_cast<int64_t>(sizeof(unit)), &unit, sizeof(unit));
  }
  for (int64_t i = 0; i < num_merges; ++i) {
    const int32_t block = plan.split_blocks[i];
    const sm90::Merge merge = sm90::make_merge(block_of(plan, block), plan.schedule.num_splits[block]);
    std::memcpy(tables + layout.merges + i * static_cast<int64_t>(sizeof(merge)), &merge, sizeof(merge));
  }
  std::memcpy(tables + layout.part_begin, plan.schedule.part_begin.data(), num_parts * sizeof(int32_t));
}

}  // namespace flash_mla::cuda
