// The fast reference's kernel on 256-bit registers.
#include "check/attend_fp64_kernel.h"

namespace flash_mla::cli {

#if defined(__AVX2__)
AttendFp64 attend_fp64_avx2() {
  return attend<4>;
}
#else
AttendFp64 attend_fp64_avx2() {
  return nullptr;
}
#endif

}  // namespace flash_mla::cli
