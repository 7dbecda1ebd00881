#include "layers/embedding.h"

namespace llavasharp::layers {

void embedding_forward(Context context, View y, View table, const int32_t* tokens) {
  context.kernels.gather_rows(y, table, tokens);
}

void embedding_backward(Context context, View dtable, View dy, const int32_t* tokens) {
  context.kernels.scatter_rows(dtable, dy, tokens, true);
}

void splice_forward(Context context, View y, View features, const int32_t* slots) {
  context.kernels.scatter_rows(y, features, slots, false);
}

void splice_backward(Context context, View dfeatures, View dy, const int32_t* slots) {
  context.kernels.gather_rows(dfeatures, dy, slots);
}

}  // namespace llavasharp::layers
