// Formats that are not read, told by what they begin with: so that a message can name them.
#ifndef SLUICE_EXCHANGE_FOREIGN_FORMATS_H_
#define SLUICE_EXCHANGE_FOREIGN_FORMATS_H_

#include "exchange/sight.h"

namespace sluice {

// What lies where a file was to be fetched to, when it was not.
Likeness LooksLikeGitLfsPointer(const Sight& sight);
Likeness LooksLikeMarkup(const Sight& sight);  // HTML, or XML such as a server's error

Likeness LooksLikeOpenVino(const Sight& sight);    // the XML of an IR
Likeness LooksLikeSavedModel(const Sight& sight);  // the folder, or its saved_model.pb
Likeness LooksLikeTensorFlowGraph(const Sight& sight);
Likeness LooksLikePyTorchZip(const Sight& sight);
Likeness LooksLikeNpz(const Sight& sight);
Likeness LooksLikePickle(const Sight& sight);   // of protocol 2 or newer
Likeness LooksLikeGraphPb(const Sight& sight);  // of our own folder, by itself

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_FOREIGN_FORMATS_H_
