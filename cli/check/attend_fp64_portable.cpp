// The fast reference's kernel on the 128-bit registers that compilers use everywhere.
#include "check/attend_fp64_kernel.h"

namespace flash_mla::cli {

AttendFp64 attend_fp64_portable() {
  return attend<2>;
}

int64_t attend_fp64_scratch(int64_t d, int64_t d_v) {
  constexpr int64_t kRoundedUp = 7 * 8;  // each of seven arrays to whole cache lines
  const int64_t rows = d + kRowPadding + d_v + kRowPadding;
  return kHeadsPerUnit * (d + d_v + kBlockKeys + 2) + kBlockKeys * rows + kRoundedUp;
}

}  // namespace flash_mla::cli
