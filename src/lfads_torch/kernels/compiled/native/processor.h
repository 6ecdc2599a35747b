// What the processor and the system offer beyond what the compiler can ask.
#pragma once

namespace lfads {

// Whether this process may use the tiles of AMX with bf16: the processor has them, the system
// keeps them for its threads, and has granted them to this process, which is asked for here.
bool may_use_tiles();

}  // namespace lfads
