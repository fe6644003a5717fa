// The fast reference's kernel on 512-bit registers.
#include "check/attend_fp64_kernel.h"

namespace flash_mla::cli {

#if defined(__AVX512F__)
AttendFp64 attend_fp64_avx512() {
  return attend<8>;
}
#else
AttendFp64 attend_fp64_avx512() {
  return nullptr;
}
#endif

}  // namespace flash_mla::cli
