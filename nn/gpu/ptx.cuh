// The few PTX instructions that CUDA C has no name for, each as a device function (sm_80 and later). No CUDA header is needed, so NVRTC
// compiles this with nothing installed but itself. On the CPU the emulator's functions of the same names take their place.
#pragma once
#ifdef EMULATED
#include "emulated_ptx.h"
#else

__device__ __forceinline__ unsigned shared_address(const void* p)
{
    return (unsigned)__cvta_generic_to_shared(p);
}

// Copy 16 bytes (4 bytes) from global to shared memory without passing through registers; zeros where !inside, and then `from` is not read.
// Both addresses must be multiples of the size. The copy is asynchronous: see cp_async_wait.
__device__ __forceinline__ void cp_async16(void* to, const void* from, bool inside)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared_address(to)), "l"(from), "r"(inside ? 16 : 0));
}

__device__ __forceinline__ void cp_async4(void* to, const void* from, bool inside)
{
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;\n" ::"r"(shared_address(to)), "l"(from), "r"(inside ? 4 : 0));
}

// Close this thread's group of copies; wait until all but its last N groups have arrived. Other threads' copies need a barrier after it.
__device__ __forceinline__ void cp_async_commit()
{
    asm volatile("cp.async.commit_group;\n" ::);
}

template <int N>
__device__ __forceinline__ void cp_async_wait()
{
    asm volatile("cp.async.wait_group %0;\n" ::"n"(N));
}

// Four 8 x 4 matrices of 32-bit numbers from shared memory. Lane l names the address of row l % 8 of matrix l / 8 (16 bytes, aligned);
// it gets number (l / 4, l % 4) of each: exactly the fragments that mma_tf32 wants.
__device__ __forceinline__ void ldmatrix_x4(unsigned (&r)[4], const void* row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)));
}

// D (16 x 8) += A (16 x 8) B (8 x 8) on a tensor core: TF32 factors (their low 13 bits are ignored), fp32 sums. With g = lane / 4 and
// t = lane % 4 a lane holds a = A[g][t], A[g+8][t], A[g][t+4], A[g+8][t+4]; b = B[t][g], B[t+4][g]; d = D[g][2t], D[g][2t+1], D[g+8][2t],
// D[g+8][2t+1].                                                                                      (PTX manual, mma.m16n8k8)
__device__ __forceinline__ void mma_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif
