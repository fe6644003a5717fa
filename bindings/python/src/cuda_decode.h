// A decode call on a CUDA device.
#pragma once

#include "flash_mla/decode.h"
#include "plan.h"

namespace flash_mla::python {

/// Launches the call's kernels in args.stream, with the plan's own workspace there if args has none, else with that
/// one, to which the plan is uploaded. `empty_is_plus_inf`: as FlashMLA marks rows that see no key.
Status decode_on_cuda(const PythonPlan& plan, DecodeArgs args, bool empty_is_plus_inf);

}  // namespace flash_mla::python
