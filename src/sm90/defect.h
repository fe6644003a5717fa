// Mistakes that the tests compile into the kernels to see that they are found. What ships has none.
#pragma once

namespace flash_mla::sm90 {

enum class Defect {
  none,
  cleared_without_proxy_fence,
  weights_without_barrier,
  weights_overwritten_early,
  released_before_read,
  queries_without_proxy_fence,
  dead_rows_kept,
  wrong_page,
  tail_off_by_one,
  causal_off_by_one,
  sums_not_rescaled,
  part_not_merged,
  expects_too_little,
};

#ifdef FLASH_MLA_SM90_DEFECT
inline constexpr Defect kDefect = Defect::FLASH_MLA_SM90_DEFECT;
#else
inline constexpr Defect kDefect = Defect::none;
#endif

constexpr bool planted(Defect defect) {
  return kDefect == defect;
}

}  // namespace flash_mla::sm90
