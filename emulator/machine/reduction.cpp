#include "machine/reduction.h"

#include <cstring>

#include "machine/atomics.h"

namespace emulator::machine {
namespace {

using ptx::Type;

constexpr uint32_t kReduces = 0x100;

bool allowed(uint8_t kind, Type type, bool to_shared) {
  const bool half = type == Type::f16 || type == Type::bf16;
  const bool word = type == Type::u32 || type == Type::s32;
  switch (kind) {
    case kAnd:
    case kOr:
    case kXor:
      return type == Type::b32 || (!to_shared && type == Type::b64);
    case kInc:
    case kDec:
      return type == Type::u32;
    case kAdd:
      if (word || type == Type::u64) return true;
      return !to_shared && (half || type == Type::f32 || type == Type::f64);
    default:
      return word || (!to_shared && (half || type == Type::u64 || type == Type::s64));
  }
}

}  // namespace

void Reduction::deliver(uint8_t* to, const uint8_t* from, uint64_t bytes) const {
  if (!reduces) {
    std::memcpy(to, from, bytes);
    return;
  }
  const uint32_t size = ptx::size_of(type);
  for (uint64_t at = 0; at < bytes; at += size) {
    uint64_t old = 0, arriving = 0;
    std::memcpy(&old, to + at, size);
    std::memcpy(&arriving, from + at, size);
    const uint64_t now = combined(kind, type, old, arriving, 0);
    std::memcpy(to + at, &now, size);
  }
}

Reduction reduction_of(const Op& op) {
  return {(op.flags & kReduces) != 0, static_cast<uint8_t>(op.flags), op.type};
}

void take_reduction(Decoder& d) {
  constexpr AtomicKind kKinds[] = {kAnd, kOr, kXor, kAdd, kInc, kDec, kMin, kMax};
  d.op.flags |= kReduces | kKinds[d.take_one_of({"and", "or", "xor", "add", "inc", "dec", "min", "max"})];
}

void take_reduction_type(Decoder& d, bool to_shared) {
  const bool noftz = d.take("noftz");
  d.op.type = d.take_type();
  const bool half = d.op.type == Type::f16 || d.op.type == Type::bf16;
  const auto kind = static_cast<uint8_t>(d.op.flags);
  if (!allowed(kind, d.op.type, to_shared) || noftz != (half && kind == kAdd)) d.unsupported();
}

}  // namespace emulator::machine
