// profile.h: how a kernel's accesses would fall on a GPU's memory.
#pragma once
#include <stdint.h>

void prepare_profile();
void count_access(const char* address, unsigned bytes, int kind, uint32_t place, bool shared);
void count_event(const char* file, int line, const char* what);  // a barrier of a block, an operation of a warp
void settle_profile();                                           // at the end of a block
extern "C" const char* machine_profile();
