// safetensors_list PATH: name, dtype and shape of each tensor of a file, an index or a model
// folder. Reads headers only.

#include <iostream>
#include <safetensors/safetensors.h>

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: safetensors_list PATH\n";
    return 2;
  }
  const auto checkpoint = safetensors::Checkpoint::open(argv[1]);
  if (!checkpoint) {
    std::cerr << checkpoint.error().to_string() << "\n";
    return 1;
  }
  for (const safetensors::Tensor* tensor : checkpoint->tensors())
    std::cout << tensor->name << "  " << safetensors::describe(tensor->dtype, tensor->shape)
              << "\n";
  std::cout << checkpoint->tensors().size() << " tensors, " << checkpoint->byte_size() << " bytes, "
            << checkpoint->files().size() << " files\n";
}
