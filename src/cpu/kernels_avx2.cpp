#include "cpu/attend.h"
#include "cpu/isa/avx2.h"
#include "cpu/kernels.h"
#include "cpu/math.h"

namespace flash_mla::cpu {

using Math = Float32Math<Avx2>;

const Kernels kAvx2Kernels = {
    {attend<Math, FromFloat32>, attend<Math, FromBfloat16>, attend<Math, FromFloat16>}, merge_rows<Math>, 90};

}  // namespace flash_mla::cpu
