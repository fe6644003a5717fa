#include "cpu/attend.h"
#include "cpu/isa/neon.h"
#include "cpu/kernels.h"
#include "cpu/math.h"

namespace flash_mla::cpu {

using Math = Float32Math<Neon>;

const Kernels kNeonKernels = {
    {attend<Math, FromFloat32>, attend<Math, FromBfloat16>, attend<Math, FromFloat16>}, merge_rows<Math>, 30};

}  // namespace flash_mla::cpu
