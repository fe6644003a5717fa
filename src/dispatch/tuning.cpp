#include "dispatch/tuning.h"

#include <algorithm>

#include "sm90/params.h"

namespace flash_mla::dispatch {

Tiling tiling_of(const DecodeShape& shape, bool on_cuda) {
  if (on_cuda) return {sm90::kTileRows, 1};
  return {max_rows_per_block(shape.d_v), kv_heads_per_block(shape.h_q / shape.h_kv)};
}

int64_t max_rows_per_block(int64_t d_v) {
  constexpr int64_t kOutputBytes = 256 * 1024;
  return std::clamp<int64_t>(kOutputBytes / (4 * d_v) / 16 * 16, 16, 128);
}

int64_t kv_heads_per_block(int64_t group) {
  return group <= cpu::kPanelRows ? cpu::kMaxPanels : 1;
}

double key_cost(const DecodeShape& shape, int64_t rows, double flops_per_ns) {
  const int64_t panels = (rows + 15) / 16;
  const double lanes = 16.0 * static_cast<double>(panels);
  return 2.0 * (lanes * static_cast<double>(shape.d) + static_cast<double>(rows * shape.d_v)) / flops_per_ns;
}

plan::CostModel cost_model(const DecodeShape& shape, int64_t rows) {
  const double q = static_cast<double>(rows * shape.d);
  const double out = static_cast<double>(rows * shape.d_v);
  plan::CostModel model;
  model.unit_cost = 500 + 0.15 * q + 0.1 * out;  // pack the queries, write the rows
  model.split_cost = 1000 + 0.4 * out;           // write, read and merge 4 bytes a column
  model.quantum = 16;
  return model;
}

double sm90_key_cost(const DecodeShape& shape) {
  constexpr double kBytesPerNs = 25;
  return 2.0 * static_cast<double>(shape.d) / kBytesPerNs;
}

plan::CostModel sm90_cost_model(const DecodeShape& shape, int64_t rows) {
  constexpr double kL2BytesPerNs = 40;
  plan::CostModel model;
  model.unit_cost = 2000;
  model.split_cost = 1000 + 8.0 * static_cast<double>(rows * shape.d_v) / kL2BytesPerNs;
  model.quantum = sm90::kTileKeys;
  return model;
}

}  // namespace flash_mla::dispatch
