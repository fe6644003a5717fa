// The page manager as a Python class.
#pragma once

#include <nanobind/nanobind.h>

namespace flash_mla::python {

void define_kv_cache(nanobind::module_& module);

}  // namespace flash_mla::python
