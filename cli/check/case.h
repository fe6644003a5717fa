// What `check` runs: families of cases that share their data and their reference.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "flash_mla/plan.h"

namespace flash_mla::cli {

enum class Layout {
  dense,
  padded,      ///< slack after every axis, and a start that is aligned to an element only
  transposed,  ///< heads before tokens, in all arrays that have both; small arrays interleaved with others
};

enum class Values {
  tenth,    ///< N(0, 1) / 10
  unit,     ///< N(0, 1)
  needles,  ///< N(0, 1) / 10, and for every query row one key that outweighs all others; each row's in another place
};

/// Data that several cases share: the cache, and the queries of the largest case.
struct DataSpec {
  std::string group;
  DecodeShape shape;                  ///< s_q and h_q of the largest case; out_dtype is the cases' own
  std::vector<int32_t> seqlens;       ///< [b]
  std::vector<int32_t> cu_seqlens_q;  ///< [b + 1] for ragged q, else empty
  Mask mask;  ///< decides which page table entries are live; cases may differ in `causal` without window
  Layout layout = Layout::dense;
  Values values = Values::tenth;
  int64_t first_needle = 0;
  std::optional<double> scale;
  uint64_t seed = 0;
};

/// One call. It asks for the last s_q query tokens of the family's and the first heads of each KV head's group, so that
/// the family's reference holds its answer.
struct Case {
  int64_t s_q = 0;  ///< 0 for ragged q
  int64_t h_q = 0;
  bool causal = false;
  DType out_dtype = DType::bfloat16;
  bool with_lse = true;
  PlanMode mode = PlanMode::standard;
  int workers = 0;  ///< 0: as many as the command was given, and the library's own threads; else the caller's executor
};

struct Family {
  DataSpec data;
  std::vector<Case> cases;
};

/// 2 * h_q * (d + d_v) for each pair of query token and cached token, whatever the mask hides.
double flop_of(const DataSpec& data, const Case& one);
/// One line that names everything needed to make this case again.
std::string describe(const DataSpec& data, const Case& one);

}  // namespace flash_mla::cli
