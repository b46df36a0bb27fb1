// machine.h: what a kernel asks of the machine that plays the GPU. cuda.h turns CUDA C into these calls; the .cpp files answer them.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
};

// A warp operation (shuffle, vote, mma): every lane hands in a payload; when the last lane of the mask has come, `join` serves them all.
typedef void (*WarpJoin)(void** payloads, unsigned mask, const char* file, int line);

enum AccessKind { READ, WRITE, ATOMIC };

extern "C" {
// A thread never sees these change, though the machine sets them anew whenever it lets another thread run. So they are const for kernels:
// the compiler may keep them in a register across a barrier.
#ifdef THE_MACHINE_ITSELF
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
#else
extern const uint3 threadIdx, blockIdx;
extern const dim3 blockDim, gridDim;
#endif

// __syncthreads(): returns when every thread of the block has come; the number of threads that brought a true `vote`.
int machine_barrier(bool vote, const char* file, int line);

// A warp operation of the lanes in `mask`. `kind` tells operations of one source line apart; `fence`: memory is in order after it.
void machine_warp(unsigned mask, const void* kind, void* payload, WarpJoin join, bool fence, const char* file, int line);
unsigned machine_lane();           // 0..31
unsigned machine_live_lanes();     // the lanes of this warp that have not returned

void* machine_dynamic_shared();    // where `extern __shared__` begins

// An access that the compiler has not instrumented (an atomic, a copy), for the checker.
void machine_access(const void* at, unsigned bytes, int kind, void* instruction);

void machine_copy(void* to, const void* from, unsigned bytes, bool inside, void* instruction);   // cp.async
void machine_copy_commit();
void machine_copy_wait(int pending);

void machine_fault(const char* file, int line, const char* format, ...) __attribute__((format(printf, 3, 4)));
}
