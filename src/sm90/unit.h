// Units from row blocks and their visible keys: for the host's plans and the device's.
#pragma once

#include <algorithm>

#include "core/visibility.h"
#include "sm90/params.h"

namespace flash_mla::sm90 {

/// Rows [row_begin, row_begin + row_count) of one sequence and KV head, and what they see together.
struct RowBlock {
  int32_t sequence = 0, kv_head = 0;
  int32_t first_token = 0, s_q = 0, s_k = 0;
  int32_t row_begin = 0, row_count = 0;
  core::KeyRange keys;
  int64_t first_partial = -1;  ///< partial row of its first unit; -1: not split
};

/// Visible keys [begin, end) of a block.
constexpr Unit make_unit(const RowBlock& block, int32_t split, int64_t begin, int64_t end) {
  Unit unit{};
  unit.sequence = block.sequence;
  unit.kv_head = block.kv_head;
  unit.first_token = block.first_token;
  unit.s_q = block.s_q;
  unit.s_k = block.s_k;
  unit.row_begin = block.row_begin;
  unit.row_count = block.row_count;
  unit.partial_row = block.first_partial < 0 ? -1 : block.first_partial + int64_t{split} * block.row_count;
  // As keys of the sequence: sinks apart where the piece has any.
  const core::KeyRange& keys = block.keys;
  const int64_t shift = keys.window_begin - keys.sink_end;
  const int64_t sinks_end = std::min(end, keys.sink_end), rest_begin = std::max(begin, keys.sink_end);
  const bool has_sinks = begin < sinks_end, has_rest = rest_begin < end;
  const auto rest = [&](bool there, int place) {
    unit.begin[place] = there ? static_cast<int32_t>(rest_begin + shift) : 0;
    unit.end[place] = there ? static_cast<int32_t>(end + shift) : 0;
  };
  rest(has_rest && !has_sinks, 0);
  rest(has_rest && has_sinks, 1);
  if (has_sinks) {
    unit.begin[0] = static_cast<int32_t>(begin);
    unit.end[0] = static_cast<int32_t>(sinks_end);
  }
  return unit;
}

constexpr Merge make_merge(const RowBlock& block, int32_t num_splits) {
  return {block.sequence,  block.kv_head, block.first_token,  block.row_begin,
          block.row_count, num_splits,    block.first_partial};
}

}  // namespace flash_mla::sm90
