/* three_posts_c MODEL [SEED]: three posts from a model folder, one a line; each is shown on stderr
 * while it is written. */

#include <bobby/bobby.h>
#include <stdio.h>
#include <stdlib.h>

static int32_t show(void* user, uint32_t index, int32_t attempt, const char* text, size_t size) {
  (void)index;
  (void)attempt;
  fwrite(text, 1, size, (FILE*)user);
  return 0; /* anything else would stop the request */
}

static bobby_status print_posts(bobby_generator* generator, const bobby_generate_options* options,
                                char** error) {
  bobby_posts* posts = NULL;
  bobby_status status = bobby_generator_generate(generator, options, &posts, error);
  size_t count = 0;
  if (status == BOBBY_OK) status = bobby_posts_count(posts, &count, error);
  for (size_t i = 0; status == BOBBY_OK && i < count; ++i) {
    const char* text = NULL;
    status = bobby_posts_text(posts, i, &text, NULL, error);
    if (status == BOBBY_OK) puts(text);
  }
  bobby_posts_free(posts);
  return status;
}

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    fprintf(stderr, "usage: three_posts_c MODEL [SEED]\n");
    return 2;
  }
  char* error = NULL;
  bobby_generator* generator = NULL;
  bobby_generator_options where;
  bobby_generate_options what;
  bobby_status status = bobby_generator_options_init(&where, sizeof where, &error);
  if (status == BOBBY_OK) status = bobby_generate_options_init(&what, sizeof what, &error);
  if (status == BOBBY_OK) {
    where.model = argv[1];
    status = bobby_generator_create(&where, &generator, &error);
  }
  if (status == BOBBY_OK) {
    what.prompt = "write about coffee";
    what.count = 3;
    what.has_seed = argc == 3;
    what.seed = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
    what.on_text = show;
    what.user = stderr;
    status = print_posts(generator, &what, &error);
  }
  if (status != BOBBY_OK)
    fprintf(stderr, "%s: %s\n", bobby_status_name(status), error != NULL ? error : "no memory");
  bobby_string_free(error);
  bobby_generator_free(generator);
  return status == BOBBY_OK ? 0 : 1;
}
