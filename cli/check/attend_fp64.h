// One query token's heads over their keys, in float64: the inner part of the fast reference, compiled for several
// instruction sets.
#pragma once

#include <cstdint>

#include "flash_mla/tensor.h"

namespace flash_mla::cli {

/// Heads that are attended to together: their packed queries and outputs stay in a second-level cache.
inline constexpr int64_t kHeadsPerUnit = 48;

/// Offsets are in elements of `dtype`.
struct AttentionUnit {
  DType dtype = DType::bfloat16;
  int64_t heads = 0;  ///< 1 to kHeadsPerUnit
  int64_t keys = 0;
  int64_t d = 0;
  int64_t d_v = 0;
  double scale = 0;
  const void* q = nullptr;  ///< [heads, d]
  int64_t q_head_stride = 0;
  const void* k = nullptr;
  const int64_t* k_rows = nullptr;  ///< [keys] where each key's row begins in k
  const void* v = nullptr;
  const int64_t* v_rows = nullptr;  ///< [keys]; null: the first d_v columns of the key's row
  double* out = nullptr;            ///< [heads, d_v], dense
  double* lse = nullptr;            ///< [heads]
  int64_t lse_stride = 0;
  double* scratch = nullptr;  ///< attend_fp64_scratch(d, d_v) doubles, aligned to 64 bytes
};

/// Doubles of scratch that any unit of these widths needs.
int64_t attend_fp64_scratch(int64_t d, int64_t d_v);

using AttendFp64 = void (*)(const AttentionUnit& unit);

// One a file; null where this build lacks the instruction set.
AttendFp64 attend_fp64_avx512();
AttendFp64 attend_fp64_avx2();
AttendFp64 attend_fp64_portable();

}  // namespace flash_mla::cli
