// cuda.h: lets g++ read the text of a .cu file. Included in front of it; then follows a line of export.h for each kernel.
//
// Most of CUDA C is C++ already. What is not: qualifiers (macros here), threadIdx and its like (variables of the machine), vector types,
// barriers, warp operations (warp.h), atomics, and the one thing no macro can spell, `extern __shared__ float a[];`, which source.py rewrites.
#pragma once
#include "machine.h"

// The machine's own functions: not instrumented by the checker. UNWATCHED ones are calls, so that their caller's place is known.
#define UNWATCHED_INLINE __attribute__((no_sanitize("thread", "undefined")))
#define UNWATCHED UNWATCHED_INLINE __attribute__((noinline))

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) __attribute__((aligned(n)))
#define __constant__ static

// A block's shared memory: one block runs at a time, so plain variables do. They are thread_local because the linker gathers the
// thread_local variables of a library in one place, whose address and size the machine can find (image_of in launch.cpp).
#define __shared__ static thread_local

// ---- vector types, aligned as CUDA aligns them: a float4 needs an address that is a multiple of 16 ----
#define VECTOR_TYPES(T, name)                                                                                 \
    struct __attribute__((may_alias, aligned(2 * sizeof(T)))) name##2 { T x, y; };                            \
    struct __attribute__((may_alias)) name##3 { T x, y, z; };                                                 \
    struct __attribute__((may_alias, aligned(4 * sizeof(T) > 16 ? 16 : 4 * sizeof(T)))) name##4 { T x, y, z, w; }; \
    inline name##2 make_##name##2(T x, T y) { return {x, y}; }                                                \
    inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; }                                        \
    inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
#define uint3 vector_uint3  // machine.h has one
VECTOR_TYPES(float, float)
VECTOR_TYPES(double, double)
VECTOR_TYPES(int, int)
VECTOR_TYPES(unsigned, uint)
VECTOR_TYPES(unsigned char, uchar)
VECTOR_TYPES(unsigned short, ushort)
#undef uint3

static const int warpSize = 32;

#define __syncthreads() ((void)machine_barrier(false, __FILE__, __LINE__))
#define __syncthreads_count(vote) machine_barrier((vote) != 0, __FILE__, __LINE__)
#define __syncthreads_or(vote) (machine_barrier((vote) != 0, __FILE__, __LINE__) != 0)
#define __syncthreads_and(vote) (machine_barrier((vote) == 0, __FILE__, __LINE__) == 0)
#define __threadfence() ((void)0)  // one block runs after the other, and one thread at a time: memory is always in order
#define __threadfence_block() ((void)0)

#include "intrinsics.h"
#include "warp.h"

// ---- atomics: read, change, write, with no other thread between; all hand back the old value ----
#define ATOMIC_OPERATION(name, changed)                                              \
    template <class T, class U>                                                      \
    UNWATCHED T name(T* at, U value)                                                 \
    {                                                                                \
        machine_access(at, sizeof(T), ATOMIC, __builtin_return_address(0));          \
        const T old = *at, given = (T)value;                                         \
        *at = (changed);                                                             \
        return old;                                                                  \
    }
ATOMIC_OPERATION(atomicAdd, (T)(old + given))
ATOMIC_OPERATION(atomicSub, (T)(old - given))
ATOMIC_OPERATION(atomicExch, given)
ATOMIC_OPERATION(atomicMax, old > given ? old : given)
ATOMIC_OPERATION(atomicMin, old < given ? old : given)
ATOMIC_OPERATION(atomicAnd, (T)(old & given))
ATOMIC_OPERATION(atomicOr, (T)(old | given))
ATOMIC_OPERATION(atomicXor, (T)(old ^ given))
ATOMIC_OPERATION(atomicInc, old >= given ? 0 : (T)(old + 1))
ATOMIC_OPERATION(atomicDec, old == 0 || old > given ? given : (T)(old - 1))

template <class T, class U, class V>
UNWATCHED T atomicCAS(T* at, U expected, V value)
{
    machine_access(at, sizeof(T), ATOMIC, __builtin_return_address(0));
    const T old = *at;
    if (old == (T)expected)
        *at = (T)value;
    return old;
}

#include "emulated_ptx.h"
#include "export.h"
