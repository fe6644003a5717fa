// One synchronising or asynchronous instruction of a kernel deleted or weakened.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ptx/module.h"

namespace flash_mla::test {

struct Mutation {
  enum class Kind : uint8_t {
    deleted,
    arrives_only,     // bar.sync without its wait
    own_value,        // a shuffle or a reduction over a barrier gives every lane its own value
    passes_at_once,   // a wait for an mbarrier that is always over
    expects_nothing,  // an arrival without the bytes that the phase has to wait for
    one_more_group,   // a wait that leaves one group more
    relaxed           // no .acquire or .release
  };
  Kind kind;
  uint32_t instruction;
};
std::string_view name_of(Mutation::Kind kind);

/// All that can be made of a kernel, in the order of its instructions.
std::vector<Mutation> mutations_of(const emulator::ptx::Function& kernel);
emulator::ptx::Function mutated(const emulator::ptx::Function& kernel, const Mutation& mutation);

}  // namespace flash_mla::test
