// The kernels by name. FLASH_MLA_SM90_ONLY restricts them to bfloat16 with widths 288 and 256, for tests of defects.
#include "sm90/decode.cuh"
#include "sm90/few_rows.cuh"
#include "sm90/merge.cuh"
#include "sm90/plan.cuh"

namespace flash_mla::sm90 {

#define FLASH_MLA_DECODE(name, element, d, d_v)                                                               \
  extern "C" __global__ void __launch_bounds__(kDecodeThreads, 1) flash_mla_sm90_decode_##name##_##d##_##d_v( \
      const __grid_constant__ TensorMapBytes map, const __grid_constant__ DecodeParams params) {              \
    decode<Element::element, d, d_v>(map, params);                                                            \
  }
#define FLASH_MLA_FEW_ROWS(name, element, d, d_v, rows)                                                      \
  extern "C" __global__ void __launch_bounds__(kFewRowsThreads, 1)                                           \
      flash_mla_sm90_decode_##name##_##d##_##d_v##_rows##rows(const __grid_constant__ TensorMapBytes map,    \
                                                              const __grid_constant__ DecodeParams params) { \
    decode_few_rows<Element::element, d, d_v, rows>(map, params);                                            \
  }
#define FLASH_MLA_MERGE(name, element)                                          \
  extern "C" __global__ void __launch_bounds__(kMergeThreads)                   \
      flash_mla_sm90_merge_##name(const __grid_constant__ MergeParams params) { \
    merge<Element::element>(params);                                            \
  }
#define FLASH_MLA_ALL_ROWS(name, element, d, d_v) \
  FLASH_MLA_DECODE(name, element, d, d_v)         \
  FLASH_MLA_FEW_ROWS(name, element, d, d_v, 8)    \
  FLASH_MLA_FEW_ROWS(name, element, d, d_v, 16)   \
  FLASH_MLA_FEW_ROWS(name, element, d, d_v, 32)

extern "C" __global__ void __launch_bounds__(kPlanThreads)
    flash_mla_sm90_plan(const __grid_constant__ PlanParams params) {
  __shared__ PlanMemory memory;
  Planner(params, memory).run();
}

FLASH_MLA_MERGE(bf16, bfloat16)

#ifdef FLASH_MLA_SM90_ONLY
FLASH_MLA_DECODE(bf16, bfloat16, 288, 256)
FLASH_MLA_FEW_ROWS(bf16, bfloat16, 288, 256, 16)
#else
FLASH_MLA_ALL_ROWS(bf16, bfloat16, 576, 512)
FLASH_MLA_ALL_ROWS(bf16, bfloat16, 512, 512)
FLASH_MLA_ALL_ROWS(bf16, bfloat16, 320, 256)
FLASH_MLA_ALL_ROWS(bf16, bfloat16, 288, 256)
FLASH_MLA_ALL_ROWS(fp16, float16, 576, 512)
FLASH_MLA_ALL_ROWS(fp16, float16, 512, 512)
FLASH_MLA_ALL_ROWS(fp16, float16, 320, 256)
FLASH_MLA_ALL_ROWS(fp16, float16, 288, 256)
FLASH_MLA_MERGE(fp16, float16)
#endif

}  // namespace flash_mla::sm90
