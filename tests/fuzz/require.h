// What has to hold, or the fuzzer has found something.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

namespace flash_mla::fuzz {

/// What to print beside a failure, where a target can say more: the input in words.
inline std::string (*explain)() = nullptr;

[[noreturn]] inline void broken(const char* what, const std::string& details) {
  std::fprintf(stderr, "broken: %s\n%s\n%s\n", what, details.c_str(), explain != nullptr ? explain().c_str() : "");
  std::abort();
}

inline void require(bool holds, const char* what, const std::string& details = {}) {
  if (!holds) broken(what, details);
}

}  // namespace flash_mla::fuzz
