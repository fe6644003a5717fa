#include "c_api/guard.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace flash_mla::c_api {

namespace {

// Fixed, so that reporting an exhausted memory needs none.
thread_local std::array<char, 1024> last_error{};

constexpr bool same(flash_mla_status c, StatusCode cpp) {
  return static_cast<int>(c) == static_cast<int>(cpp);
}
static_assert(same(FLASH_MLA_OK, StatusCode::ok));
static_assert(same(FLASH_MLA_INVALID_ARGUMENT, StatusCode::invalid_argument));
static_assert(same(FLASH_MLA_PLAN_MISMATCH, StatusCode::plan_mismatch));
static_assert(same(FLASH_MLA_UNSUPPORTED, StatusCode::unsupported));
static_assert(same(FLASH_MLA_OUT_OF_PAGES, StatusCode::out_of_pages));
static_assert(same(FLASH_MLA_NOT_FOUND, StatusCode::not_found));
static_assert(same(FLASH_MLA_IO_ERROR, StatusCode::io_error));
static_assert(same(FLASH_MLA_CORRUPT, StatusCode::corrupt));
static_assert(same(FLASH_MLA_DEVICE_ERROR, StatusCode::device_error));

}  // namespace

flash_mla_status report(flash_mla_status code, const char* message) noexcept {
  const std::string_view text = std::string_view(message).substr(0, last_error.size() - 1);
  *std::ranges::copy(text, last_error.begin()).out = '\0';
  return code;
}

flash_mla_status report(const Status& status) noexcept {
  if (status.ok()) return FLASH_MLA_OK;
  return report(static_cast<flash_mla_status>(status.code()), status.message().c_str());
}

}  // namespace flash_mla::c_api

const char* flash_mla_last_error() {
  return flash_mla::c_api::last_error.data();
}
