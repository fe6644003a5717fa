// The command flash_mla, in this process.
#pragma once

#include <nanobind/nanobind.h>

namespace flash_mla::python {

void define_run_command(nanobind::module_& module);

}  // namespace flash_mla::python
