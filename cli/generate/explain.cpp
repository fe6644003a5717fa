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
td,th{padding:.2rem .6rem;text-align:right;border-bottom:1px solid #ddd;white-space:nowrap}th{font-weight:600}
td.l,th.l{text-align:left}th.c{text-align:center}.wide{overflow-x:auto;font-size:.9rem}
.pages span{display:inline-block;border:1px solid #999;border-radius:3px;padding:.2rem .6rem;margin:.15rem;font-size:.85rem}
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

/// The slowest of nearly all tokens: a step that another program held up should not flatten all others.
double usual_maximum(const Run& run, const Run& other) {
  std::vector<double> seconds;
  for (const Run* one : {&run, &other}) {
    const std::vector<TokenTime>& times = one->answers[0].times;
    for (size_t i = 1; i < times.size(); ++i) seconds.push_back(times[i].seconds);
  }
  if (seconds.empty()) return 1;
  std::sort(seconds.begin(), seconds.end());
  constexpr double kNearlyAll = 0.95, kRoom = 1.15;
  return kRoom * seconds[static_cast<size_t>(kNearlyAll * static_cast<double>(seconds.size() - 1))];
}

/// Time a token against length, both ways: lines in an SVG.
std::string chart(const Run& on, const Run& off) {
  constexpr double kWidth = 860, kHeight = 260, kLeft = 70, kTop = 10, kBottom = 40, kRight = 10;
  constexpr double kSpan = kWidth - kLeft - kRight, kRise = kHeight - kTop - kBottom;
  const std::vector<TokenTime>& lengths = on.answers[0].times;
  const auto shortest = static_cast<double>(lengths[std::min<size_t>(1, lengths.size() - 1)].length);
  const auto longest = std::max(static_cast<double>(lengths.back().length), shortest + 1);
  const double slowest = usual_maximum(on, off);
  std::string svg = fmt::format(
      "<svg viewBox='0 0 {} {}' role='img' aria-label='time a token' font-size='14' fill='currentColor'>"
      "<path d='M{} {}V{}H{}' fill='none' stroke='currentColor' stroke-opacity='.4'/>",
      kWidth, kHeight, kLeft, kTop, kTop + kRise, kWidth - kRight);
  for (const Run* one : {&on, &off}) {
    std::string points;
    const std::vector<TokenTime>& times = one->answers[0].times;
    for (size_t i = 1; i < times.size(); ++i) {
      const double across = (static_cast<double>(times[i].length) - shortest) / (longest - shortest);
      points += fmt::format("{:.1f},{:.1f} ", kLeft + across * kSpan,
                            kTop + kRise * (1 - std::min(1.0, times[i].seconds / slowest)));
    }
    svg += fmt::format("<polyline class='{}' fill='none' stroke='currentColor' stroke-width='2' points='{}'/>",
                       one == &on ? "on" : "off", points);
  }
  return svg + fmt::format(
                   "<text x='{0}' y='{1}' text-anchor='end'>{2:.3g} ms</text><text x='{0}' y='{3}' "
                   "text-anchor='end'>0</text><text x='{4}' y='{5}'>{6:.0f} tokens</text>"
                   "<text x='{7}' y='{5}' text-anchor='end'>{8:.0f} tokens</text></svg>",
                   kLeft - 6, kTop + 10, slowest * 1e3, kTop + kRise, kLeft, kTop + kRise + 20, shortest,
                   kWidth - kRight, longest);
}

std::string cost_table(const Run& run) {
  const int64_t element = runtime::bytes_of(run.options.precision);
  const int64_t length = run.answers[0].times.back().length;
  std::string html = fmt::format(
      "<table><tr><th class=l>form<th class=l>numbers a token and layer<th>bytes a token<th>bytes of {} tokens"
      "<th>against this model's</tr>",
      length);
  const std::vector<CacheForm> forms = cache_forms(run.model);
  for (const CacheForm& form : forms) {
    const int64_t bytes = form.width * run.model.layers * element;
    html += fmt::format(
        "<tr><td class=l>{}<td class=l>{} = {}<td>{} &times; {} layers &times; {} bytes = {}<td>{}<td>{:.2f} "
        "&times;</tr>",
        form.name, form.formula, form.width, form.width, run.model.layers, element, bytes, bytes * length,
        static_cast<double>(form.width) / static_cast<double>(forms.front().width));
  }
  return html + "</table>";
}

std::string steps_table(const Run& on, const Run& off, const runtime::Tokenizer& tokenizer) {
  const int64_t element = runtime::bytes_of(on.options.precision);
  std::string html =
      "<div class=wide><table><tr><th colspan=3><th colspan=6 class='c on'>with the cache<th colspan=3 class='c "
      "off'>without</tr><tr><th>step<th class=l>token<th class=l>phase<th>queries<th>keys<th>pages<th>FLOP<th>bytes "
      "read<th class=on>ms<th>queries<th>FLOP<th class=off>ms</tr>";
  const size_t count = std::min(on.answers[0].times.size(), off.answers[0].times.size());
  for (size_t i = 0; i < count; ++i) {
    const TokenTime &with = on.answers[0].times[i], &without = off.answers[0].times[i];
    const Work own = work_of(on.model, with.queries, with.length, element);
    const Work again = work_of(on.model, without.queries, without.length, element);
    html += fmt::format(
        "<tr><td>{}<td class=l><code>{}</code><td class=l>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td class=on>{:.2f}<td>{}"
        "<td>{}<td class=off>{:.2f}</tr>",
        i + 1, escape(runtime::repair_utf8(tokenizer.bytes_of(on.answers[0].tokens[i]))), i == 0 ? "prefill" : "decode",
        with.queries, with.length, with.pages, rounded(own.attention_flop + own.weight_flop), rounded(own.cache_bytes),
        with.seconds * 1e3, without.queries, rounded(again.attention_flop + again.weight_flop), without.seconds * 1e3);
  }
  return html + "</table></div>";
}

/// Which page holds which tokens.
std::string page_list(const Answer& answer, int64_t page_size) {
  const int64_t length = answer.times.back().length;
  std::string html = "<p class=pages>";
  for (size_t i = 0; i < answer.pages.size(); ++i) {
    const auto first = static_cast<int64_t>(i) * page_size;
    html += fmt::format("<span>tokens {} to {}<br><b>page {}</b></span>", first,
                        std::min(first + page_size, length) - 1, answer.pages[i]);
  }
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
      chart(on, off);
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
          page_list(answer, on.options.engine.page_size);
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
