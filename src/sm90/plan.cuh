// The planner where lengths lie on the device (src/plan/wrap.h has the rule): one CTA, a target a thread.
#pragma once

#include "plan/wrap.h"
#include "sm90/unit.h"

namespace flash_mla::sm90 {

static_assert(kPlanThreads == plan::kWrapTargets);

struct PlanMemory {
  unsigned long long total;  // cost of all items whole
  int32_t target;            // index of the best
  int32_t num_units;
  int32_t counts[kMostPlannedParts];  // units of each part
};

class Planner {
 public:
  __device__ Planner(const PlanParams& params, PlanMemory& memory)
      : params_(params),
        memory_(memory),
        model_{params.unit_cost, params.split_cost, params.quantum_cost},
        num_items_(params.batch * params.h_kv * params.row_blocks) {}

  __device__ void run() {
    if (threadIdx.x == 0) {
      memory_.total = 0;
      memory_.target = kPlanThreads - 1;
      memory_.num_units = 0;
    }
    if (threadIdx.x < static_cast<uint32_t>(params_.num_parts)) memory_.counts[threadIdx.x] = 0;
    __syncthreads();
    measure();
    __syncthreads();
    sort();
    __syncthreads();
    if (try_target(static_cast<int32_t>(threadIdx.x))) atomicMin(&memory_.target, static_cast<int32_t>(threadIdx.x));
    __syncthreads();
    if (threadIdx.x == 0) place();
    __syncthreads();
    write();
  }

 private:
  __device__ RowBlock block(int32_t item) const {
    RowBlock block;
    const int32_t number = item % params_.row_blocks;
    block.sequence = item / params_.row_blocks / params_.h_kv;
    block.kv_head = item / params_.row_blocks % params_.h_kv;
    block.s_q = params_.s_q;
    block.s_k = max(0, params_.seqlens[block.sequence * params_.seqlens_stride]);
    block.row_begin = number * params_.rows_per_block;
    block.row_count = min(params_.rows_per_block, params_.s_q * params_.group - block.row_begin);
    const Mask mask{params_.causal != 0, params_.window, params_.sinks};
    block.keys = core::visible_keys(mask, block.s_k, block.s_q, block.row_begin / params_.group,
                                    (block.row_begin + block.row_count - 1) / params_.group);
    return block;
  }

  __device__ void measure() {
    int64_t cost = 0;
    for (int32_t item = static_cast<int32_t>(threadIdx.x); item < num_items_; item += kPlanThreads) {
      const int64_t keys = block(item).keys.size();
      params_.quanta[item] = static_cast<int32_t>((keys + kTileKeys - 1) / kTileKeys);
      cost += model_.whole(params_.quanta[item]);
    }
    atomicAdd(&memory_.total, static_cast<unsigned long long>(cost));
  }

  /// Dearest first, equals by number; batches of very many items stay in their order.
  __device__ void sort() const {
    for (int32_t item = static_cast<int32_t>(threadIdx.x); item < num_items_; item += kPlanThreads) {
      int32_t rank = item;
      if (num_items_ <= kMostSortedItems) {
        rank = 0;
        const int32_t own = params_.quanta[item];
        for (int32_t other = 0; other < num_items_; ++other) {
          const int32_t quanta = params_.quanta[other];
          rank += quanta > own || (quanta == own && other < item) ? 1 : 0;
        }
      }
      params_.order[rank] = item;
    }
  }

  template <class Visit>
  __device__ bool wrap(int32_t index, Visit visit) const {
    const int64_t target = plan::wrap_target(static_cast<int64_t>(memory_.total), params_.num_parts, model_, index);
    return plan::wrap(
        num_items_, params_.num_parts, model_, target,
        [this](int32_t place) { return params_.quanta[params_.order[place]]; },
        [this](int32_t part) -> int64_t& { return params_.loads[part * kPlanThreads + threadIdx.x]; }, visit);
  }
  __device__ bool try_target(int32_t index) const {
    return wrap(index, [](int32_t, const plan::WrapUnit&) {});
  }

  /// By one thread: units in their order, numbered by part; partial rows and merges of what is split.
  __device__ void place() {
    int32_t next_merge = 0;
    int64_t next_partial = 0;
    wrap(memory_.target, [&](int32_t part, const plan::WrapUnit& unit) {
      const int32_t item = params_.order[unit.item];
      params_.planned[memory_.num_units++] = {item, unit.split, unit.begin, unit.count, part, memory_.counts[part]++};
      if (!unit.is_last) return;
      PlannedItem& planned = params_.items[item];
      planned = {unit.split + 1, -1, -1};
      if (planned.num_splits == 1) return;
      planned.merge = next_merge++;
      planned.first_partial = next_partial;
      next_partial += int64_t{planned.num_splits} * block(item).row_count;
    });
    int32_t begin = 0;
    for (int32_t part = 0; part < params_.num_parts; ++part) {
      params_.part_begin[part] = begin;
      begin += memory_.counts[part];
    }
    params_.part_begin[params_.num_parts] = begin;
    for (int32_t merge = next_merge; merge < params_.num_merges; ++merge) params_.merges[merge] = Merge{};
  }

  __device__ void write() const {
    for (int32_t i = static_cast<int32_t>(threadIdx.x); i < memory_.num_units; i += kPlanThreads) {
      const PlannedUnit unit = params_.planned[i];
      const PlannedItem item = params_.items[unit.item];
      RowBlock rows = block(unit.item);
      rows.first_partial = item.first_partial;
      const int64_t begin = int64_t{unit.begin} * kTileKeys;
      const int64_t end = min(rows.keys.size(), begin + int64_t{unit.count} * kTileKeys);
      params_.units[params_.part_begin[unit.part] + unit.index_in_part] = make_unit(rows, unit.split, begin, end);
      if (unit.split == 0 && item.merge >= 0) params_.merges[item.merge] = make_merge(rows, item.num_splits);
    }
  }

  const PlanParams& params_;
  PlanMemory& memory_;
  plan::WrapModel model_;
  int32_t num_items_;
};

}  // namespace flash_mla::sm90
