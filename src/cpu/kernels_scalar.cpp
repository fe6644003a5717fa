#include "cpu/attend.h"
#include "cpu/isa/scalar.h"
#include "cpu/kernels.h"
#include "cpu/math.h"

namespace flash_mla::cpu {

using Math = Float32Math<Scalar>;

const Kernels kScalarKernels = {
    {attend<Math, FromFloat32>, attend<Math, FromBfloat16>, attend<Math, FromFloat16>}, merge_rows<Math>, 4};

}  // namespace flash_mla::cpu
