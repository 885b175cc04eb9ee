// The op Training says whether the program that runs trains. A program is of one signature, so it
// is a constant there: this writes it in, before any pass looks.
#ifndef SLUICE_GRAPH_TRAINING_H_
#define SLUICE_GRAPH_TRAINING_H_

#include "graph/graph.h"

namespace sluice {

// Every Training node of the graph, its bodies and functions becomes the constant. Errors of
// editing are the graph's status.
void BindTraining(Graph* graph, bool training);

}  // namespace sluice

#endif  // SLUICE_GRAPH_TRAINING_H_
