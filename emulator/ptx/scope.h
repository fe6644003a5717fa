// Names of a function: registers, variables and labels, in nested blocks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace emulator::ptx {

struct Binding {
  enum class Kind : uint8_t { reg, local_variable, module_variable, label };
  Kind kind;
  uint32_t index;
};

/// A use of a name that was not yet bound: of a label further down, or of a function.
struct OpenUse {
  std::string name;
  uint32_t instruction, operand;
  uint32_t line;
};

class Scopes {
 public:
  void open() { scopes_.emplace_back(); }
  /// Returns what was used in the block and is bound nowhere in it; the names of the block are forgotten.
  std::vector<OpenUse> close();
  [[nodiscard]] size_t depth() const { return scopes_.size(); }

  /// False: the block has that name already.
  bool bind(std::string_view name, Binding binding);
  [[nodiscard]] const Binding* find(std::string_view name) const;
  [[nodiscard]] const Binding* find_here(std::string_view name) const;
  void use_later(OpenUse use) { scopes_.back().open_uses.push_back(std::move(use)); }
  std::vector<OpenUse>& open_uses() { return scopes_.back().open_uses; }

 private:
  struct Scope {
    std::unordered_map<std::string, Binding> names;
    std::vector<OpenUse> open_uses;
  };
  std::vector<Scope> scopes_;
};

}  // namespace emulator::ptx
