// A data file, and after the first NUL a second: neither may crash what reads and shows them, and
// no byte of them may steer a terminal or become markup. Seeds:
//   data_inspect_fuzz NEW_INPUTS tests/e2e/data_inspect -max_len=20000

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "data/inspect/html_report.h"
#include "data/inspect/inspect.h"
#include "data/inspect/json_report.h"
#include "data/inspect/text_report.h"

namespace {

using namespace bobby::inspection;

void require(bool condition) {
  if (!condition) std::abort();
}

// Every byte a token, so that characters are divided wherever the mask or the cut falls.
bobby::Result<RecordTokens> tokenize(const DataRecord& record) {
  RecordTokens made;
  made.loss_begin = static_cast<std::int64_t>(record.prompt().size());
  for (const std::string_view text : {record.prompt(), std::string_view(record.answer())})
    for (const char c : text) made.tokens.push_back(static_cast<unsigned char>(c));
  return made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t end = std::min(input.find('\0'), size);
  std::vector<DataFile> files;
  for (const auto& [name, text] :
       {std::pair{"train.jsonl", input.substr(0, end)},
        std::pair{"valid.jsonl", input.substr(std::min(end + 1, size))}}) {
    auto file = parse_data(text, name);
    if (file)
      files.push_back(*std::move(file));
    else
      require(!file.error().to_string().empty());
  }
  if (files.empty()) return 0;
  InspectOptions options{.max_seq_length = 40};
  options.tokens.model = "bytes";
  options.tokens.tokenize = tokenize;
  options.tokens.bytes = [](std::int32_t id) { return std::string(1, static_cast<char>(id)); };
  const auto report = inspect_files(files, options);
  require(report.has_value());
  for (const unsigned char c : text_report(*report, {})) require(c >= 0x20 || c == '\n');
  require(html_report(*report).find("<script") == std::string::npos);
  require(!json_report(*report).dump().empty());
  return 0;
}
