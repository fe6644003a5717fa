#include "replay/trace.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>

namespace flash_mla::cli {
namespace {

Result<Trace> read(const std::string& text, TraceFormat format = TraceFormat::automatic, int64_t limit = 0) {
  std::istringstream stream(text);
  return read_trace(stream, "trace", format, limit);
}

const std::string kHeader = "TIMESTAMP,ContextTokens,GeneratedTokens\n";

TEST(Trace, ReadsAzure) {
  Result<Trace> trace = read(kHeader + "2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n");
  ASSERT_TRUE(trace.ok()) << trace.status().message();
  EXPECT_EQ(trace.value().format, TraceFormat::azure);
  ASSERT_EQ(trace.value().requests.size(), 2u);
  EXPECT_EQ(trace.value().requests[0].prompt, 374);
  EXPECT_EQ(trace.value().requests[0].answer, 44);
  EXPECT_EQ(trace.value().requests[0].line, 2);
  EXPECT_EQ(trace.value().requests[1].prompt, 396);
  EXPECT_EQ(trace.value().requests[1].answer, 109);
  EXPECT_EQ(trace.value().requests[1].line, 3);
}

TEST(Trace, ReadsMooncake) {
  Result<Trace> trace = read(R"({"timestamp": 0, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1]})"
                             "\n"
                             R"({"timestamp": 27, "input_length": 7322, "output_length": 490, "hash_ids": [0, 14]})");
  ASSERT_TRUE(trace.ok()) << trace.status().message();
  EXPECT_EQ(trace.value().format, TraceFormat::mooncake);
  ASSERT_EQ(trace.value().requests.size(), 2u);
  EXPECT_EQ(trace.value().requests[1].prompt, 7322);
  EXPECT_EQ(trace.value().requests[1].answer, 490);
  EXPECT_EQ(trace.value().requests[1].line, 2);
}

TEST(Trace, TakesOtherLineEndsEmptyLinesAndAByteOrderMark) {
  Result<Trace> trace = read("\xEF\xBB\xBFTIMESTAMP,ContextTokens,GeneratedTokens\r\n\r\nt,1,2\r\n   \nt,3,4");
  ASSERT_TRUE(trace.ok()) << trace.status().message();
  ASSERT_EQ(trace.value().requests.size(), 2u);
  EXPECT_EQ(trace.value().requests[1].prompt, 3);
  EXPECT_EQ(trace.value().requests[1].line, 5);
}

TEST(Trace, ReadsTheFirstRequestsOnly) {
  Result<Trace> trace = read(kHeader + "t,1,2\nt,3,4\nnot a request\n", TraceFormat::automatic, 2);
  ASSERT_TRUE(trace.ok()) << trace.status().message();
  EXPECT_EQ(trace.value().requests.size(), 2u);
}

struct BadTrace {
  std::string text;
  TraceFormat format;
  std::string message;
};

TEST(Trace, RefusesMalformedTextByLine) {
  const auto any = TraceFormat::automatic;
  for (const BadTrace& bad : {
           BadTrace{"", any, "trace:1: the file ends without a request"},
           BadTrace{"\n\n", any, "trace:2: the file ends without a request"},
           BadTrace{kHeader, any, "trace:1: the file ends without a request"},
           BadTrace{"a,b,c\nt,1,2\n", any,
                    "trace:1: expected the header TIMESTAMP,ContextTokens,GeneratedTokens, but found 'a,b,c'"},
           BadTrace{kHeader + "t,1\n", any,
                    "trace:2: expected three fields, TIMESTAMP,ContextTokens,GeneratedTokens, but found 't,1'"},
           BadTrace{kHeader + "t,1,2\nt,1,2,3\n", any,
                    "trace:3: expected three fields, TIMESTAMP,ContextTokens,GeneratedTokens, but found 't,1,2,3'"},
           BadTrace{kHeader + "t,,2\n", any, "trace:2: ContextTokens is '': must be 0 to 2147483647"},
           BadTrace{kHeader + "t,-1,2\n", any, "trace:2: ContextTokens is '-1': must be 0 to 2147483647"},
           BadTrace{kHeader + "t,1e3,2\n", any, "trace:2: ContextTokens is '1e3': must be 0 to 2147483647"},
           BadTrace{kHeader + "t,1,2147483648\n", any,
                    "trace:2: GeneratedTokens is '2147483648': must be 0 to 2147483647"},
           BadTrace{kHeader + "t,2147483647,1\n", any, "trace:2: 2147483647 + 1 tokens are more than 2147483647"},
           BadTrace{kHeader + "t,1,2\n", TraceFormat::mooncake,
                    "trace:1: expected a JSON object, but found 'TIMESTAMP,ContextTokens,GeneratedTokens'"},
           BadTrace{"{\"input_length\": 1, \"output_length\": 2}\n{\"input_length\": 1,\n", any,
                    "trace:2: expected a JSON object, but found '{\"input_length\": 1,'"},
           BadTrace{"{\"input_length\": 1}\n", any, "trace:1: the key output_length is missing"},
           BadTrace{"{\"input_length\": \"1\", \"output_length\": 2}\n", any,
                    "trace:1: input_length is \"1\": must be an integer of 0 to 2147483647"},
           BadTrace{"{\"input_length\": 1, \"output_length\": 2.5}\n", any,
                    "trace:1: output_length is 2.5: must be an integer of 0 to 2147483647"},
           BadTrace{"{\"input_length\": -1, \"output_length\": 2}\n", any,
                    "trace:1: input_length is -1: must be an integer of 0 to 2147483647"},
           BadTrace{kHeader + std::string(100, 'x') + "\n", any,
                    "trace:2: expected three fields, TIMESTAMP,ContextTokens,GeneratedTokens, but found '" +
                        std::string(60, 'x') + "...'"},
       }) {
    Result<Trace> trace = read(bad.text, bad.format);
    ASSERT_FALSE(trace.ok()) << bad.message;
    EXPECT_EQ(trace.status().code(), StatusCode::invalid_argument);
    EXPECT_EQ(trace.status().message(), bad.message);
  }
}

TEST(Trace, RefusesWhatCannotBeRead) {
  Result<Trace> missing = read_trace_file("/nonexistent/trace.csv", TraceFormat::automatic, 0);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.status().code(), StatusCode::io_error);
  EXPECT_EQ(missing.status().message(), "trace '/nonexistent/trace.csv' cannot be read: No such file or directory");
  Result<Trace> folder = read_trace_file("/", TraceFormat::automatic, 0);
  ASSERT_FALSE(folder.ok());
  EXPECT_EQ(folder.status().message(), "trace '/' cannot be read: it is a folder");
}

TEST(Trace, TheSampleLooksLikeTheTraceItWasFittedTo) {
  Result<Trace> trace = read(std::string(sample_trace_text()));
  ASSERT_TRUE(trace.ok()) << trace.status().message();
  std::vector<int64_t> prompts;
  std::vector<int64_t> answers;
  double prompt_sum = 0;
  double answer_sum = 0;
  for (const Request& request : trace.value().requests) {
    prompts.push_back(request.prompt);
    answers.push_back(request.answer);
    prompt_sum += static_cast<double>(request.prompt);
    answer_sum += static_cast<double>(request.answer);
  }
  std::sort(prompts.begin(), prompts.end());
  std::sort(answers.begin(), answers.end());
  const size_t n = prompts.size();
  ASSERT_GE(n, 200u);
  // The Azure conversation trace of 2023: means 1,155 and 211, medians 1,020 and 129.
  EXPECT_NEAR(prompt_sum / static_cast<double>(n), 1155, 30);
  EXPECT_NEAR(answer_sum / static_cast<double>(n), 211, 10);
  EXPECT_NEAR(static_cast<double>(prompts[n / 2]), 1020, 10);
  EXPECT_NEAR(static_cast<double>(answers[n / 2]), 129, 5);
}

}  // namespace
}  // namespace flash_mla::cli
