// The fingerprint of lengths that a schedule in FlashMLA's array form carries.
#pragma once

#include <nanobind/nanobind.h>

namespace flash_mla::python {

void define_schedule(nanobind::module_& module);

}  // namespace flash_mla::python
