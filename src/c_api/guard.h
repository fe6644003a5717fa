// The border between C++ and C: a Status becomes a code and a message, and no exception passes.
#pragma once

#include <exception>
#include <new>

#include "flash_mla/flash_mla.h"
#include "flash_mla/status.h"

namespace flash_mla::c_api {

/// Remembers the message of a failure for flash_mla_last_error() and returns the C code. Does not allocate.
flash_mla_status report(const Status& status) noexcept;
flash_mla_status report(flash_mla_status code, const char* message) noexcept;

inline flash_mla_status report_null(const char* message) noexcept {
  return report(FLASH_MLA_INVALID_ARGUMENT, message);
}

/// Runs `call`, which returns a Status, and reports its outcome.
template <class Call>
flash_mla_status guard(Call&& call) noexcept {
  try {
    return report(call());
  } catch (const std::bad_alloc&) {
    return report(FLASH_MLA_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return report(FLASH_MLA_INTERNAL_ERROR, error.what());
  } catch (...) {
    return report(FLASH_MLA_INTERNAL_ERROR, "unknown exception");
  }
}

}  // namespace flash_mla::c_api
