// --explain: one page of HTML about a run, for readers who are new to KV caches.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "generate/output.h"
#include "generate/work.h"
#include "text/utf8.h"

namespace flash_mla::cli {
namespace {

constexpr const char* kStyle = R"(
body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums}
td,th{padding:.2rem .7rem;text-align:right;border-bottom:1px solid #ddd}th{font-weight:600}
td.l,th.l{text-align:left}.pages span{display:inline-block;border:1px solid #999;border-radius:3px;padding:.1rem .5rem;margin:.1rem}
.on{color:#0060a8}.off{color:#c04000}svg{max-width:100%}code{background:#f3f3f3;padding:0 .2rem}
@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}td,th{border-color:#444}code{background:#2a2a2a}
.on{color:#6db8f2}.off{color:#ff9a5c}})";

std::string escape(std::string_view text) {
  std::string escaped;
  for (const char character : text) {
    switch (character) {
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '&':
        escaped += "&amp;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += character;
    }
  }
  return escaped;
}

/// 1234567 as "1.23 M".
std::string rounded(double value) {
  const char* const units[] = {"", " k", " M", " G", " T", " P"};
  size_t unit = 0;
  while (value >= 1000 && unit + 1 < std::size(units)) {
    value /= 1000;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f}", value) : fmt::format("{:.3g}{}", value, units[unit]);
}

/// Time a token against length, both ways: lines in an SVG.
std::string chart(const Run& run, const Run* other) {
  constexpr double kWidth = 860, kHeight = 260, kLeft = 60, kBottom = 40;
  double longest = 1, slowest = 1e-9;
  for (const Run* one : {&run, other}) {
    if (one == nullptr) continue;
    const std::vector<TokenTime>& times = one->answers[0].times;
    for (size_t i = 1; i < times.size(); ++i) {
      longest = std::max(longest, static_cast<double>(times[i].length));
      slowest = std::max(slowest, times[i].seconds);
    }
  }
  std::string svg = fmt::format("<svg viewBox='0 0 {} {}' role='img' aria-label='time a token'>", kWidth, kHeight);
  for (const Run* one : {&run, other}) {
    if (one == nullptr) continue;
    std::string points;
    const std::vector<TokenTime>& times = one->answers[0].times;
    for (size_t i = 1; i < times.size(); ++i) {
      points +=
          fmt::format("{:.1f},{:.1f} ", kLeft + static_cast<double>(times[i].length) / longest * (kWidth - kLeft - 10),
                      (kHeight - kBottom) * (1 - times[i].seconds / slowest) + 5);
    }
    svg += fmt::format("<polyline class='{}' fill='none' stroke='currentColor' stroke-width='2' points='{}'/>",
                       one->options.engine.keep_cache ? "on" : "off", points);
  }
  svg += fmt::format(
      "<text x='0' y='15' fill='currentColor'>{:.3f} ms</text><text x='0' y='{}' fill='currentColor'>0</text>"
      "<text x='{}' y='{}' text-anchor='end' fill='currentColor'>{:.0f} tokens</text></svg>",
      slowest * 1e3, kHeight - kBottom, kWidth - 10, kHeight - 12, longest);
  return svg;
}

std::string cost_table(const Run& run) {
  const int64_t element = runtime::bytes_of(run.options.precision);
  const int64_t length = run.answers[0].times.back().length;
  std::string html =
      "<table><tr><th class=l>form of the cache<th class=l>numbers a token and layer<th>bytes a token<th>bytes of this "
      "text"
      "<th>of the model's own</tr>";
  const std::vector<CacheForm> forms = cache_forms(run.model);
  for (const CacheForm& form : forms) {
    const int64_t bytes = form.width * run.model.layers * element;
    html += fmt::format(
        "<tr><td class=l>{}<td class=l>{} = {}<td>{} &times; {} layers &times; {} bytes = {}<td>{} tokens: "
        "{}<td>{:.2f} "
        "&times;</tr>",
        form.name, form.formula, form.width, form.width, run.model.layers, element, bytes, length, bytes * length,
        static_cast<double>(form.width) / static_cast<double>(forms.front().width));
  }
  return html + "</table>";
}

std::string steps_table(const Run& on, const Run& off, const runtime::Tokenizer& tokenizer) {
  const int64_t element = runtime::bytes_of(on.options.precision);
  std::string html =
      "<table><tr><th>step<th class=l>token<th class=l>phase<th>queries<th>keys<th>pages<th>FLOP<th>cache bytes read"
      "<th class=on>ms<th class=off>queries without<th class=off>FLOP without<th class=off>ms</tr>";
  const size_t count = std::min(on.answers[0].times.size(), off.answers[0].times.size());
  for (size_t i = 0; i < count; ++i) {
    const TokenTime &with = on.answers[0].times[i], &without = off.answers[0].times[i];
    const Work own = work_of(on.model, with.queries, with.length, element);
    const Work again = work_of(on.model, without.queries, without.length, element);
    html += fmt::format(
        "<tr><td>{}<td class=l><code>{}</code><td class=l>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td class=on>{:.3f}<td "
        "class=off>{}"
        "<td class=off>{}<td class=off>{:.3f}</tr>",
        i + 1, escape(runtime::repair_utf8(tokenizer.bytes_of(on.answers[0].tokens[i]))), i == 0 ? "prefill" : "decode",
        with.queries, with.length, with.pages, rounded(own.attention_flop + own.weight_flop), rounded(own.cache_bytes),
        with.seconds * 1e3, without.queries, rounded(again.attention_flop + again.weight_flop), without.seconds * 1e3);
  }
  return html + "</table>";
}

std::string page_list(const Answer& answer) {
  std::string html = "<p class=pages>";
  for (const int32_t page : answer.pages) html += fmt::format("<span>{}</span>", page);
  return html + "</p>";
}

}  // namespace

Status write_explanation(const Run& run, const Run* other, const runtime::Tokenizer& tokenizer,
                         const std::string& path) {
  const Run& on = run.options.engine.keep_cache || other == nullptr ? run : *other;
  const Run& off = &on == &run && other != nullptr ? *other : run;
  const Answer& answer = on.answers[0];
  const std::string model = std::filesystem::path(run.options.model).lexically_normal().filename().string();
  std::string html =
      "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>";
  html += fmt::format("<title>flash_mla generate: {}</title><style>{}</style><h1>What a KV cache is for</h1>",
                      escape(model), kStyle);
  html += fmt::format("<p>Model <b>{}</b>, {}, backend {}.</p><p>Prompt: <b>{}</b><br>Answer: <b>{}</b></p>",
                      escape(model), name_of(runtime::dtype_of(run.options.precision)), run.backend,
                      escape(answer.prompt), escape(answer.text));
  html += fmt::format(
      "<p>A model writes one token at a time, and every token looks at the keys and values of all before it. Those do "
      "not "
      "change, so they are kept: the <b>prefill</b> runs the {} tokens of the prompt at once and fills the cache; each "
      "<b>decode</b> step after it runs one token, reads the cache, and adds a row to it. Without the cache, every "
      "step runs "
      "all tokens again.</p>",
      answer.prompt_tokens.size());
  html +=
      "<h2>Time a token</h2><p><span class=on>With</span> and <span class=off>without</span> the cache, against the "
      "length of the text.</p>" +
      chart(on, &off);
  html +=
      "<h2>What it costs</h2><p>Bytes = tokens &times; layers &times; numbers a token and layer &times; bytes of a "
      "number. What a layer keeps depends on the form of its attention: keys and values of every head (MHA), of groups "
      "of heads (GQA), of one head for all (MQA), or one latent that all heads' keys and values are made from "
      "(MLA).</p>" +
      cost_table(on);
  html += fmt::format(
              "<h2>Pages</h2><p>The cache is handed out in pages of {} tokens, so that nothing is reserved for "
              "text that may never come. This text's page table at its end:</p>",
              on.options.engine.page_size) +
          page_list(answer);
  html +=
      "<h2>Step by step</h2><p>FLOP: 2 &times; queries &times; visible keys &times; heads &times; (key + value width) "
      "a "
      "layer, and 2 a weight and token.</p>" +
      steps_table(on, off, tokenizer) + "</html>\n";
  std::ofstream file(path, std::ios::binary);
  if (!(file << html) || !file.flush()) return {StatusCode::io_error, fmt::format("'{}' cannot be written", path)};
  return {};
}

}  // namespace flash_mla::cli
