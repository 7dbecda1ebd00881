#include "model/golden/safetensors.h"

#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "include/llavasharp.h"
#include "model/golden/json.h"

namespace llavasharp::test {
namespace {

int32_t dtype_of(const std::string& name) {
  if (name == "F32") {
    return LLV_FLOAT32;
  }
  if (name == "F16") {
    return LLV_FLOAT16;
  }
  if (name == "BF16") {
    return LLV_BFLOAT16;
  }
  throw std::runtime_error("safetensors: dtype " + name);
}

}  // namespace

std::vector<float> StoredTensor::floats() const {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw std::runtime_error("cannot read " + path);
  }
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void read_safetensors(const std::string& path, Tensors& tensors) {
  const std::string file = read_text(path);
  uint64_t header = 0;
  std::memcpy(&header, file.data(), sizeof(header));
  const Json json = parse_json(std::string_view(file).substr(8, header));
  const size_t data = 8 + header;
  for (const auto& [name, entry] : json.object) {
    if (name == "__metadata__") {
      continue;
    }
    StoredTensor tensor;
    tensor.dtype = dtype_of(entry["dtype"].text);
    for (const Json& size : entry["shape"].list) {
      tensor.shape.push_back(static_cast<int64_t>(size.number));
    }
    const auto begin = static_cast<size_t>(entry["data_offsets"].list[0].number);
    const auto end = static_cast<size_t>(entry["data_offsets"].list[1].number);
    tensor.bytes.resize(end - begin);
    std::memcpy(tensor.bytes.data(), file.data() + data + begin, end - begin);
    tensors.emplace(name, std::move(tensor));
  }
}

}  // namespace llavasharp::test
