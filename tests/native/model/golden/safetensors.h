// Reads whole safetensors files: names, dtypes, shapes, bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace llavasharp::test {

struct StoredTensor {
  int32_t dtype = 0;  // llv_dtype
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;
  // A float32 tensor's values.
  [[nodiscard]] std::vector<float> floats() const;
};
using Tensors = std::map<std::string, StoredTensor>;

[[nodiscard]] std::string read_text(const std::string& path);
// Adds a file's tensors.
void read_safetensors(const std::string& path, Tensors& tensors);

}  // namespace llavasharp::test
