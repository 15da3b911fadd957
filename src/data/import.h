#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "data/filters.h"
#include "data/selection.h"
#include "data/source.h"

namespace bobby::data {

/// A source of one run, and how much it weighs.
struct ImportSource {
  std::string kind;   ///< "twitter"
  std::string name;   ///< of its file or folder, without the path
  double weight = 1;  ///< how often a post of it is trained on; a fraction is a chance
  std::unique_ptr<PostSource> source = nullptr;
};

/// From posts to records.
struct ImportOptions {
  FilterOptions filter;
  bool keep_duplicates = false;      ///< they still stand on one side of the split
  double near = 0.8;                 ///< similarity from which posts are nearly the same; 0: off
  std::vector<std::string> prompts;  ///< one is drawn for each record whose post brings none
  std::string system;                ///< a system message for each record; empty: none
  SelectionOptions selection;
};

/// What became of a source.
struct SourceOutcome {
  std::string kind;
  std::string name;
  double weight = 1;
  SourceReport report = {};
  std::uint64_t train_posts = 0;
  std::uint64_t train_records = 0;  ///< with their copies
  std::uint64_t valid_posts = 0;
};

/// A file of the dataset.
struct DatasetFile {
  std::string name;
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  std::string sha256;
};

struct ImportReport {
  std::vector<SourceOutcome> sources;
  std::vector<DatasetFile> files;  ///< train.jsonl, valid.jsonl
};

/// Reads all sources, in their order, and writes train.jsonl, valid.jsonl (mlx-lm's chat form) and
/// manifest.json into `folder`, which must be there. Posts are held on disk, in files without names
/// in `folder`; memory is some 80 bytes a post. The same sources and options write the same bytes.
/// kNotFound when no post is left; the errors of the sources; kIo.
Result<ImportReport> import_posts(std::span<const ImportSource> sources,
                                  const ImportOptions& options, const std::filesystem::path& folder,
                                  const ProgressFn& progress);

}  // namespace bobby::data
