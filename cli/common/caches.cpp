#include "common/caches.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace flash_mla::cli {
namespace {

std::string read_word(const std::string& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return word;
}

/// "512K" as the kernel prints sizes.
int64_t parse_kernel_size(const std::string& text) {
  std::istringstream stream(text);
  int64_t number = 0;
  char unit = ' ';
  stream >> number >> unit;
  return number * (unit == 'K' ? 1024 : unit == 'M' ? 1024 * 1024 : 1);
}

/// CPUs in a list such as "0-3,8".
int count_cpus(const std::string& list) {
  std::istringstream stream(list);
  int count = 0;
  for (std::string range; std::getline(stream, range, ',');) {
    int first = 0;
    int last = 0;
    int read = std::sscanf(range.c_str(), "%d-%d", &first, &last);
    count += read == 2 ? last - first + 1 : read == 1 ? 1 : 0;
  }
  return count;
}

std::vector<CacheLevel> caches_from_kernel() {
  std::vector<CacheLevel> caches;
  for (int index = 0; index < 16; ++index) {
    std::string folder = fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}/", index);
    CacheLevel cache;
    cache.level = std::atoi(read_word(folder + "level").c_str());
    cache.bytes = parse_kernel_size(read_word(folder + "size"));
    cache.type = read_word(folder + "type");
    std::transform(cache.type.begin(), cache.type.end(), cache.type.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    cache.shared_by_cpus = count_cpus(read_word(folder + "shared_cpu_list"));
    if (cache.level > 0 && cache.bytes > 0) caches.push_back(cache);
  }
  return caches;
}

std::vector<CacheLevel> caches_from_cpu() {
  std::vector<CacheLevel> caches;
#if defined(__x86_64__)
  // Deterministic cache parameters: leaf 4 on Intel, 0x8000001D with the same layout on AMD.
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  __cpuid(0, eax, ebx, ecx, edx);
  bool amd = ebx == 0x68747541u || ebx == 0x6f677948u;  // "Auth"enticAMD, "Hygo"nGenuine
  unsigned leaf = amd ? 0x8000001Du : 4u;
  if (static_cast<unsigned>(__get_cpuid_max(leaf & 0x80000000u, nullptr)) < leaf) return caches;
  for (unsigned index = 0; index < 16; ++index) {
    __cpuid_count(leaf, index, eax, ebx, ecx, edx);
    unsigned type = eax & 31u;
    if (type == 0) break;
    CacheLevel cache;
    cache.level = static_cast<int>((eax >> 5) & 7u);
    cache.type = type == 1 ? "data" : type == 2 ? "instruction" : "unified";
    cache.bytes =
        (int64_t{ebx >> 22} + 1) * (int64_t{(ebx >> 12) & 1023u} + 1) * (int64_t{ebx & 4095u} + 1) * (int64_t{ecx} + 1);
    cache.shared_by_cpus = static_cast<int>((eax >> 14) & 4095u) + 1;
    caches.push_back(cache);
  }
#endif
  return caches;
}

std::vector<CacheLevel> caches_from_libc() {
  std::vector<CacheLevel> caches;
#if defined(_SC_LEVEL1_DCACHE_SIZE)
  auto add = [&](int level, const char* type, int name) {
    if (int64_t bytes = sysconf(name); bytes > 0) caches.push_back({level, type, bytes, 0});
  };
  add(1, "data", _SC_LEVEL1_DCACHE_SIZE);
  add(1, "instruction", _SC_LEVEL1_ICACHE_SIZE);
  add(2, "unified", _SC_LEVEL2_CACHE_SIZE);
  add(3, "unified", _SC_LEVEL3_CACHE_SIZE);
#endif
  return caches;
}

}  // namespace

std::vector<CacheLevel> read_caches() {
  std::vector<CacheLevel> caches = caches_from_kernel();
  if (caches.empty()) caches = caches_from_cpu();
  if (caches.empty()) caches = caches_from_libc();
  std::stable_sort(caches.begin(), caches.end(),
                   [](const CacheLevel& a, const CacheLevel& b) { return a.level < b.level; });
  return caches;
}

}  // namespace flash_mla::cli
