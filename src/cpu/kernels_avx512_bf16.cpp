#include "cpu/attend.h"
#include "cpu/isa/avx512_bf16.h"
#include "cpu/kernels.h"
#include "cpu/math.h"

namespace flash_mla::cpu {

using Math = Float32Math<Avx512>;

const Kernels kAvx512Bf16Kernels = {
    {attend<Math, FromFloat32>, attend<Avx512Bf16Math, FromBfloat16>, attend<Math, FromFloat16>},
    merge_rows<Avx512Bf16Math>,
    210};

}  // namespace flash_mla::cpu
