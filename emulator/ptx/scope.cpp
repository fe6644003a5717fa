#include "ptx/scope.h"

#include <utility>

namespace emulator::ptx {

std::vector<OpenUse> Scopes::close() {
  std::vector<OpenUse> uses = std::move(scopes_.back().open_uses);
  scopes_.pop_back();
  return uses;
}

bool Scopes::bind(std::string_view name, Binding binding) {
  return scopes_.back().names.emplace(name, binding).second;
}

const Binding* Scopes::find(std::string_view name) const {
  const std::string key(name);
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    const auto found = scope->names.find(key);
    if (found != scope->names.end()) return &found->second;
  }
  return nullptr;
}

const Binding* Scopes::find_here(std::string_view name) const {
  const auto found = scopes_.back().names.find(std::string(name));
  return found == scopes_.back().names.end() ? nullptr : &found->second;
}

}  // namespace emulator::ptx
