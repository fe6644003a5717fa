// The computing functions of the module.
#pragma once

#include <nanobind/nanobind.h>

namespace flash_mla::python {

void define_attention(nanobind::module_& module);

}  // namespace flash_mla::python
