// Choices of block sizes and costs, as pure functions of the shape.
#pragma once

#include <cstdint>

#include "cpu/kernel.h"
#include "flash_mla/plan.h"
#include "plan/split.h"

namespace flash_mla::dispatch {

/// What a plan is cut for.
struct Tiling {
  int64_t most_rows = 0;   ///< query rows a unit
  int64_t most_heads = 0;  ///< KV heads a unit, where a sequence has one query token
};
Tiling tiling_of(const DecodeShape& shape, bool on_cuda);

/// Query rows a unit at most: a multiple of 16 up to 128, so that its output fits half of a 512 KiB L2.
int64_t max_rows_per_block(int64_t d_v);

/// KV heads that a unit of one query token takes together, so that the cache is read as it lies: as many as there are
/// panels, while a group fits into one.
int64_t kv_heads_per_block(int64_t group);

/// Nanoseconds a key costs a block of `rows` rows, which compute in panels of 16.
double key_cost(const DecodeShape& shape, int64_t rows, double flops_per_ns);

/// Fixed costs in nanoseconds for blocks of `rows` rows.
plan::CostModel cost_model(const DecodeShape& shape, int64_t rows);

/// The same for one SM of a Hopper GPU. From data sheets, not measured: 3.35 TB/s over 132 SMs, and a chain of some
/// microseconds to start a unit.
double sm90_key_cost(const DecodeShape& shape);
plan::CostModel sm90_cost_model(const DecodeShape& shape, int64_t rows);

}  // namespace flash_mla::dispatch
