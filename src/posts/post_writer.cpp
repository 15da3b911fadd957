#include "posts/post_writer.h"

#include <memory>

#include "posts/post_job.h"

namespace bobby {

Result<PostBatch> PostWriter::write(const PostRequest& request) {
  BOBBY_TRY(const auto loaded, generator_->prewarm());
  BOBBY_TRY(const std::unique_ptr<PostJob> job, PostJob::make(request, loaded));
  while (auto tries = job->next()) BOBBY_CHECK(job->take(generator_->generate(*std::move(tries))));
  return job->result();
}

}  // namespace bobby
