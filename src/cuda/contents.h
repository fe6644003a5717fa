// The checking mode: what the arrays in the device's memory hold, seen from the host before a call.
#pragma once

#include <cstddef>
#include <vector>

#include "core/problem.h"

namespace flash_mla::cuda {

/// $FLASH_MLA_CUDA_CHECKS is set, and not to 0.
bool checking_is_asked_for();

/// Copies of the arrays that say where keys lie: lengths, cu_seqlens_q and page table.
class Contents {
 public:
  /// After the stream's earlier work, for which it waits; not while it is captured. `problem` then reads the copies,
  /// which live as long as this. Errors: device_error.
  Status bring(core::Problem& problem, void* stream);

 private:
  std::vector<std::byte> seqlens_, cu_seqlens_q_, page_table_;
};

}  // namespace flash_mla::cuda
