// tour MODEL ADAPTER: each part of the C++ API once. docs/guides/cpp-api.md shows its pieces.

#include <atomic>
#include <bobby/bobby.h>
#include <chrono>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

namespace {

void serve(const std::string& folder, const std::string& adapter_folder) {
  auto model = bobby::load_model({.path = folder}).value();
  auto adapter = bobby::load_adapter({.path = adapter_folder}, {.scale = 20.0f}).value();
  auto tokenizer = bobby::load_tokenizer({.path = folder}).value();
  auto serving = bobby::text_generation(
                     model, tokenizer,
                     {.adapter = adapter, .batch_size = 4, .sequence_length = 256, .seed = 7})
                     .value();
  auto result = serving.batched_run("Write a post in your style").value();
  std::cout << result.text << "\n";

  const std::vector<std::string> prompts = {"write about tea", "write about rain"};
  for (const auto& completion : serving.batched_run(prompts).value())
    std::cout << completion.tokens << " tokens\n";
}

void write_posts(const std::string& folder, const std::string& adapter_folder) {
  bobby::Generator generator({.model = folder, .adapters = {adapter_folder + ":20"}});
  bobby::Result<void> loaded = generator.prewarm([](const bobby::Progress& progress) {
    std::cerr << progress.phase << " " << progress.done << "/" << progress.total << "\n";
  });
  if (!loaded) {
    std::cerr << loaded.error().message << "\n";
    return;
  }
  auto batch = generator
                   .generate({.prompt = "write about debugging",
                              .count = 3,
                              .max_tokens = 100,
                              .temperature = 0.8f,
                              .top_p = 0.95f})
                   .value();
  for (const bobby::Post& post : batch.posts) std::cout << post.text << "\n";
  for (const bobby::RejectedTry& rejected : batch.rejected) std::cerr << rejected.reason << "\n";
  std::cout << generator.memory_stats().weight_bytes << " bytes of weights\n";
  std::cout << generator.last_trace().size() << " bytes of trace\n";
}

void stop_early(const std::string& folder) {
  bobby::Generator generator({.model = folder, .threads = 2});
  std::atomic<bool> cancel = false;
  std::thread impatient([&cancel] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    cancel = true;
  });
  auto batch = generator.generate(
      {.count = 3,
       .max_tokens = 400,
       .raw = true,
       .on_text = [](std::uint32_t, int, std::string_view text) { std::cerr << text; },
       .cancel = &cancel});
  impatient.join();
  if (batch && batch->cancelled) std::cerr << "\nstopped\n";
}

void arrays() {
  bobby::Matrix w{std::vector<float>(4 * 64, 0.5f), 4, 64};
  auto quantized = bobby::quantize(w, 64, 4).value();
  auto same =
      bobby::dequantize(quantized.weight, quantized.scales, quantized.biases, 64, 4).value();
  bobby::Matrix x{std::vector<float>(64, 1.0f), 1, 64};
  auto product = bobby::quantized_matmul(x, quantized.weight, quantized.scales, quantized.biases,
                                         /*transpose=*/true, 64, 4)
                     .value();
  std::cout << same.values[0] << " " << product.values[0] << "\n";  // 0.5 32
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: tour MODEL ADAPTER\n";
    return 2;
  }
  try {
    serve(argv[1], argv[2]);
    write_posts(argv[1], argv[2]);
    stop_early(argv[1]);
    arrays();
  } catch (const bobby::ResultError& error) {
    std::cerr << bobby::code_name(error.code()) << ": " << error.what() << "\n";
    return 1;
  }
  return 0;
}
