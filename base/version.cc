#include "base/version.h"

namespace sluice {

#define SLUICE_TEXT(x) #x
#define SLUICE_TEXT_OF(x) SLUICE_TEXT(x)
static_assert(
    sizeof(SLUICE_VERSION) > 1 &&
        __builtin_strcmp(SLUICE_VERSION,
                         SLUICE_TEXT_OF(SLUICE_VERSION_MAJOR) "." SLUICE_TEXT_OF(
                             SLUICE_VERSION_MINOR) "." SLUICE_TEXT_OF(SLUICE_VERSION_PATCH)) == 0,
    "the version's text is made of its numbers");
#undef SLUICE_TEXT_OF
#undef SLUICE_TEXT

const char* Version() { return SLUICE_VERSION; }

}  // namespace sluice
