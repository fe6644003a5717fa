#include "machine/system_calls.h"

#include <bit>
#include <cstring>

#include "machine/access.h"
#include "support/format.h"
#include "support/print.h"

namespace emulator::machine {
namespace {

constexpr size_t kLongestText = 1 << 12;

template <class T>
T local_value(Warp& warp, const Op& op, uint32_t lane, uint64_t offset) {
  T value;
  std::memcpy(&value, find_place(warp, op, lane, ptx::Space::local, offset, sizeof(T), Use::read).bytes, sizeof(T));
  return value;
}

/// The text that ends with a zero at a generic address.
std::string text_at(Warp& warp, const Op& op, uint32_t lane, uint64_t address) {
  std::string text;
  for (; text.size() < kLongestText; ++address) {
    const char c = static_cast<char>(*find_place(warp, op, lane, ptx::Space::generic, address, 1, Use::read).bytes);
    if (c == '\0') break;
    text += c;
  }
  return text;
}

// .param .b32 result; .param .b64 format, .param .b64 arguments: what follows the format as C passes it to a function
// with
// "...", each aligned to its size.
Outcome print(Warp& warp, const Op& op, uint32_t mask) {
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    const std::string format_text =
        text_at(warp, op, lane, local_value<uint64_t>(warp, op, lane, static_cast<uint64_t>(op.offsets[1])));
    uint64_t next = local_value<uint64_t>(warp, op, lane, static_cast<uint64_t>(op.offsets[2]));
    int32_t count = 0;
    const std::string text = print_formatted(
        format_text,
        [&](uint32_t size) {
          next = (next + size - 1) / size * size;
          uint64_t value = 0;
          std::memcpy(&value, find_place(warp, op, lane, ptx::Space::generic, next, size, Use::read).bytes, size);
          next += size;
          ++count;
          return value;
        },
        [&](uint64_t address) { return text_at(warp, op, lane, address); });
    warp.cta->launch().reports->print(text);
    const Place result =
        find_place(warp, op, lane, ptx::Space::local, static_cast<uint64_t>(op.offsets[0]), 4, Use::write);
    std::memcpy(result.bytes, &count, 4);
    mark(result.marks, result.offset, 4);
  }
  return Outcome::next;
}

// .param .b64 message, .param .b64 file, .param .b32 line, .param .b64 function, ...; op.value: where the line is.
Outcome fail_assertion(Warp& warp, const Op& op, uint32_t mask) {
  const auto lane = static_cast<uint32_t>(std::countr_zero(mask));
  const auto text = [&](size_t i) {
    return text_at(warp, op, lane, local_value<uint64_t>(warp, op, lane, static_cast<uint64_t>(op.offsets[i])));
  };
  const auto line = local_value<uint32_t>(warp, op, lane, static_cast<uint64_t>(op.value));
  warp.fault(op, Finding::assertion,
             format("{}:{}: {}: `{}` failed for lane {}", text(1), line, text(2), text(0), lane));
}

}  // namespace

bool decode_system_call(Op& op, const std::string& name, const std::vector<uint32_t>& arguments) {
  if (name == "vprintf" && arguments.size() == 3) {
    for (size_t i = 0; i < 3; ++i) op.offsets[i] = arguments[i];
    op.run = print;
    return true;
  }
  if (name == "__assertfail" && arguments.size() == 5) {
    op.offsets = {arguments[0], arguments[1], arguments[3]};
    op.value = arguments[2];
    op.run = fail_assertion;
    return true;
  }
  return false;
}

}  // namespace emulator::machine
