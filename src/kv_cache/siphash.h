// SipHash-2-4 with 128 bits of output (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012), over whole
// 64-bit words. Keyed: who does not know the key cannot make two prompts meet (vLLM issue 12621 is what an unkeyed hash
// led to).
#pragma once

#include <bit>
#include <cstdint>

#include "flash_mla/kv_cache_types.h"

namespace flash_mla::kv_cache {

class SipHash128 {
 public:
  explicit SipHash128(const KvCacheHash& key)
      : v0_(0x736f6d6570736575u ^ key.low),
        v1_(0x646f72616e646f6du ^ key.high ^ 0xee),  // 0xee: the variant of 128 bits
        v2_(0x6c7967656e657261u ^ key.low),
        v3_(0x7465646279746573u ^ key.high) {}

  void add(uint64_t word) {
    v3_ ^= word;
    round();
    round();
    v0_ ^= word;
    bytes_ += sizeof(word);
  }
  void add(const KvCacheHash& hash) {
    add(hash.low);
    add(hash.high);
  }

  KvCacheHash finish() {
    add(bytes_ << 56);
    v2_ ^= 0xee;
    for (int i = 0; i < 4; ++i) round();
    KvCacheHash hash;
    hash.low = v0_ ^ v1_ ^ v2_ ^ v3_;
    v1_ ^= 0xdd;
    for (int i = 0; i < 4; ++i) round();
    hash.high = v0_ ^ v1_ ^ v2_ ^ v3_;
    return hash;
  }

 private:
  void round() {
    v0_ += v1_;
    v2_ += v3_;
    v1_ = std::rotl(v1_, 13) ^ v0_;
    v3_ = std::rotl(v3_, 16) ^ v2_;
    v0_ = std::rotl(v0_, 32);
    v2_ += v1_;
    v0_ += v3_;
    v1_ = std::rotl(v1_, 17) ^ v2_;
    v3_ = std::rotl(v3_, 21) ^ v0_;
    v2_ = std::rotl(v2_, 32);
  }

  uint64_t v0_, v1_, v2_, v3_;
  uint64_t bytes_ = 0;
};

}  // namespace flash_mla::kv_cache
