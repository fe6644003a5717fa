// Planted defects: programs of tests linked with these files call a library that has one defect, which
// $FLASH_MLA_DEFECT names. The linker sends every call of a function to the function here that has `__wrap_` before its
// name; `__real_` leads to the library's own.
#pragma once

#include <string_view>

namespace flash_mla::planted {

/// Whether this is the defect.
bool is_planted(std::string_view name);

}  // namespace flash_mla::planted

#define FLASH_MLA_REAL(symbol) __asm__("__real_" symbol)
#define FLASH_MLA_WRAP(symbol) __asm__("__wrap_" symbol)
