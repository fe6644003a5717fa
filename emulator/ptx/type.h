// PTX's fundamental types (PTX ISA 9.0, section 5.2) and state spaces (section 5.1).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace emulator::ptx {

enum class Type : uint8_t {
  none,
  pred,
  b8,
  b16,
  b32,
  b64,
  b128,
  u8,
  u16,
  u32,
  u64,
  s8,
  s16,
  s32,
  s64,
  f16,
  f16x2,
  bf16,
  bf16x2,
  f32,
  f64
};

enum class Space : uint8_t { generic, reg, param, shared, global, constant, local };

/// The type that a suffix without its dot names ("u32").
std::optional<Type> type_named(std::string_view name);
std::string_view name_of(Type type);
/// In bytes; a predicate has none.
uint32_t size_of(Type type);
bool is_signed(Type type);
bool is_float(Type type);

}  // namespace emulator::ptx
