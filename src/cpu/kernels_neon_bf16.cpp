#include "cpu/attend.h"
#include "cpu/isa/neon_bf16.h"
#include "cpu/kernels.h"
#include "cpu/math.h"

namespace flash_mla::cpu {

using Math = Float32Math<Neon>;

const Kernels kNeonBf16Kernels = {
    {attend<Math, FromFloat32>, attend<NeonBf16Math, FromBfloat16>, attend<Math, FromFloat16>},
    merge_rows<NeonBf16Math>,
    60};

}  // namespace flash_mla::cpu
