// What DAG-CBOR is, and each way of not being it.

#include "data/bluesky/dag_cbor.h"

#include <gtest/gtest.h>
#include <limits>

#include "unit/data/bluesky/repo_builder.h"

namespace bobby::data {
namespace {

using nlohmann::json;
using namespace std::string_literals;

Result<json> decode(std::string_view text) {
  return decode_dag_cbor(bytes_of(text));
}

TEST(DagCbor, ReadsWhatItsWriterWrites) {
  const json value = {
      {"a", 1},
      {"b", -1},
      {"text", "Grüße, 🌍"},
      {"list", {true, false, nullptr, 23, 24, 255, 256, 65535, 65536, 4294967295U, 4294967296U}},
      {"most", std::numeric_limits<std::uint64_t>::max()},
      {"least", std::numeric_limits<std::int64_t>::min()},
      {"half", 0.5},
      {"bytes", byte_string("\0\xff"s)},
      {"link", link(cid_of("x"))},
      {"empty", json::object()},
  };
  const auto read = decode(cbor(value));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(*read, value);
  EXPECT_EQ(find_link(*read, "link"), cid_of("x"));
  EXPECT_EQ(find_link(*read, "bytes"), std::nullopt);
  EXPECT_EQ(find_bytes(*read, "link"), nullptr);
  ASSERT_NE(find_bytes(*read, "bytes"), nullptr);
  EXPECT_EQ(find_unsigned(*read, "b"), std::nullopt);
}

struct Refused {
  const char* name;
  std::string bytes;
  const char* why;
};

void PrintTo(const Refused& refused, std::ostream* stream) {
  *stream << refused.name;
}

class DagCborRefuses : public testing::TestWithParam<Refused> {};

TEST_P(DagCborRefuses, AndSaysWhy) {
  const auto read = decode(GetParam().bytes);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kMalformed);
  EXPECT_NE(read.error().problem.find(GetParam().why), std::string::npos) << read.error().problem;
}

const std::string kCid = binary(cid_of("x"));

INSTANTIATE_TEST_SUITE_P(
    Each, DagCborRefuses,
    testing::Values(
        Refused{"Nothing", "", "end too early"},
        Refused{"CutItem", "\x82\x19\x01", "end too early"},
        Refused{"CutNumber", "\x19\x01", "end too early"},
        Refused{"CutText",
                "\x63"
                "ab",
                "longer than the bytes"},
        Refused{"HugeText", "\x7b\x7f\xff\xff\xff\xff\xff\xff\xff", "longer than the bytes"},
        Refused{"HugeBytes", "\x5b\xff\xff\xff\xff\xff\xff\xff\xff", "longer than the bytes"},
        Refused{"HugeArray", "\x9b\xff\xff\xff\xff\xff\xff\xff\xff", "longer than the bytes"},
        Refused{"HugeMap", "\xbb\x7f\xff\xff\xff\xff\xff\xff\xff", "longer than the bytes"},
        Refused{"CutArray", "\x82\x01", "longer than the bytes"},
        Refused{"LongNumber1", "\x18\x17", "more bytes than it needs"},
        Refused{"LongNumber2", "\x19\x00\xff"s, "more bytes than it needs"},
        Refused{"LongNumber4", "\x1a\x00\x00\xff\xff"s, "more bytes than it needs"},
        Refused{"LongNumber8", "\x1b\x00\x00\x00\x00\xff\xff\xff\xff"s, "more bytes"},
        Refused{"LongLength",
                "\x78\x01"
                "a",
                "more bytes than it needs"},
        Refused{"OpenText",
                "\x7f\x61"
                "a\xff",
                "indefinite"},
        Refused{"OpenBytes",
                "\x5f\x41"
                "a\xff",
                "indefinite"},
        Refused{"OpenArray", "\x9f\x01\xff", "indefinite"},
        Refused{"OpenMap",
                "\xbf\x61"
                "a\x01\xff",
                "indefinite"},
        Refused{"Break", "\xff", "indefinite"}, Refused{"Reserved", "\x1c", "reserved"},
        Refused{"TooNegative", "\x3b\x80\x00\x00\x00\x00\x00\x00\x00"s, "below -2^63"},
        Refused{"Undefined", "\xf7", "does not have"},
        Refused{"Simple", "\xf8\x20", "does not have"},
        Refused{"HalfFloat", "\xf9\x3c\x00"s, "does not have"},
        Refused{"SingleFloat", "\xfa\x3f\x80\x00\x00"s, "does not have"},
        Refused{"NotANumber", "\xfb\x7f\xf8\x00\x00\x00\x00\x00\x00"s, "NaN"},
        Refused{"Infinite", "\xfb\x7f\xf0\x00\x00\x00\x00\x00\x00"s, "NaN or infinite"},
        Refused{"NotUtf8", "\x62\xc3\x28", "not UTF-8"},
        Refused{"Surrogate", "\x63\xed\xa0\x80", "not UTF-8"},
        Refused{"NumberAsKey", "\xa1\x01\x01", "not text"},
        Refused{"KeysOutOfOrder",
                "\xa2\x61"
                "b\x01\x61"
                "a\x02",
                "out of order"},
        Refused{"LongKeyFirst",
                "\xa2\x62"
                "aa\x01\x61"
                "b\x02",
                "out of order"},
        Refused{"KeyTwice",
                "\xa2\x61"
                "a\x01\x61"
                "a\x02",
                "twice"},
        Refused{"OtherTag", "\xc1\x01", "tag 1"},
        Refused{"LinkOfText",
                "\xd8\x2a\x61"
                "a",
                "not one"},
        Refused{"LinkWithoutItsZero", "\xd8\x2a\x58\x24" + kCid, "not one"},
        Refused{"EmptyLink", "\xd8\x2a\x40", "not one"},
        Refused{"CutLink", "\xd8\x2a\x58\x24\x00"s + kCid.substr(1), "CID"},
        Refused{"LinkAndMore", "\xd8\x2a\x58\x26\x00"s + kCid + "x", "left over"},
        Refused{"IdentityLink", "\xd8\x2a\x46\x00\x01\x71\x00\x01x"s, "another digest"},
        Refused{"TwoValues", "\x01\x02", "after the value"}),
    [](const auto& param) { return param.param.name; });

TEST(DagCbor, BoundsHowDeepAndHowManyValuesMayBe) {
  const std::string deep(kDeepestCbor, '\x81');
  EXPECT_TRUE(decode(deep + "\x01"));
  const auto deeper = decode(deep + "\x81\x01");
  ASSERT_FALSE(deeper);
  EXPECT_EQ(deeper.error().code, ErrorCode::kLimit);
  EXPECT_FALSE(decode(std::string(1'000'000, '\x81')));
  const auto many = decode(cbor_head(4, kMostCborItems) + std::string(kMostCborItems, '\x01'));
  ASSERT_FALSE(many);
  EXPECT_EQ(many.error().code, ErrorCode::kLimit);
}

TEST(Cid, IsWrittenAsOthersWriteIt) {
  // The CID of {} in DAG-CBOR, as the IPLD libraries print it.
  EXPECT_EQ(cid_of("\xa0").to_string(),
            "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua");
}

TEST(Varint, IsAsShortAsItCanBe) {
  const auto read = [](const std::string& bytes) { return ByteReader(bytes_of(bytes)).varint(); };
  for (const std::uint64_t number : {0ULL, 1ULL, 127ULL, 128ULL, 300ULL, (1ULL << 63) - 1})
    EXPECT_EQ(read(varint(number)), number);
  EXPECT_EQ(read(varint(1ULL << 63)), std::nullopt);
  EXPECT_EQ(read("\x80"), std::nullopt);
  EXPECT_EQ(read("\x81\x00"s), std::nullopt);
  EXPECT_EQ(read(std::string(20, '\xff')), std::nullopt);
}

}  // namespace
}  // namespace bobby::data
