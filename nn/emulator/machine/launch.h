// launch.h: from a grid to blocks, and where the shared memory of a block lies.
#pragma once
#include "scheduler.h"

struct SharedMemory {
    char* begin;
    char* end;
};

SharedMemory static_shared();             // the __shared__ variables of the library that runs
SharedMemory dynamic_shared();            // extern __shared__
uint3 block_of_number(uint32_t number);   // the blockIdx of a block of this launch, by its block_number
bool belongs_to_code(const void* address);// lies in the machine or in the kernel's library: a constant, say
