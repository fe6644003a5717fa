// Tiles of keys: what the warps of a CTA walk in step, and what of them rows see.
#pragma once

#include "sm90/defect.h"
#include "sm90/params.h"

namespace flash_mla::sm90 {

struct Tile {
  int32_t key;         // the first, a multiple of kTileKeys
  int32_t begin, end;  // the unit's keys are key + [begin, end)

  __device__ bool is_whole() const { return begin == 0 && end == kTileKeys; }
};

class Tiles {
 public:
  __device__ explicit Tiles(const Unit& unit) {
#pragma unroll
    for (int range = 0; range < 2; ++range) {
      begin_[range] = unit.begin[range];
      end_[range] = unit.end[range] + (planted(Defect::tail_off_by_one) ? -1 : 0);
      count_[range] = begin_[range] < end_[range]
                          ? static_cast<int32_t>((static_cast<uint32_t>(end_[range]) + kTileKeys - 1) / kTileKeys) -
                                begin_[range] / kTileKeys
                          : 0;
    }
  }

  __device__ int32_t count() const {
    return count_[0] + count_[1];
  }
  __device__ Tile operator[](int32_t index) const {
    const bool second = index >= count_[0];
    const int32_t begin = second ? begin_[1] : begin_[0], end = second ? end_[1] : end_[0];
    const int32_t key = (begin / kTileKeys + (second ? index - count_[0] : index)) * kTileKeys;
    return {key, max(0, begin - key), min(kTileKeys, end - key)};
  }

 private:
  int32_t begin_[2], end_[2], count_[2];
};

/// Keys that a query token sees: [begin, end), and those before sinks.
struct Visible {
  int32_t begin, end;
};

__device__ __forceinline__ Visible visible(const DecodeParams& params, const Unit& unit, int32_t token) {
  const int32_t hidden = unit.s_q - 1 - token - (planted(Defect::causal_off_by_one) ? 1 : 0);
  const int32_t end = params.causal != 0 ? max(0, unit.s_k - hidden) : unit.s_k;
  const int32_t window = params.window + (planted(Defect::window_off_by_one) ? 1 : 0);
  return {params.window != 0 ? max(0, end - window) : 0, end};
}

/// Offset of a row of a KV head in q, out or lse.
__device__ __forceinline__ int64_t row_offset(const RowStrides& strides, int32_t sequence, int32_t first_token,
                                              int32_t kv_head, int32_t group, int32_t row) {
  const int32_t token = row / group, head = kv_head * group + row % group;
  return sequence * strides.sequence + (static_cast<int64_t>(first_token) + token) * strides.token +
         head * strides.head;
}

}  // namespace flash_mla::sm90
