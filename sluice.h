// Everything a program that uses Sluice includes.
#ifndef SLUICE_SLUICE_H_
#define SLUICE_SLUICE_H_

#include "base/version.h"
#include "exchange/model.h"
#include "graph/builder.h"
#include "graph/error_details.h"
#include "graph/graph.h"
#include "graph/infer.h"
#include "graph/text.h"
#include "ops/op.h"
#include "ops/ops.h"
#include "passes/add_gradients.h"
#include "passes/freeze.h"
#include "runtime/session.h"

#endif  // SLUICE_SLUICE_H_
