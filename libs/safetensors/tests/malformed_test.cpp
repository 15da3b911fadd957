// Files that no reader may accept. The first group is the official reader's own negative tests
// (safetensors/src/tensor.rs); the bytes are written by hand, so that no writer has to produce
// them.

#include <algorithm>
#include <cstring>
#include <string>

#include "support.h"

namespace safetensors::testing {
namespace {

constexpr std::string_view kHugeLength("<\x00\x00\x00\x00\xff\xff\xff", 8);
constexpr std::string_view kSixty("<\x00\x00\x00\x00\x00\x00\x00", 8);

TEST(OfficialCases, EmptyFile) {
  EXPECT_EQ(problems({}), only(ErrorCode::kFileTooSmall));
  EXPECT_EQ(problems(to_bytes("1234567")), only(ErrorCode::kFileTooSmall));
}

TEST(OfficialCases, LengthFieldOnly) {
  EXPECT_EQ(problems(to_bytes(kSixty)), only(ErrorCode::kHeaderTruncated));
}

TEST(OfficialCases, HugeLength) {
  EXPECT_EQ(problems(to_bytes(kHugeLength)), only(ErrorCode::kHeaderTooLarge));
}

TEST(OfficialCases, HeaderNotUtf8) {
  EXPECT_EQ(problems(file_with("\xff")), only(ErrorCode::kHeaderNotUtf8));
}

TEST(OfficialCases, HeaderNotJson) {
  EXPECT_EQ(problems(file_with("{")), only(ErrorCode::kHeaderNotJson));
}

TEST(OfficialCases, TenTensorsShareOneRange) {
  std::vector<std::string> entries;
  for (int i = 0; i < 10; ++i)
    entries.push_back(entry(std::to_string(i), "F32", "[2,2]", "[0,16]"));
  const Bytes file = file_with(header_of(entries), std::string(16, '\0'));
  EXPECT_EQ(problems(file), std::vector<ErrorCode>(9, ErrorCode::kOffsets));
}

TEST(OfficialCases, PolyglotTail) {
  const std::string header = header_of({entry("t", "I32", "[2,2]", "[0,16]")});
  const Bytes file =
      file_with(header, std::string(16, '\0') + "extra_bogus_data_for_polyglot_file");
  EXPECT_EQ(problems(file), only(ErrorCode::kTrailingBytes));
  const Result<File> lenient = File::from_bytes(file, {.lenient = true});
  ASSERT_TRUE(lenient) << sentence(lenient);
  EXPECT_EQ(lenient->stray_bytes(), 34u);
  EXPECT_EQ(lenient->find("t")->data.size(), 16u);
}

TEST(OfficialCases, TwoBytesMissing) {
  const std::string header = header_of({entry("t", "I32", "[2,2]", "[0,16]")});
  const Bytes file = file_with(header, std::string(14, '\0'));
  EXPECT_EQ(problems(file), only(ErrorCode::kDataTruncated));
  EXPECT_EQ(problems(file, {.lenient = true}), only(ErrorCode::kDataTruncated));
}

TEST(OfficialCases, OffsetsShorterThanShape) {
  const Bytes file =
      file_with(header_of({entry("t", "I32", "[2,2]", "[0,4]")}), std::string(4, '\0'));
  EXPECT_EQ(problems(file), only(ErrorCode::kSizeMismatch));
}

TEST(OfficialCases, ShapeOverflows) {
  for (const char* shape : {"[2,18446744073709551614]", "[2,9223372036854775807]"}) {
    const Bytes file =
        file_with(header_of({entry("t", "I32", shape, "[0,16]")}), std::string(16, '\0'));
    EXPECT_EQ(problems(file), only(ErrorCode::kOverflow)) << shape;
  }
}

TEST(OfficialCases, OddNumberOfFourBitElements) {
  const Bytes file = file_with(header_of({entry("t", "F4", "[1,3]", "[0,2]")}), "ab");
  EXPECT_EQ(problems(file), only(ErrorCode::kSubByte));
}

TEST(Malformed, OverflowDoesNotHideBehindAZero) {
  // Whatever the order of the dimensions; strides of such a shape do not exist.
  for (const char* shape : {"[9223372036854775808,4,0]", "[0,9223372036854775808,4]"}) {
    EXPECT_EQ(problems(file_with(header_of({entry("t", "U8", shape, "[0,0]")}))),
              only(ErrorCode::kOverflow))
        << shape;
  }
}

TEST(Malformed, SizeInBitsOverflows) {
  const Bytes file = file_with(header_of({entry("t", "F64", "[288230376151711744]", "[0,0]")}));
  EXPECT_EQ(problems(file), only(ErrorCode::kOverflow));  // 2^58 * 64 = 2^64
}

TEST(Malformed, SixBitElementsMustEndOnAByte) {
  for (const char* dtype : {"F6_E2M3", "F6_E3M2"}) {
    EXPECT_EQ(problems(file_with(header_of({entry("t", dtype, "[3]", "[0,3]")}), "abc")),
              only(ErrorCode::kSubByte));
    EXPECT_EQ(problems(file_with(header_of({entry("t", dtype, "[4]", "[0,3]")}), "abc")),
              std::vector<ErrorCode>());
  }
}

TEST(Malformed, HolesAndOverlaps) {
  const auto two = [](const char* first, const char* second) {
    return file_with(header_of({entry("a", "U8", "[4]", first), entry("b", "U8", "[4]", second)}),
                     std::string(8, '\0'));
  };
  EXPECT_EQ(problems(two("[0,4]", "[4,8]")), std::vector<ErrorCode>());
  EXPECT_EQ(problems(two("[4,8]", "[0,4]")), std::vector<ErrorCode>());
  EXPECT_EQ(problems(two("[0,4]", "[0,4]")),
            (std::vector{ErrorCode::kOffsets, ErrorCode::kTrailingBytes}));
  EXPECT_EQ(problems(two("[0,4]", "[3,7]")),
            (std::vector{ErrorCode::kOffsets, ErrorCode::kTrailingBytes}));
  EXPECT_EQ(problems(two("[0,4]", "[5,9]")),
            (std::vector{ErrorCode::kOffsets, ErrorCode::kDataTruncated}));
  EXPECT_EQ(problems(two("[1,5]", "[5,9]")),
            (std::vector{ErrorCode::kOffsets, ErrorCode::kDataTruncated}));
  EXPECT_EQ(problems(two("[4,0]", "[4,8]")), only(ErrorCode::kOffsets));
}

TEST(Malformed, OffsetsNearTheEndOfTheNumbers) {
  constexpr const char* kLast = "[18446744073709551611,18446744073709551615]";
  const Bytes file = file_with(header_of({entry("a", "U8", "[4]", kLast)}), "abcd");
  EXPECT_EQ(problems(file), (std::vector{ErrorCode::kOffsets, ErrorCode::kDataTruncated}));
}

TEST(Malformed, EmptyTensorInsideAnother) {
  const std::string header =
      header_of({entry("a", "U8", "[4]", "[0,4]"), entry("b", "U8", "[0]", "[2,2]")});
  EXPECT_EQ(problems(file_with(header, "abcd")), only(ErrorCode::kOffsets));
}

TEST(Malformed, DuplicateNames) {
  const std::string one = entry("a", "U8", "[4]", "[0,4]");
  const std::string two = entry("a", "U8", "[4]", "[4,8]");
  EXPECT_EQ(problems(file_with(header_of({one, two}), "abcdefgh")), only(ErrorCode::kDuplicateKey));
  // The official reader keeps one of the two in silence when their offsets are equal.
  const std::vector<ErrorCode> equal = problems(file_with(header_of({one, one}), "abcd"));
  EXPECT_NE(std::ranges::find(equal, ErrorCode::kDuplicateKey), equal.end());
  // Two spellings of one name; empty tensors, which could share a place.
  const std::string escaped = entry("\\u0061", "U8", "[0]", "[0,0]");
  EXPECT_EQ(problems(file_with(header_of({entry("a", "U8", "[0]", "[0,0]"), escaped}))),
            only(ErrorCode::kDuplicateKey));
}

TEST(Malformed, DuplicateKeys) {
  EXPECT_EQ(problems(file_with(R"({"a":{"dtype":"U8","dtype":"I8","shape":[],)"
                               R"("data_offsets":[0,1]}})",
                               "x")),
            only(ErrorCode::kDuplicateKey));
  EXPECT_EQ(problems(file_with(R"({"__metadata__":{"k":"1","k":"2"}})")),
            only(ErrorCode::kDuplicateKey));
  EXPECT_EQ(problems(file_with(R"({"__metadata__":{},"__metadata__":{}})")),
            only(ErrorCode::kDuplicateKey));
}

TEST(Malformed, UnknownKeyIsNamed) {
  const Bytes file =
      file_with(R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0,1],"strides":[1]}})", "x");
  const Result<File> opened = File::from_bytes(file);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kUnknownKey);
  EXPECT_EQ(opened.error().tensor, "a");
  EXPECT_NE(opened.error().problem.find("'strides'"), std::string::npos);
}

TEST(Malformed, UnknownDtypeIsNamed) {
  for (const char* dtype : {"F128", "f32", "", "F32 "}) {
    const Bytes file = file_with(header_of({entry("a", dtype, "[]", "[0,4]")}), "abcd");
    const Result<File> opened = File::from_bytes(file);
    ASSERT_FALSE(opened) << dtype;
    EXPECT_EQ(opened.error().code, ErrorCode::kUnknownDType);
    EXPECT_EQ(opened.error().found, dtype);
  }
}

class WrongForm : public ::testing::TestWithParam<const char*> {};

TEST_P(WrongForm, IsRefused) {
  const std::vector<ErrorCode> found = problems(file_with(GetParam(), "abcd"));
  EXPECT_EQ(found, only(ErrorCode::kHeaderInvalid));
}

INSTANTIATE_TEST_SUITE_P(
    Malformed, WrongForm,
    ::testing::Values("[]", "1", "\"a\"", "null", "true", R"({"a":1})", R"({"a":[]})",
                      R"({"a":null})", R"({"a":{"shape":[4],"data_offsets":[0,4]}})",
                      R"({"a":{"dtype":"U8","data_offsets":[0,4]}})",
                      R"({"a":{"dtype":"U8","shape":[4]}})",
                      R"({"a":{"dtype":1,"shape":[4],"data_offsets":[0,4]}})",
                      R"({"a":{"dtype":"U8","shape":4,"data_offsets":[0,4]}})",
                      R"({"a":{"dtype":"U8","shape":[4.0],"data_offsets":[0,4]}})",
                      R"({"a":{"dtype":"U8","shape":[4e0],"data_offsets":[0,4]}})",
                      R"({"a":{"dtype":"U8","shape":["4"],"data_offsets":[0,4]}})",
                      R"({"a":{"dtype":"U8","shape":[-4],"data_offsets":[0,4]}})",
                      R"({"a":{"dtype":"U8","shape":[[4]],"data_offsets":[0,4]}})",
                      R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0]}})",
                      R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4,8]}})",
                      R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,-4]}})",
                      R"({"a":{"dtype":"U8","shape":[4],"data_offsets":{"0":4}}})",
                      R"({"__metadata__":[]})", R"({"__metadata__":"x"})",
                      R"({"__metadata__":{"k":1}})", R"({"__metadata__":{"k":null}})"));

class NotJson : public ::testing::TestWithParam<const char*> {};

TEST_P(NotJson, IsRefused) {
  EXPECT_EQ(problems(file_with(GetParam())), only(ErrorCode::kHeaderNotJson));
}

INSTANTIATE_TEST_SUITE_P(Malformed, NotJson,
                         ::testing::Values("", " ", "{}{}", "{} x", "{}\v", "\xef\xbb\xbf{}",
                                           "{'a':1}", "{\"a\":}", "{\"a\"}", "{,}",
                                           "{\"a\":{\"shape\":[1,]}}", "{\"a\":01}", "{\"a\":+1}",
                                           "{\"a\":NaN}", "{\"a\":\"\\x\"}", "{\"a\":\"\n\"}",
                                           "// no\n{}",
                                           "{\"a\":{\"shape\":[18446744073709551616]}}"));

TEST(Malformed, NulBytesAreNoPadding) {
  EXPECT_EQ(problems(file_with(std::string_view("{}\0\0", 4))), only(ErrorCode::kHeaderNotJson));
}

TEST(Malformed, NamesMustBeUtf8AlsoWhenEscaped) {
  for (const char* name : {"\\ud800", "\\udc00", "\\ud800\\ud800"}) {
    const std::vector<ErrorCode> found =
        problems(file_with(header_of({entry(name, "U8", "[0]", "[0,0]")})));
    ASSERT_EQ(found.size(), 1u) << name;
    EXPECT_TRUE(found[0] == ErrorCode::kHeaderNotUtf8 || found[0] == ErrorCode::kHeaderNotJson);
  }
}

TEST(Malformed, DeepNestingIsRefused) {
  std::string deep = "\"a\":";
  deep.append(100'000, '[').append(100'000, ']');
  EXPECT_EQ(problems(file_with(header_of({deep}))), only(ErrorCode::kHeaderNotJson));
}

TEST(Malformed, HeaderLimits) {
  const auto length_only = [](std::uint64_t length) {
    Bytes bytes(8);
    std::memcpy(bytes.data(), &length, 8);
    return bytes;
  };
  EXPECT_EQ(problems(length_only(kMaxHeaderBytes)), only(ErrorCode::kHeaderTruncated));
  EXPECT_EQ(problems(length_only(kMaxHeaderBytes + 1)), only(ErrorCode::kHeaderTooLarge));
  EXPECT_EQ(problems(length_only(~std::uint64_t{0})), only(ErrorCode::kHeaderTooLarge));
  EXPECT_EQ(problems(length_only(~std::uint64_t{0}), {.max_header_bytes = ~std::uint64_t{0}}),
            only(ErrorCode::kHeaderTooLarge));
  EXPECT_EQ(problems(file_with("{}  "), {.max_header_bytes = 4}), std::vector<ErrorCode>());
  EXPECT_EQ(problems(file_with("{}  "), {.max_header_bytes = 3}), only(ErrorCode::kHeaderTooLarge));
}

TEST(Malformed, AllProblemsAreReportedTogether) {
  const std::string header =
      header_of({entry("a", "F33", "[1]", "[0,4]"), entry("b", "F32", "[1]", "[4,6]"),
                 entry("c", "F4", "[1]", "[6,7]")});
  EXPECT_EQ(problems(file_with(header)),
            (std::vector{ErrorCode::kUnknownDType, ErrorCode::kSizeMismatch, ErrorCode::kSubByte}));
}

TEST(Malformed, ManyProblemsAreCounted) {
  std::vector<std::string> entries;
  for (int i = 0; i < 1000; ++i)
    entries.push_back(std::string("\"").append(std::to_string(i)).append("\":0"));
  const Bytes file = file_with(header_of(entries));
  const Result<File> opened = File::from_bytes(file);
  ASSERT_FALSE(opened);
  ASSERT_EQ(opened.error().also.size(), 100u);
  EXPECT_EQ(opened.error().also.back().problem, "and 900 more problems");
}

TEST(Malformed, MessagesCarryNoControlCharacters) {
  const std::string name = std::string("\\u001b[2J").append(5000, 'x');
  const Bytes file = file_with(header_of({entry(name, "U8", "[1]", "[0,0]")}));
  const Result<File> opened = File::from_bytes(file);
  ASSERT_FALSE(opened);
  const std::string text = opened.error().to_string();
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_NE(text.find("\\x1b[2J"), std::string::npos);
  EXPECT_LT(text.size(), 1000u);
}

// Every prefix of a good file is a bad file, and so is the file with any one byte of its length
// field or structure lost.
TEST(Malformed, EveryTruncationIsRefused) {
  const Bytes file =
      file_with(header_of({entry("a", "F32", "[2]", "[0,8]"), entry("b", "U8", "[3]", "[8,11]")}),
                "01234567abc");
  ASSERT_EQ(problems(file), std::vector<ErrorCode>());
  for (std::size_t size = 0; size < file.size(); ++size) {
    const Bytes prefix(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_NE(problems(prefix, {.lenient = true}), std::vector<ErrorCode>()) << size;
  }
}

}  // namespace
}  // namespace safetensors::testing
