#include "backends/cpu/cpu.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>

#include "backend_fixture.h"

namespace bobby {
namespace {

using namespace test;

class IsaVariable {
 public:
  explicit IsaVariable(const char* value) { ::setenv("BOBBY_CPU_ISA", value, 1); }
  ~IsaVariable() { ::unsetenv("BOBBY_CPU_ISA"); }
};

std::string kernels(const CpuOptions& options) {
  return make_cpu_backend(options).value()->description();
}

TEST(CpuIsaTest, NamesGoBothWays) {
  for (const CpuIsa isa :
       {CpuIsa::kPortable, CpuIsa::kNeon, CpuIsa::kNeonDotprod, CpuIsa::kNeonI8mm, CpuIsa::kAvx2,
        CpuIsa::kAvx512, CpuIsa::kAvx512Vnni, CpuIsa::kAmx})
    EXPECT_EQ(parse_isa(isa_name(isa)), isa);
  EXPECT_EQ(parse_isa("sse9"), std::nullopt);
}

TEST(CpuIsaTest, PortableIsAlwaysThere) {
  ASSERT_FALSE(available_isas().empty());
  EXPECT_EQ(available_isas().front(), CpuIsa::kPortable);
}

TEST(CpuIsaTest, EveryAvailableOneCanBeForced) {
  ::unsetenv("BOBBY_CPU_ISA");
  for (const CpuIsa isa : available_isas()) {
    const std::string name(isa_name(isa));
    EXPECT_NE(kernels({.threads = 1, .isa = isa}).find(name), std::string::npos);
    const IsaVariable variable(name.c_str());
    EXPECT_EQ(kernels({.threads = 1}), kernels({.threads = 1, .isa = isa}));
  }
  EXPECT_EQ(kernels({.threads = 1}), kernels({.threads = 1, .isa = available_isas().back()}));
}

TEST(CpuIsaTest, OptionWinsOverVariable) {
  const IsaVariable variable("no such set");
  EXPECT_TRUE(make_cpu_backend({.threads = 1, .isa = CpuIsa::kPortable}));
}

TEST(CpuIsaTest, UnknownNameNamesTheAvailable) {
  const IsaVariable variable("sse9");
  const auto backend = make_cpu_backend({.threads = 1});
  ASSERT_FALSE(backend);
  EXPECT_EQ(backend.error().code, ErrorCode::kUsage);
  const std::string message = backend.error().to_string();
  for (const char* part : {"BOBBY_CPU_ISA", "sse9", "portable"})
    EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST(CpuIsaTest, UnavailableOneIsUnsupported) {
#if defined(__x86_64__)
  constexpr CpuIsa kForeign = CpuIsa::kNeon;
#else
  constexpr CpuIsa kForeign = CpuIsa::kAvx512;
#endif
  const auto backend = make_cpu_backend({.threads = 1, .isa = kForeign});
  ASSERT_FALSE(backend);
  EXPECT_EQ(backend.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(backend.error().to_string().find("portable"), std::string::npos);
}

TEST(CpuBackendTest, SaysWhatItIs) {
  EXPECT_EQ(make_cpu_backend({.threads = 3, .isa = CpuIsa::kPortable}).value()->description(),
            "cpu: portable kernels, 3 threads, q15 activations");
  EXPECT_EQ(make_cpu_backend({.threads = 1, .isa = CpuIsa::kPortable}).value()->description(),
            "cpu: portable kernels, 1 thread, q15 activations");
}

TEST(CpuBackendTest, ImpossibleThreadsAreAnError) {
  for (const int threads : {-1, 1 << 20}) {
    const auto backend = make_cpu_backend({.threads = threads});
    ASSERT_FALSE(backend);
    EXPECT_EQ(backend.error().code, ErrorCode::kUsage);
  }
}

TEST(CpuBackendTest, SupportsEveryFormatAndNamesTheOthers) {
  const auto backend = make_cpu_backend({.threads = 1}).value();
  for (const WeightFormat& format : all_formats())
    EXPECT_TRUE(backend->supports(format)) << format.to_string();
  for (const WeightFormat& format : {affine(7, 64), affine(4, 16), affine(0, 64),
                                     dense(DType::kI32), affine(4, 64, DType::kU8)}) {
    const auto answer = backend->supports(format);
    ASSERT_FALSE(answer) << format.to_string();
    EXPECT_EQ(answer.error().code, ErrorCode::kUnsupported);
    WeightView view;
    view.name = "model.embed_tokens";
    view.format = format;
    view.rows = 2;
    view.cols = 128;
    EXPECT_FALSE(backend->load_weight(view));
  }
}

TEST(CpuBackendTest, BuffersAreAlignedAndZeroed) {
  const auto backend = make_cpu_backend({.threads = 1}).value();
  const auto buffer = backend->allocate(1000).value();
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer->data()) % 64, 0u);
  EXPECT_EQ(buffer->size(), 1000u);
  const auto* bytes = static_cast<const char*>(buffer->data());
  EXPECT_TRUE(std::all_of(bytes, bytes + 1000, [](char c) { return c == 0; }));
  EXPECT_TRUE(backend->allocate(0));
}

TEST(CpuBackendTest, LargeCacheCostsNothingUntilTouched) {
  const auto backend = make_cpu_backend({.threads = 1}).value();
  // 64 GiB: more than this test may take.
  const KvShape shape{
      .layers = 32, .num_key_value_heads = 8, .head_dim = 128, .block_tokens = 32, .blocks = 16384};
  ASSERT_EQ(shape.block_bytes() * 16384, std::size_t{64} << 30);
  EXPECT_TRUE(backend->allocate_kv(shape));
}

TEST(CpuBackendTest, TooMuchMemoryIsAnError) {
  const auto backend = make_cpu_backend({.threads = 1}).value();
  const auto buffer = backend->allocate(std::size_t{1} << 60);
  ASSERT_FALSE(buffer);
  EXPECT_EQ(buffer.error().code, ErrorCode::kLimit);
  const auto huge = std::int64_t{1} << 60;
  for (const std::int64_t blocks : {huge / 1024, huge}) {
    const auto kv = backend->allocate_kv(
        {.layers = 2, .num_key_value_heads = 8, .head_dim = 128, .blocks = blocks});
    ASSERT_FALSE(kv);
    EXPECT_EQ(kv.error().code, ErrorCode::kLimit);
    EXPECT_NE(kv.error().to_string().find("KV cache"), std::string::npos);
  }
}

}  // namespace
}  // namespace bobby
