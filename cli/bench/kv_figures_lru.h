// How much of the prompts a prefix cache of a given size would find: a simulation over a trace's block hashes.
#pragma once

#include <cstdint>
#include <istream>
#include <span>
#include <string_view>
#include <vector>

#include "flash_mla/status.h"

namespace flash_mla::cli {

/// The blocks of a request's prompt, from its start; equal ids stand for equal blocks after equal prefixes.
using BlockHashes = std::vector<int64_t>;

/// The `hash_ids` of a Mooncake trace (JSON lines, 512 tokens a block), in order of arrival. Errors name the file and
/// the line: invalid_argument (malformed, no request, or a line without hash_ids).
Result<std::vector<BlockHashes>> read_block_hashes(std::istream& stream, std::string_view name);

/// The part of all blocks that is found, 0 to 1, by a least-recently-used cache of `capacity` blocks: a request finds
/// its blocks up to the first one that is missing, then all its blocks are used, the last one first, so that of one
/// request the tail is evicted before the head.
double lru_hit_rate(std::span<const BlockHashes> requests, int64_t capacity);

}  // namespace flash_mla::cli
