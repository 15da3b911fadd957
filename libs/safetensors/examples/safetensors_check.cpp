// safetensors_check PATH...: names everything that is wrong with a file, an index with its shards,
// or a model folder. Exits 0 when all are valid, 1 when one is not, 2 without arguments.

#include <iostream>
#include <safetensors/safetensors.h>

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: safetensors_check PATH...\n";
    return 2;
  }
  bool good = true;
  for (int i = 1; i < argc; ++i) {
    const auto errors = safetensors::check_checkpoint(argv[i]);
    for (const safetensors::Error& error : errors) std::cerr << error.to_string() << "\n";
    if (errors.empty()) std::cout << argv[i] << ": ok\n";
    good = good && errors.empty();
  }
  return good ? 0 : 1;
}
