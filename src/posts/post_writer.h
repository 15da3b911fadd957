#pragma once

#include "base/result.h"
#include "generation/generator.h"
#include "posts/post_request.h"

namespace bobby {

/// Writes posts: prompt form, generation, clean-up, and another try for what is no post.
class PostWriter {
 public:
  /// `generator` must outlive this.
  explicit PostWriter(Generator& generator) : generator_(&generator) {}

  /// kUsage: a bad count, prompt or setting. Otherwise what Generator::generate() reports.
  Result<PostBatch> write(const PostRequest& request);

 private:
  Generator* generator_;
};

}  // namespace bobby
