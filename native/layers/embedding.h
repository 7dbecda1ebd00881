// Token embeddings, and the splice that puts image rows among them.
//
// Letters: T tokens, D hidden, V vocabulary, F image rows. A gradient takes the way its value came:
// text rows' to the embedding, image rows' to the projector.
#pragma once

#include "layers/context.h"

namespace llavasharp::layers {

// y [T, D]: row t is table [V, D] row tokens[t]; rows with tokens[t] < 0 are left as they are.
void embedding_forward(Context context, View y, View table, const int32_t* tokens);

// dtable [V, D] += dy's rows, in token order; rows with tokens[t] < 0 are skipped.
void embedding_backward(Context context, View dtable, View dy, const int32_t* tokens);

// y [T, D] row slots[f] becomes features [F, D] row f.
void splice_forward(Context context, View y, View features, const int32_t* slots);

// dfeatures [F, D] row f becomes dy [T, D] row slots[f].
void splice_backward(Context context, View dfeatures, View dy, const int32_t* slots);

}  // namespace llavasharp::layers
