// wgmma with few columns: d[64, N] += a[64, 16] b[N, 16]^T for N of 8, 16 and 32, both factors in shared memory
// (wgmma.h says what a thread holds of d). kColumnsRun: a's rows (the index of d's rows) run along memory, as those of
// values do, and not the sum's index.
#pragma once

#include <stdint.h>

#include "sm90/params.h"

namespace flash_mla::ptx {

#define FLASH_MLA_NARROW_ELEMENT(element, shape, if_add, columns_run, d, a_b, ...)                        \
  asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, " if_add ", 0;\nwgmma.mma_async.sync.aligned." shape \
               ".f32." element "." element " {" d "}, " a_b ", add, 1, 1, " columns_run ", 0;\n}\n"       \
               : __VA_ARGS__                                                                              \
               : "l"(a), "l"(b), "r"(add), "n"(kColumnsRun ? 1 : 0))
#define FLASH_MLA_NARROW(...)                          \
  if constexpr (kElement == sm90::Element::bfloat16) { \
    FLASH_MLA_NARROW_ELEMENT("bf16", __VA_ARGS__);     \
  } else {                                             \
    FLASH_MLA_NARROW_ELEMENT("f16", __VA_ARGS__);      \
  }

template <sm90::Element kElement, bool kColumnsRun>
__device__ __forceinline__ void wgmma_narrow(float (&d)[4], uint64_t a, uint64_t b, int add) {
  FLASH_MLA_NARROW("m64n8k16", "%6", "%7", "%0, %1, %2, %3", "%4, %5", "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]))
}
template <sm90::Element kElement, bool kColumnsRun>
__device__ __forceinline__ void wgmma_narrow(float (&d)[8], uint64_t a, uint64_t b, int add) {
  FLASH_MLA_NARROW("m64n16k16", "%10", "%11", "%0, %1, %2, %3, %4, %5, %6, %7", "%8, %9", "+f"(d[0]), "+f"(d[1]),
                   "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]))
}
template <sm90::Element kElement, bool kColumnsRun>
__device__ __forceinline__ void wgmma_narrow(float (&d)[16], uint64_t a, uint64_t b, int add) {
  FLASH_MLA_NARROW("m64n32k16", "%18", "%19", "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15",
                   "%16, %17", "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]),
                   "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]),
                   "+f"(d[15]))
}

#undef FLASH_MLA_NARROW
#undef FLASH_MLA_NARROW_ELEMENT

}  // namespace flash_mla::ptx
