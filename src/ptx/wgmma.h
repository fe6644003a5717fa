// wgmma: products of a warpgroup (PTX ISA 9.0, section 9.7.15). d[64, N] += a[64, 16] b[16, N], float32 sums of
// bfloat16 or float16 factors. Thread t of the warpgroup holds of each 8 columns c.. the elements d[4 c / 8 + 0, 1] of
// row 16 (t / 32) + t % 32 / 4, columns c + 2 (t % 4) + 0, 1, and in d[4 c / 8 + 2, 3] those of the row 8 further down.
#pragma once

#include <stdint.h>

#include "sm90/params.h"

namespace flash_mla::ptx {

/// Orders what threads did to registers before the wgmmas that follow.
__device__ __forceinline__ void wgmma_fence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
/// Until at most kPending of the groups committed last are unfinished.
template <int kPending>
__device__ __forceinline__ void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}
/// Arithmetic on these registers moves neither up nor down past this: it belongs before the wgmma_fence() ahead of the
/// wgmmas that use them, and behind the wgmma_wait() for those.
template <int kCount>
__device__ __forceinline__ void wgmma_pin(float (&d)[kCount]) {
#pragma unroll
  for (float& element : d) asm volatile("" : "+f"(element)::"memory");
}
template <int kRows, int kColumns>
__device__ __forceinline__ void wgmma_pin(float (&d)[kRows][kColumns]) {
#pragma unroll
  for (auto& row : d) wgmma_pin(row);
}
template <int kRows, int kColumns>
__device__ __forceinline__ void wgmma_pin(uint32_t (&a)[kRows][kColumns]) {
#pragma unroll
  for (auto& row : a) {
#pragma unroll
    for (uint32_t& element : row) asm volatile("" : "+r"(element)::"memory");
  }
}

/// Descriptor of a matrix in rows of 128 bytes, swizzled by 128 bytes, 1024 bytes from one 8 rows to the next.
/// `leading_bytes`: from one 64 columns to the next, where columns run along memory and are no sum's index; else 16.
__device__ __forceinline__ uint64_t matrix_descriptor(uint32_t address, uint32_t leading_bytes) {
  return uint64_t{1} << 62 | uint64_t{1024 / 16} << 32 | uint64_t{leading_bytes / 16} << 16 | (address & 0x3ffff) / 16;
}
/// The descriptor of what lies `bytes` further on.
__device__ __forceinline__ uint64_t advanced(uint64_t descriptor, uint32_t bytes) {
  return descriptor + bytes / 16;
}

#define FLASH_MLA_D32_OPERANDS(d)                                                                             \
  "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), "+f"(d[8]), \
      "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), "+f"(d[16]),  \
      "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), \
      "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])

#define FLASH_MLA_D64_OPERANDS(d)                                                                             \
  "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), "+f"(d[8]), \
      "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), "+f"(d[16]),  \
      "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), \
      "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]), "+f"(d[32]), \
      "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]), \
      "+f"(d[41]), "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), "+f"(d[48]), \
      "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]), "+f"(d[56]), \
      "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63])

#define FLASH_MLA_D128_OPERANDS(d)                                                                                    \
  "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), "+f"(d[8]),         \
      "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), "+f"(d[16]),          \
      "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]),         \
      "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]), "+f"(d[32]),         \
      "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]),         \
      "+f"(d[41]), "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), "+f"(d[48]),         \
      "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]), "+f"(d[56]),         \
      "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63]), "+f"(d[64]),         \
      "+f"(d[65]), "+f"(d[66]), "+f"(d[67]), "+f"(d[68]), "+f"(d[69]), "+f"(d[70]), "+f"(d[71]), "+f"(d[72]),         \
      "+f"(d[73]), "+f"(d[74]), "+f"(d[75]), "+f"(d[76]), "+f"(d[77]), "+f"(d[78]), "+f"(d[79]), "+f"(d[80]),         \
      "+f"(d[81]), "+f"(d[82]), "+f"(d[83]), "+f"(d[84]), "+f"(d[85]), "+f"(d[86]), "+f"(d[87]), "+f"(d[88]),         \
      "+f"(d[89]), "+f"(d[90]), "+f"(d[91]), "+f"(d[92]), "+f"(d[93]), "+f"(d[94]), "+f"(d[95]), "+f"(d[96]),         \
      "+f"(d[97]), "+f"(d[98]), "+f"(d[99]), "+f"(d[100]), "+f"(d[101]), "+f"(d[102]), "+f"(d[103]), "+f"(d[104]),    \
      "+f"(d[105]), "+f"(d[106]), "+f"(d[107]), "+f"(d[108]), "+f"(d[109]), "+f"(d[110]), "+f"(d[111]), "+f"(d[112]), \
      "+f"(d[113]), "+f"(d[114]), "+f"(d[115]), "+f"(d[116]), "+f"(d[117]), "+f"(d[118]), "+f"(d[119]), "+f"(d[120]), \
      "+f"(d[121]), "+f"(d[122]), "+f"(d[123]), "+f"(d[124]), "+f"(d[125]), "+f"(d[126]), "+f"(d[127])

#define FLASH_MLA_D32                                                              \
  "{"                                                                              \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "         \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31" \
  "}"

#define FLASH_MLA_D64                                                                \
  "{"                                                                                \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "           \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"   \
  "}"

#define FLASH_MLA_D128                                                                             \
  "{"                                                                                              \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                         \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "               \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "               \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "               \
  "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "               \
  "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "               \
  "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, "   \
  "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127" \
  "}"

/// One wgmma for either type of element; d is added to if the operand `add` is not 0.
#define FLASH_MLA_WGMMA(shape, add, d, rest, d_operands, ...)                                            \
  if constexpr (kElement == sm90::Element::bfloat16) {                                                   \
    asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, " add ", 0;\nwgmma.mma_async.sync.aligned." shape \
                 ".f32.bf16.bf16 " d ", " rest ";\n}\n"                                                  \
                 : d_operands                                                                            \
                 : __VA_ARGS__);                                                                         \
  } else {                                                                                               \
    asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, " add ", 0;\nwgmma.mma_async.sync.aligned." shape \
                 ".f32.f16.f16 " d ", " rest ";\n}\n"                                                    \
                 : d_operands                                                                            \
                 : __VA_ARGS__);                                                                         \
  }

/// d[64, 64] = a[64, 16] b[64, 16]^T, plus d if `add`; both in shared memory.
template <sm90::Element kElement>
__device__ __forceinline__ void wgmma_scores(float (&d)[32], uint64_t a, uint64_t b, int add) {
  FLASH_MLA_WGMMA("m64n64k16", "%34", FLASH_MLA_D32, "%32, %33, add, 1, 1, 0, 0", FLASH_MLA_D32_OPERANDS(d), "l"(a),
                  "l"(b), "r"(add))
}

/// d[64, 256] += a[64, 16] b[16, 256]; a in registers, b's columns along shared memory.
template <sm90::Element kElement>
__device__ __forceinline__ void wgmma_values(float (&d)[128], const uint32_t (&a)[4], uint64_t b) {
  FLASH_MLA_WGMMA("m64n256k16", "%133", FLASH_MLA_D128, "{%128, %129, %130, %131}, %132, add, 1, 1, 1",
                  FLASH_MLA_D128_OPERANDS(d), "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(1))
}
/// d[64, 128] += a[64, 16] b[16, 128].
template <sm90::Element kElement>
__device__ __forceinline__ void wgmma_values(float (&d)[64], const uint32_t (&a)[4], uint64_t b) {
  FLASH_MLA_WGMMA("m64n128k16", "%69", FLASH_MLA_D64, "{%64, %65, %66, %67}, %68, add, 1, 1, 1",
                  FLASH_MLA_D64_OPERANDS(d), "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(1))
}
/// The same with a in shared memory.
template <sm90::Element kElement>
__device__ __forceinline__ void wgmma_values(float (&d)[128], uint64_t a, uint64_t b) {
  FLASH_MLA_WGMMA("m64n256k16", "%130", FLASH_MLA_D128, "%128, %129, add, 1, 1, 0, 1", FLASH_MLA_D128_OPERANDS(d),
                  "l"(a), "l"(b), "r"(1))
}
template <sm90::Element kElement>
__device__ __forceinline__ void wgmma_values(float (&d)[64], uint64_t a, uint64_t b) {
  FLASH_MLA_WGMMA("m64n128k16", "%66", FLASH_MLA_D64, "%64, %65, add, 1, 1, 0, 1", FLASH_MLA_D64_OPERANDS(d), "l"(a),
                  "l"(b), "r"(1))
}

#undef FLASH_MLA_WGMMA
#undef FLASH_MLA_D32
#undef FLASH_MLA_D32_OPERANDS
#undef FLASH_MLA_D64
#undef FLASH_MLA_D64_OPERANDS
#undef FLASH_MLA_D128
#undef FLASH_MLA_D128_OPERANDS

}  // namespace flash_mla::ptx
