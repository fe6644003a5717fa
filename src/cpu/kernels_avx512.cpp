#include "cpu/attend.h"
#include "cpu/isa/avx512.h"
#include "cpu/kernels.h"
#include "cpu/math.h"

namespace flash_mla::cpu {

using Math = Float32Math<Avx512>;

const Kernels kAvx512Kernels = {
    {attend<Math, FromFloat32>, attend<Math, FromBfloat16>, attend<Math, FromFloat16>}, merge_rows<Math>, 100};

}  // namespace flash_mla::cpu
