// What a model's KV cache costs, as the command's verb kv-cost says it.
#pragma once

#include <nanobind/nanobind.h>

namespace flash_mla::python {

void define_kv_cost(nanobind::module_& module);

}  // namespace flash_mla::python
