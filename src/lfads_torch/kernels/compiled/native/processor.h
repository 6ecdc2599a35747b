// What the processor and the system offer beyond what the compiler can ask.
#pragma once

namespace lfads {

// Whether the processor has the tiles of AMX with bf16, and the system keeps them for its threads.
bool has_tiles();

// Whether the system grants them to this process, which is asked for here, once. It costs every
// thread a larger signal frame, so nothing asks before bf16 is chosen.
bool may_use_tiles();

}  // namespace lfads
