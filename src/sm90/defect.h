// Mistakes that the tests compile into the kernels to see that they are found. What ships has none.
#pragma once

namespace flash_mla::sm90 {

enum class Defect {
  none,
  causal_off_by_one,
  cleared_without_proxy_fence,
  dead_rows_kept,
  expects_too_little,
  gathered_without_proxy_fence,
  gathered_without_wait,
  live_anomaly_spreads,
  maxima_without_barrier,
  maximum_of_own_warp,
  part_not_merged,
  queries_without_proxy_fence,
  queries_without_barrier,
  released_before_read,
  remainders_forgotten,
  scores_without_wgmma_fence,
  slot_parity_forgotten,
  sums_not_rescaled,
  sums_of_one_warp,
  tail_off_by_one,
  tail_rows_not_masked,
  weights_overwritten_early,
  weights_without_barrier,
  weights_without_proxy_fence,
  window_off_by_one,
  wrong_page,
  wrong_parity,
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
