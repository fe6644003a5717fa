# Writes a C++ file that holds the sample trace, so that the command works wherever it is copied to.
file(READ ${input} text)
file(WRITE ${output} "#include \"replay/trace.h\"

namespace flash_mla::cli {

std::string_view sample_trace_text() {
  static constexpr std::string_view text = R\"csv(${text})csv\";
  return text;
}

}  // namespace flash_mla::cli
")
