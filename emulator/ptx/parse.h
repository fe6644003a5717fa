// The parser's face.
#pragma once

#include <string_view>
#include <variant>

#include "ptx/error.h"
#include "ptx/module.h"

namespace emulator::ptx {

/// Parses a whole PTX module. Every malformed text gives an Error with its line; nothing is thrown but std::bad_alloc.
/// Instructions are taken as they are written: whether they exist, and with which operands, is for the reader of the
/// module to say.
std::variant<Module, Error> parse(std::string_view text);

}  // namespace emulator::ptx
