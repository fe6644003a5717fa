// The extension module flash_mla._native.
#include <nanobind/nanobind.h>

#include "attention.h"
#include "flash_mla/backend.h"
#include "flash_mla/executor.h"
#include "flash_mla/version.h"
#include "fork.h"
#include "kv_cache.h"
#include "kv_cost.h"
#include "plan.h"
#include "raise.h"
#include "run_command.h"
#include "schedule.h"

namespace flash_mla::python {

namespace {

nb::list list_backends() {
  nb::list rows;
  for (const BackendInfo& backend : backends()) {
    nb::dict row;
    row["name"] = backend.name;
    row["description"] = backend.description;
    row["built"] = backend.built;
    row["usable"] = backend.usable;
    row["reason"] = backend.reason;
    row["on_cuda"] = backend.on_cuda;
    rows.append(row);
  }
  return rows;
}

const char* default_backend() {
  const Result<BackendInfo> found = find_backend("");
  raise_if_error(found.status());
  return found.value().name;
}

}  // namespace

NB_MODULE(_native, module) {
  watch_forks();
  define_exceptions(module);
  define_plan(module);
  define_attention(module);
  define_schedule(module);
  define_kv_cache(module);
  define_kv_cost(module);
  define_run_command(module);
  module.attr("version") = version();
  module.attr("WORKSPACE_ALIGNMENT") = kWorkspaceAlignment;
  module.def("backends", &list_backends);
  module.def("default_backend", &default_backend);
  module.def("default_num_workers", &default_num_workers);
}

}  // namespace flash_mla::python
