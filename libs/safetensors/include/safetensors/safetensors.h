#pragma once

// The whole library. A standalone reader and writer of safetensors files; see README.md.

#include "safetensors/dtype.h"
#include "safetensors/error.h"
#include "safetensors/mapped_file.h"
#include "safetensors/reader.h"
#include "safetensors/sharded.h"
#include "safetensors/tensor.h"
#include "safetensors/view.h"
#include "safetensors/writer.h"
