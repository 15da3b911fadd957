// three_posts MODEL [SEED]: three posts from a model folder, one a line.

#include <bobby/bobby.h>
#include <cstdlib>
#include <iostream>

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::cerr << "usage: three_posts MODEL [SEED]\n";
    return 2;
  }
  bobby::Generator generator({.model = argv[1]});
  bobby::GenerateOptions request = {.prompt = "write about coffee", .count = 3};
  if (argc == 3) request.seed = std::strtoull(argv[2], nullptr, 10);

  const auto batch = generator.generate(request);
  if (!batch) {
    std::cerr << batch.error().message << "\n";
    return 1;
  }
  for (const bobby::Post& post : batch->posts) std::cout << post.text << "\n";
  return batch->posts.empty() ? 3 : 0;
}
