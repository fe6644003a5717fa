// What the opaque handle of a plan is.
#pragma once

#include "flash_mla/flash_mla.h"
#include "flash_mla/plan.h"

struct flash_mla_plan {
  flash_mla::Plan plan;
};

namespace flash_mla::c_api {

inline Mask to_cpp(const flash_mla_mask& mask) {
  return {mask.causal != 0, mask.window, mask.sinks};
}

}  // namespace flash_mla::c_api
