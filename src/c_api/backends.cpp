#include "flash_mla/backend.h"

#include "c_api/guard.h"
#include "core/error.h"
#include "flash_mla/executor.h"

namespace flash_mla::c_api {

namespace {

flash_mla_backend_info to_c(const BackendInfo& info) {
  return {info.name, info.description, info.built ? 1 : 0, info.usable ? 1 : 0, info.reason, info.on_cuda ? 1 : 0};
}

}  // namespace

}  // namespace flash_mla::c_api

using namespace flash_mla::c_api;  // NOLINT(google-build-using-namespace): this file is the namespace's C face

const char* flash_mla_version() {
  return flash_mla::version();
}

int flash_mla_default_num_workers() {
  return flash_mla::default_num_workers();
}

size_t flash_mla_backend_count() {
  return flash_mla::backends().size();
}

flash_mla_status flash_mla_backend_at(size_t index, flash_mla_backend_info* info) {
  if (info == nullptr) return report_null("info is null; expected a place for the backend");
  return guard([&]() -> flash_mla::Status {
    const auto all = flash_mla::backends();
    if (index >= all.size()) {
      return flash_mla::core::error(flash_mla::StatusCode::not_found, "index = {}; expected 0 to {}", index,
                                    all.size() - 1);
    }
    *info = to_c(all[index]);
    return {};
  });
}

flash_mla_status flash_mla_find_backend(const char* name, flash_mla_backend_info* info) {
  if (info == nullptr) return report_null("info is null; expected a place for the backend");
  return guard([&]() -> flash_mla::Status {
    const auto found = flash_mla::find_backend(name == nullptr ? "" : name);
    if (found.ok()) *info = to_c(found.value());
    return found.status();
  });
}
