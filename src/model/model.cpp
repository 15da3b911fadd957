#include "model/model.h"

#include "model/transformer.h"

namespace bobby {

Result<std::unique_ptr<Model>> Model::load(const std::filesystem::path& folder, Backend& backend) {
  return Transformer::load(folder, backend);
}

}  // namespace bobby
