// make_api_model FOLDER: the tiny model and its adapter, for the tests that are not C++.

#include <filesystem>
#include <iostream>

#include "e2e/tiny_model.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const bobby::e2e::World world{argv[1]};
  std::filesystem::remove_all(world.folder);
  std::filesystem::create_directories(world.folder);
  const bobby::e2e::Outcome made = bobby::e2e::make_tiny_model(world);
  std::cerr << made.err;
  return made.exit_code;
}
