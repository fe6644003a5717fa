// What a run of generate is shown as.
#pragma once

#include <optional>
#include <string>

#include "common/report.h"
#include "generate/run.h"

namespace flash_mla::cli {

/// The statistics, as text on stdout.
void print_statistics(const Run& run);
Json to_json(const Run& run);
/// Time a token against length; `other` is the same run with the cache off (or on). Errors: those of write_plot().
Status plot_run(const Run& run, const Run* other, const std::string& path);
/// A page of HTML that needs no other file. Errors: io_error.
Status write_explanation(const Run& run, const Run* other, const runtime::Tokenizer& tokenizer,
                         const std::string& path);

/// Bytes of the tokens that were cached at most, by the formula: tokens x layers x numbers x bytes of one.
int64_t formula_bytes(const Run& run);
/// A second is a second: tokens over seconds, 0 where there was no time.
double rate(int64_t tokens, double seconds);

}  // namespace flash_mla::cli
