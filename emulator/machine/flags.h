// Words in memory through which threads synchronise: what is written with release semantics, or after a memory fence,
// orders what came before it for whoever reads it with acquire semantics, or fences after reading (PTX ISA 9.0, section
// 8.9). Fences are taken to speak for all that was ordered before them by barriers too.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "machine/clock.h"

namespace emulator::machine {

class Cta;
class Warp;
struct Op;

class Flags {
 public:
  /// A load by a warp, or the load in an atomic operation, as op.scope and op.acquires say.
  void read(Warp& warp, const Op& op, uint64_t word);
  /// A store, or the store in an atomic operation (`updates`), which passes on what the word has carried before.
  void write(Warp& warp, const Op& op, uint64_t word, bool updates);
  [[nodiscard]] bool empty() const { return flags_.empty(); }
  /// What a warp has read from flags counts from its next fence on.
  static void fence(Warp& warp, Scope scope);

  /// The word's name: a global address, or an offset in a CTA's shared memory.
  static uint64_t word_of(const Cta* shared_of, uint64_t at);

 private:
  struct Released {
    uint32_t cluster, rank;                   // by a CTA
    std::array<Clock, kScopes> ordered;       // for readers in the CTA, in the cluster, elsewhere
    Clock fenced;
    std::shared_ptr<const Elsewhere> elsewhere;
  };
  struct Flag {
    std::vector<Released> released;
    uint64_t version = 0;
  };
  static Released& entry_of(Flag& flag, const Warp& warp);
  static Knowledge received(const Released& released, size_t distance, const Warp& reader);

  std::unordered_map<uint64_t, Flag> flags_;
  uint64_t versions_ = 0;
};

}  // namespace emulator::machine
