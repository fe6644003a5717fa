#include "support/profile.h"

#include <cxxabi.h>
#include <elf.h>
#include <link.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

namespace flash_mla::test {
namespace {

constexpr int kMostSamples = 1000;
uintptr_t samples[kMostSamples];
std::atomic<int> num_samples{0};
pid_t sampled_thread = 0;

// The timer counts all threads' time, and idle threads of OpenMP's may spin.
void take_sample(int, siginfo_t*, void* context) {
  if (static_cast<pid_t>(syscall(SYS_gettid)) != sampled_thread) return;
  const mcontext_t& machine = static_cast<ucontext_t*>(context)->uc_mcontext;
  const int index = num_samples.fetch_add(1);
  if (index >= kMostSamples) return;
#if defined(__x86_64__)
  samples[index] = static_cast<uintptr_t>(machine.gregs[REG_RIP]);
#elif defined(__aarch64__)
  samples[index] = machine.pc;
#endif
}

/// The functions in the symbol table of this program, as nm shows them.
class SymbolTable {
 public:
  SymbolTable() {
    std::ifstream file("/proc/self/exe", std::ios::binary);
    image_.assign(std::istreambuf_iterator<char>(file), {});
    const auto* header = at<ElfW(Ehdr)>(0);
    for (int i = 0; i < header->e_shnum; ++i) {
      const auto* section = at<ElfW(Shdr)>(header->e_shoff + static_cast<size_t>(i) * header->e_shentsize);
      if (section->sh_type == SHT_SYMTAB) read(*section, *header);
    }
    std::ranges::sort(functions_, {}, &Function::begin);
    dl_iterate_phdr(
        [](dl_phdr_info* info, size_t, void* base) {
          *static_cast<uintptr_t*>(base) = info->dlpi_addr;
          return 1;  // the first is this program
        },
        &base_);
  }

  [[nodiscard]] std::string name_of(uintptr_t address) const {
    address -= base_;
    auto next = std::ranges::upper_bound(functions_, address, {}, &Function::begin);
    if (next == functions_.begin() || address >= std::prev(next)->end) return "";
    int status = 0;
    char* text = abi::__cxa_demangle(std::prev(next)->name, nullptr, nullptr, &status);
    std::string name = status == 0 ? text : std::prev(next)->name;
    std::free(text);
    return name;
  }

 private:
  struct Function {
    uintptr_t begin, end;
    const char* name;
  };

  template <class T>
  const T* at(size_t offset) const {
    return reinterpret_cast<const T*>(image_.data() + offset);
  }
  void read(const ElfW(Shdr) & section, const ElfW(Ehdr) & header) {
    const auto* strings = at<ElfW(Shdr)>(header.e_shoff + size_t{section.sh_link} * header.e_shentsize);
    for (size_t offset = 0; offset < section.sh_size; offset += sizeof(ElfW(Sym))) {
      const auto* symbol = at<ElfW(Sym)>(section.sh_offset + offset);
      if ((symbol->st_info & 0xf) != STT_FUNC || symbol->st_size == 0) continue;
      functions_.push_back(
          {symbol->st_value, symbol->st_value + symbol->st_size, at<char>(strings->sh_offset + symbol->st_name)});
    }
  }

  std::string image_;
  std::vector<Function> functions_;
  uintptr_t base_ = 0;
};

}  // namespace

std::vector<std::string> sampled_functions(int count, const std::function<void()>& work) {
  count = std::min(count, kMostSamples);
  num_samples = 0;
  sampled_thread = static_cast<pid_t>(syscall(SYS_gettid));
  struct sigaction action = {}, before = {};
  action.sa_sigaction = take_sample;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  sigaction(SIGPROF, &action, &before);
  const itimerval every_millisecond{{0, 1000}, {0, 1000}}, never{};
  setitimer(ITIMER_PROF, &every_millisecond, nullptr);
  while (num_samples < count) work();
  setitimer(ITIMER_PROF, &never, nullptr);
  sigaction(SIGPROF, &before, nullptr);

  const SymbolTable symbols;
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) names.push_back(symbols.name_of(samples[i]));
  return names;
}

}  // namespace flash_mla::test
